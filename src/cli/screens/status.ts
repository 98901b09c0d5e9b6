/** `status`: does it work, what does it give, and why not more, on one screen. A line with nothing to say is left out. */
import { escapeControls } from "../../base/log-line.ts";
import { bytesText, percentText, spanText } from "../../base/units.ts";
import type {
  AgentStatus,
  CompactStatus,
  FreeStatus,
  MemcgStatus,
  MemcgSummary,
  OwnCost,
  TargetStatus,
} from "../../agent/status.ts";
import { bytesCell, endedSummary, evictedSum } from "./memcg.ts";
import { nextText, whyNotSummary, whyNotText } from "./outlook.ts";
import { ageText, byteHoursText, clockText, countText } from "./quantity.ts";
import { columnLines, fieldLines, heading, joinParts } from "./screen.ts";
import { renderTable, type Column } from "./table.ts";
import { paint, type Terminal } from "./terminal.ts";
import { padText, textWidth } from "./text.ts";

const coldestMax = 10;
const coldestMin = 3;
const warningsMax = 3;
const problemsMax = 5;

export interface StatusScreen {
  readonly status: AgentStatus;
  /** For the cgroups with most to give; null where it is not asked for. */
  readonly memcg: MemcgStatus | null;
  readonly nowMs: number;
  /** Only what changes from minute to minute. */
  readonly brief?: boolean;
}

export function renderStatus(screen: StatusScreen, terminal: Terminal): string[] {
  const lines = statusLines(screen, terminal);
  const room = terminal.rows === null ? coldestMax : Math.min(coldestMax, terminal.rows - lines.length - 2);
  return [...lines, ...coldestLines(screen.memcg?.targets ?? [], Math.max(coldestMin, room), terminal)];
}

/** All but the table. */
export function statusLines({ status, memcg, nowMs, brief = false }: StatusScreen, terminal: Terminal): string[] {
  const { memcg: summary } = status;
  const optional = (label: string, text: string): string[] => (text === "" ? [] : fieldLines(terminal, label, text));
  return [
    ...headLines(status, nowMs, terminal),
    ...warningLines(status, nowMs, terminal),
    ...savedLines(status, nowMs, terminal),
    ...optional("Next", nextText(summary, nowMs)),
    ...optional("Candidates", candidatesText(summary)),
    ...endedSummary(summary, terminal),
    ...optional("Why not more", summary.disabled ? "" : whyNotSummary(summary, memcg?.targets ?? null)),
    ...(brief ? [] : optional("Compaction", compactionText(status.compact, nowMs))),
    ...(brief ? [] : optional("This agent", costText(status.own))),
  ];
}

/** `mem-agent 1.0.0  ok   up 24 s   Linux 6.12.95          lru_gen, cgroup v2`, the end at the right edge. */
function headLines(status: AgentStatus, nowMs: number, terminal: Terminal): string[] {
  const { memcg, compact, kernel, warnings } = status;
  const health =
    warnings.length === 0
      ? paint(terminal, "green", "ok")
      : paint(terminal, "yellow", countText(warnings.length, "warning"));
  const states = [
    status.paused_until === null ? null : `paused until ${clockText(status.paused_until, nowMs)}`,
    memcg.dry_run ? "dry run" : null,
    memcg.disabled ? (compact.disabled ? "disabled" : "eviction disabled") : null,
    compact.disabled && !memcg.disabled ? "compaction disabled" : null,
  ].filter((state) => state !== null);
  const state = states.length === 0 ? "" : `  ${paint(terminal, "yellow", states.join(", "))}`;
  const name = escapeControls(status.machine.name);
  const head = `${heading(terminal, `mem-agent ${status.version}`)} on ${name}  ${health}${state}`;
  const about = `up ${spanText(Math.round(status.own.uptime_secs))}   Linux ${escapeControls(kernel.release)}`;
  const ways = joinParts([
    memcg.disabled ? null : memcg.backend,
    kernel.cgroup_version === null ? "no memory cgroups" : `cgroup v${kernel.cgroup_version}`,
  ]);
  const left = `${head}   ${paint(terminal, "dim", about)}`;
  const room = (terminal.columns ?? 0) - textWidth(left);
  if (terminal.columns === null) return [`${left}   ${ways}`];
  if (room >= textWidth(ways) + 2) return [left + paint(terminal, "dim", padText(ways, room, "right"))];
  return room >= 0 ? [left] : [head, paint(terminal, "dim", about)];
}

/** What is wrong, with the command that fixes it. */
function warningLines({ warnings, config }: AgentStatus, nowMs: number, terminal: Terminal): string[] {
  const lines = warnings.slice(0, warningsMax).flatMap(({ message, remedy, since }) => {
    const fix = remedy === null ? "" : `; fix it with: ${escapeControls(remedy)}`;
    return fieldLines(
      terminal,
      "Warning",
      `${escapeControls(message)} (since ${clockText(since, nowMs)})${fix}`,
      "yellow",
    );
  });
  // The first problem of the file is in its warning.
  for (const problem of config.problems.slice(1, 1 + problemsMax))
    lines.push(...fieldLines(terminal, "", escapeControls(problem), "yellow"));
  const more = warnings.length - warningsMax;
  return more <= 0 ? lines : [...lines, ...fieldLines(terminal, "", `${more} more: mem-agent doctor`, "yellow")];
}

function savedLines({ memcg, compact }: AgentStatus, nowMs: number, terminal: Terminal): string[] {
  const { evicted_bytes: evicted, refaulted_bytes: back, saved_bytes: saved, last_run: last } = memcg;
  if (memcg.dry_run) {
    const would = last?.would_evict_bytes ?? null;
    const when =
      last === null ? "no run yet" : `by the run of ${clockText(last.started, nowMs)}; a dry run evicts nothing`;
    const amount = would === null ? "-" : bytesText(evictedSum(would));
    return columnLines(terminal, "Would save", [amount, when, freeText(compact.free)]);
  }
  const returned = back === null ? "what came back is not counted" : `came back ${bytesText(back)}`;
  const parts = [bytesText(saved), `evicted ${bytesText(evictedSum(evicted))}, ${returned}`, freeText(compact.free)];
  return columnLines(terminal, "Saved now", [...parts, byteHoursText(memcg.saved_byte_seconds)]);
}

function freeText(free: FreeStatus | null): string {
  if (free === null) return "";
  if (free.reportable_bytes === null) return `free ${bytesText(free.free_bytes)}, none reported to a host`;
  return `free for the host ${bytesText(free.reportable_bytes)} of ${bytesText(free.free_bytes)}`;
}

function candidatesText({ candidates, disabled }: MemcgSummary): string {
  const { bytes, targets, youngest_age_secs: age } = candidates;
  if (disabled || bytes === 0) return "";
  const youngest = age === null ? "" : `, youngest ${ageText(age)}`;
  return `${bytesText(bytes)} in ${countText(targets, "cgroup")}${youngest}`;
}

function compactionText(
  { last_compaction: last, running, compactions, reporting_order }: CompactStatus,
  nowMs: number,
): string {
  if (running) return "under way";
  if (last === null) return "";
  const { before, after, end } = last;
  const gained =
    before === null || after === null
      ? null
      : reporting_order === null || before.reportable_bytes === null || after.reportable_bytes === null
        ? `wanted blocks ${bytesText(before.order_bytes)} to ${bytesText(after.order_bytes)}`
        : `reportable ${bytesText(before.reportable_bytes)} to ${bytesText(after.reportable_bytes)}`;
  const told = `${end ?? "running"} after ${spanText(last.wall_secs)}`;
  return joinParts([
    countText(compactions, "compaction"),
    `the last ${clockText(last.started, nowMs)}: ${told}`,
    gained,
  ]);
}

/** `takes 11 MiB, 0.1 % of a CPU` */
function costText(own: OwnCost): string {
  const bytes = own.charged_bytes ?? own.private_bytes;
  const cpuSecs = own.cpu_user_secs + own.cpu_system_secs;
  const cpu = own.uptime_secs > 0 ? `${percentText((cpuSecs / own.uptime_secs) * 100)} of a CPU` : null;
  const text = joinParts([bytes === null ? null : bytesText(bytes), cpu]);
  return text === "" ? "" : `takes ${text}`;
}

const right = { align: "right", cut: null } as const;

const coldestColumns: readonly Column<TargetStatus>[] = [
  { title: "COLDEST", align: "left", cut: "middle", leaveOut: null, cell: ({ path }) => escapeControls(path) },
  { title: "COLD", ...right, leaveOut: null, cell: ({ candidate_bytes: bytes }) => bytesCell(bytes) },
  { title: "SIZE", ...right, leaveOut: null, cell: ({ size_bytes: bytes }) => bytesCell(bytes) },
  {
    title: "AGE",
    ...right,
    leaveOut: 2,
    cell: ({ candidate_age_secs: secs }) => (secs === null ? "-" : ageText(secs)),
  },
  { title: "SAVED", ...right, leaveOut: 1, cell: ({ saved_bytes: bytes }) => bytesCell(bytes) },
  { title: "WHY NOT", align: "left", cut: "end", leaveOut: null, cell: whyNotText },
];

export const coldestSorts = ["cold", "size", "saved", "path"] as const;
export type ColdestSort = (typeof coldestSorts)[number];

const coldestKeys: Readonly<Record<Exclude<ColdestSort, "path">, (target: TargetStatus) => number>> = {
  cold: (target) => target.candidate_bytes,
  size: (target) => target.size_bytes,
  saved: (target) => target.saved_bytes,
};

/** Those with most to give, or by what else they are sorted, a blank line above. */
export function coldestLines(
  targets: readonly TargetStatus[],
  rowsMax: number,
  terminal: Terminal,
  sort: ColdestSort = "cold",
): string[] {
  const key = sort === "path" ? null : coldestKeys[sort];
  const coldest = targets
    .filter((target) => (key === null ? target.size_bytes : key(target)) > 0)
    .toSorted((left, right) => (key === null ? (left.path < right.path ? -1 : 1) : key(right) - key(left)))
    .slice(0, Math.max(0, rowsMax));
  return coldest.length === 0 ? [] : ["", ...renderTable(coldestColumns, coldest, terminal)];
}
