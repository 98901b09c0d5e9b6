/** `status`: what a person wants to know first, on one screen. */
import { escapeControls } from "../../base/log-line.ts";
import { bytesText, percentText, spanText } from "../../base/units.ts";
import type { AgentStatus, MemcgStatus, OwnCost, TargetStatus, Warning } from "../../agent/status.ts";
import { compactRunText, compactSummary, freeText } from "./compact.ts";
import { generationsCell } from "./generations.ts";
import {
  backendLines,
  bytesCell,
  endCell,
  endedSummary,
  evictedSum,
  memcgSummary,
  savedText,
  selectTargets,
  standInLines,
} from "./memcg.ts";
import { clockText, countText } from "./quantity.ts";
import { countsText, fieldLines, heading, joinParts } from "./screen.ts";
import { renderTable, type Column } from "./table.ts";
import { paint, type Terminal } from "./terminal.ts";
import { textWidth } from "./text.ts";

const coldestTop = 5;

export interface StatusScreen {
  readonly status: AgentStatus;
  /** For the cgroups with most cold memory; null where it is not asked for. */
  readonly memcg: MemcgStatus | null;
  readonly nowMs: number;
}

export function renderStatus({ status, memcg, nowMs }: StatusScreen, terminal: Terminal): string[] {
  return [
    ...healthLines(status, nowMs, terminal),
    "",
    ...memcgLines(status, nowMs, terminal),
    ...(memcg === null ? [] : standInLines(memcg.targets, terminal)),
    "",
    ...compactLines(status, nowMs, terminal),
    "",
    ...(memcg === null ? [] : coldestLines(memcg.targets, terminal)),
    ...agentLines(status, nowMs, terminal),
  ];
}

function healthLines(status: AgentStatus, nowMs: number, terminal: Terminal): string[] {
  const well = status.warnings.length === 0 && status.config.problems.length === 0;
  const health = well
    ? paint(terminal, "green", "ok")
    : paint(terminal, "yellow", countText(Math.max(1, status.warnings.length), "warning"));
  const about = joinParts([
    `up ${spanText(status.own.uptime_secs)}`,
    `pid ${status.pid}`,
    `Linux ${escapeControls(status.kernel.release)}`,
    status.kernel.cgroup_version === null ? "no memory cgroups" : `cgroup v${status.kernel.cgroup_version}`,
  ]);
  const head = `${heading(terminal, `mem-agent ${status.version}`)}  ${health}`;
  const dimmed = paint(terminal, "dim", about);
  const fits = terminal.columns === null || textWidth(`${head}  ${about}`) <= terminal.columns;
  const lines = fits ? [`${head}  ${dimmed}`] : [head, dimmed];
  for (const warning of status.warnings) lines.push(...warningLines(warning, nowMs, terminal));
  for (const problem of status.config.problems)
    lines.push(...fieldLines(terminal, "Problem", escapeControls(problem), "yellow"));
  return lines;
}

function warningLines(warning: Warning, nowMs: number, terminal: Terminal): string[] {
  const text = `${escapeControls(warning.message)} (${warning.key}, since ${clockText(warning.since, nowMs)})`;
  return [
    ...fieldLines(terminal, "Warning", text, "yellow"),
    ...(warning.remedy === null ? [] : fieldLines(terminal, "  remedy", escapeControls(warning.remedy))),
  ];
}

function memcgLines(status: AgentStatus, nowMs: number, terminal: Terminal): string[] {
  const { memcg } = status;
  const { last_run: last } = memcg;
  const lines = fieldLines(terminal, "Saved now", savedText(memcg), "bold");
  lines.push(...fieldLines(terminal, "Memory", memcgSummary(memcg)));
  lines.push(...backendLines(memcg, terminal), ...endedSummary(memcg, terminal));
  if (last === null) return [...lines, ...fieldLines(terminal, "  last run", "none yet")];
  const moved = last.would_evict_bytes ?? last.evicted_bytes;
  const text = joinParts([
    `${clockText(last.started, nowMs)}: ${bytesText(evictedSum(moved))} ${last.dry_run ? "would be evicted" : "evicted"}`,
    countText(last.targets, "target"),
    `${last.aged} aged`,
    last.skipped > 0 ? `${last.skipped} skipped` : null,
    `took ${spanText(last.wall_secs)}`,
  ]);
  lines.push(...fieldLines(terminal, "  last run", text));
  const ended = countsText(last.ends);
  if (ended !== "") lines.push(...fieldLines(terminal, "  ended", ended));
  return lines;
}

function compactLines(status: AgentStatus, nowMs: number, terminal: Terminal): string[] {
  const { compact } = status;
  const lines = fieldLines(terminal, "Compaction", compactSummary(compact));
  if (compact.last_run !== null)
    lines.push(...fieldLines(terminal, "  last run", compactRunText(compact.last_run, nowMs)));
  if (compact.free !== null) {
    lines.push(
      ...fieldLines(terminal, "  free", freeText(compact.free, compact.settings.order, compact.reporting_order)),
    );
  }
  return lines;
}

const right = { align: "right", cut: null } as const;

function coldestColumns(terminal: Terminal): Column<TargetStatus>[] {
  return [
    { title: "COLDEST", align: "left", cut: "start", leaveOut: null, cell: ({ path }) => escapeControls(path) },
    { title: "COLD", ...right, leaveOut: null, cell: (target) => bytesCell(evictedSum(target.cold_bytes)) },
    { title: "SIZE", ...right, leaveOut: null, cell: (target) => bytesCell(target.size_bytes) },
    {
      title: "GENERATIONS",
      align: "left",
      cut: null,
      leaveOut: 1,
      cell: ({ generations }) => generationsCell(terminal, generations),
    },
    { title: "EVICTED", ...right, leaveOut: 3, cell: (target) => bytesCell(evictedSum(target.evicted_bytes)) },
    { title: "ENDED", align: "left", cut: null, leaveOut: 2, cell: endCell },
  ];
}

function coldestLines(targets: readonly TargetStatus[], terminal: Terminal): string[] {
  const coldest = selectTargets(targets, { path: null, sort: "cold", top: coldestTop }).filter(
    (target) => evictedSum(target.cold_bytes) > 0,
  );
  return coldest.length === 0 ? [] : [...renderTable(coldestColumns(terminal), coldest, terminal), ""];
}

function costText(own: OwnCost): string {
  const cpuSecs = own.cpu_user_secs + own.cpu_system_secs;
  const share = own.uptime_secs > 0 ? ` (${percentText((cpuSecs / own.uptime_secs) * 100)})` : "";
  return joinParts([
    own.charged_bytes === null ? null : `${bytesText(own.charged_bytes)} of the guest's memory`,
    own.private_bytes === null ? null : `${bytesText(own.private_bytes)} private`,
    `CPU ${spanText(cpuSecs)}${share}`,
    own.threads === null ? null : countText(own.threads, "thread"),
  ]);
}

function agentLines(status: AgentStatus, nowMs: number, terminal: Terminal): string[] {
  const { config } = status;
  const file = config.file === null ? "no file" : escapeControls(config.file);
  return [
    ...fieldLines(terminal, "Own cost", costText(status.own)),
    ...fieldLines(
      terminal,
      "Settings",
      joinParts([
        config.loaded === null ? file : `${file} read ${clockText(config.loaded, nowMs)}`,
        `log level ${status.log_level}`,
        config.addr === null ? null : escapeControls(config.addr),
      ]),
    ),
  ];
}
