/** `memcgstatus` for people: every target in one line, or with `--long` all that is known of each. */
import { escapeControls } from "../../base/log-line.ts";
import { bytesText, percentText, spanText } from "../../base/units.ts";
import type {
  EndedStatus,
  EvictedStatus,
  FreeStatus,
  MemcgStatus,
  MemcgSummary,
  TargetStatus,
} from "../../agent/status.ts";
import { endReasonTexts } from "../../core/reason.ts";
import { barLegend, generationsCell } from "./generations.ts";
import { countText, shortSpanText } from "./quantity.ts";
import { countsText, fieldLines, heading, joinParts } from "./screen.ts";
import { renderTable, styled, type Cell, type Column } from "./table.ts";
import { paint, type Style, type Terminal } from "./terminal.ts";

export const targetSorts = ["path", "cold", "evicted", "size"] as const;
export type TargetSort = (typeof targetSorts)[number];

export interface TargetFilter {
  readonly path: { matches(path: string): boolean } | null;
  readonly sort: TargetSort;
  readonly top: number | null;
}

export function evictedSum(bytes: EvictedStatus): number {
  return bytes.anon_bytes + bytes.file_bytes;
}

function byPath(left: TargetStatus, right: TargetStatus): number {
  if (left.path !== right.path) return left.path < right.path ? -1 : 1;
  return left.node - right.node;
}

const sortKeys: Readonly<Record<Exclude<TargetSort, "path">, (target: TargetStatus) => number>> = {
  cold: (target) => evictedSum(target.cold_bytes),
  evicted: (target) => evictedSum(target.evicted_bytes),
  size: (target) => target.size_bytes,
};

/** The targets that were asked for: those of the path, largest first where a sort other than by path is named. */
export function selectTargets(targets: readonly TargetStatus[], filter: TargetFilter): TargetStatus[] {
  const { path, sort, top } = filter;
  const chosen = targets.filter((target) => path === null || path.matches(target.path));
  const key = sort === "path" ? null : sortKeys[sort];
  const sorted = chosen.toSorted((left, right) => (key === null ? 0 : key(right) - key(left)) || byPath(left, right));
  return top === null ? sorted : sorted.slice(0, top);
}

function endStyle(end: TargetStatus["last_end"]): Style | null {
  if (end === "error") return "red";
  return end === "pressure" || end === "swap_full" || end === "refaults" || end === "no_progress" ? "yellow" : null;
}

/** Nothing is shown faintly, so that something stands out. */
export function bytesCell(bytes: number | null): Cell {
  if (bytes === null) return "-";
  return bytes === 0 ? styled("0", "dim") : bytesText(bytes);
}

export function endCell({ settings, last_end: end }: TargetStatus): Cell {
  return settings.disabled ? "disabled" : styled(end ?? "-", endStyle(end));
}

const right = { align: "right", cut: null } as const;

function targetColumns(terminal: Terminal): Column<TargetStatus>[] {
  return [
    { title: "CGROUP", align: "left", cut: "middle", leaveOut: null, cell: ({ path }) => escapeControls(path) },
    { title: "NODE", ...right, leaveOut: 3, cell: ({ node }) => String(node) },
    { title: "SIZE", ...right, leaveOut: null, cell: (target) => bytesCell(target.size_bytes) },
    { title: "COLD", ...right, leaveOut: null, cell: (target) => bytesCell(evictedSum(target.cold_bytes)) },
    {
      title: "GENERATIONS",
      align: "left",
      cut: null,
      leaveOut: 2,
      cell: ({ generations }) => generationsCell(terminal, generations),
    },
    { title: "EVICTED", ...right, leaveOut: 1, cell: (target) => bytesCell(evictedSum(target.evicted_bytes)) },
    { title: "LAST", ...right, leaveOut: 6, cell: (target) => bytesCell(evictedSum(target.last_evicted_bytes)) },
    { title: "BACK", ...right, leaveOut: 7, cell: (target) => bytesCell(target.refaulted_bytes) },
    { title: "RUNS", ...right, leaveOut: 5, cell: ({ runs }) => String(runs) },
    { title: "AGED", ...right, leaveOut: 8, cell: ({ agings }) => String(agings) },
    {
      title: "STALL",
      ...right,
      leaveOut: 9,
      cell: ({ pressure_percent: percent }) => (percent === null ? "-" : percentText(percent)),
    },
    { title: "ENDED", align: "left", cut: null, leaveOut: null, cell: endCell },
    {
      title: "NEXT",
      ...right,
      leaveOut: 4,
      cell: ({ next_run_secs: secs }) => (secs === null ? "-" : shortSpanText(secs)),
    },
    {
      title: "RULE",
      align: "left",
      cut: "middle",
      leaveOut: 10,
      cell: ({ rule }) => (rule === null ? "-" : escapeControls(rule)),
    },
  ];
}

/** The columns that say something of these targets: on a machine of one node its number is none. */
function columnsFor(targets: readonly TargetStatus[], terminal: Terminal): Column<TargetStatus>[] {
  const columns = targetColumns(terminal);
  if (terminal.columns === null || targets.some(({ node }) => node > 0)) return columns;
  return columns.filter(({ title }) => title !== "NODE");
}

/** One line on the whole feature: `lru_gen, 42 targets, 12 runs, next in 4 min`. */
export function memcgSummary(memcg: MemcgSummary): string {
  if (memcg.disabled) return "disabled";
  return joinParts([
    memcg.running ? "running now" : null,
    memcg.dry_run ? "dry run: nothing is evicted" : null,
    memcg.backend ?? "nothing finds cold memory",
    countText(memcg.targets_count, "target"),
    countText(memcg.runs, "run"),
    memcg.next_run_secs === null ? null : `next in ${spanText(memcg.next_run_secs)}`,
  ]);
}

/** The headline: what is away now, and what it is made of. */
export function savedText(memcg: MemcgSummary): string {
  const { evicted_bytes: evicted, refaulted_bytes: refaulted, saved_bytes: saved } = memcg;
  const anon = evicted.anon_bytes > 0 ? `, ${bytesText(evicted.anon_bytes)} of it anonymous` : "";
  const back = refaulted === null ? "what came back is not counted" : `came back ${bytesText(refaulted)}`;
  return `${bytesText(saved)}; evicted ${bytesText(evictedSum(evicted))}${anon}, ${back}`;
}

/** Which way is taken and why, and what stands in where what came back is not counted. */
export function backendLines(memcg: MemcgSummary, terminal: Terminal): string[] {
  const { disabled, backend_why: why, refault_source: source } = memcg;
  if (disabled) return [];
  const standIn = source === "io_stall" ? "; io stall stands in for what came back" : "";
  return fieldLines(terminal, "Backend", `${escapeControls(why)}${standIn}`);
}

/** Whose pressure stands in for cgroups that have no pressure file of their own. */
export function standInLines(targets: readonly TargetStatus[], terminal: Terminal): string[] {
  const counts: Record<string, number> = {};
  for (const { path, pressure_source: source, settings } of targets) {
    // The system's is the root cgroup's own.
    if (settings.disabled || source === null || source === path || path === "/") continue;
    counts[source] = (counts[source] ?? 0) + 1;
  }
  const sources = Object.entries(counts).toSorted(([, left], [, right]) => right - left);
  const [first] = sources;
  if (first === undefined) return [];
  const [source, count] = first;
  const more = sources.length === 1 ? "" : `; ${countText(sources.length - 1, "other cgroup")} for others`;
  const whose = source === "system" ? "the system's" : `that of ${escapeControls(source)}`;
  return fieldLines(terminal, "Pressure", `${whose} stands in for ${countText(count, "target")}${more}`);
}

const endedShownMax = 5;

/** What removed cgroups left behind, and what was done about it. */
export function endedText(units: EndedStatus): string {
  return joinParts([
    `${bytesText(units.file_bytes)} of ${countText(units.cgroups, "removed cgroup")}`,
    units.evicted_bytes > 0 ? `${bytesText(units.evicted_bytes)} evicted` : null,
    units.lost_bytes > 0 ? `${bytesText(units.lost_bytes)} of living ones with it` : null,
    units.sit_out > 0 ? `sits out ${units.sit_out} more` : null,
    units.last_end === null ? "not run yet" : `${units.last_end}: ${units.why}`,
    units.last_error === null ? null : escapeControls(units.last_error),
  ]);
}

/** How ended units end that nothing is going to be done about. */
const lastingEnds: ReadonlySet<EndedStatus["last_end"]> = new Set(["swap", "no_file", "spared", "disabled"]);

/** Less is a detail, for memcgstatus. */
const endedWorthBytes = 64 * 1024 * 1024;

/** Those with the most in one line, and why they are left where they are. */
export function endedSummary({ ended }: Pick<MemcgSummary, "ended">, terminal: Terminal): string[] {
  const [first] = ended;
  const bytes = ended.reduce((sum, { file_bytes }) => sum + file_bytes, 0);
  if (first === undefined || bytes < endedWorthBytes) return [];
  const evicted = ended.reduce((sum, { evicted_bytes }) => sum + evicted_bytes, 0);
  const where = ended.length === 1 ? `below ${escapeControls(first.path)}` : `below ${ended.length} cgroups`;
  const text = joinParts([
    `${bytesText(bytes)} ${where}`,
    evicted > 0 ? `${bytesText(evicted)} evicted` : null,
    lastingEnds.has(first.last_end) ? `of ${escapeControls(first.path)} left: ${first.why}` : null,
  ]);
  return fieldLines(terminal, "Ended units", text);
}

/** One line for each living cgroup below which units ended, those with the most. */
export function endedLines({ ended }: Pick<MemcgSummary, "ended">, terminal: Terminal): string[] {
  const lines = ended
    .slice(0, endedShownMax)
    .flatMap((units, index) =>
      fieldLines(terminal, index === 0 ? "Ended units" : "", `of ${escapeControls(units.path)}: ${endedText(units)}`),
    );
  const more = ended.length - endedShownMax;
  return more > 0 ? [...lines, ...fieldLines(terminal, "", `and of ${countText(more, "other cgroup")}`)] : lines;
}

function reportableText(free: FreeStatus): string {
  const reportable = free.reportable_bytes === null ? "nothing is" : `${bytesText(free.reportable_bytes)} of it`;
  return `${bytesText(free.free_bytes)}, ${reportable} reportable to the host`;
}

export function renderMemcgStatus(
  status: MemcgStatus,
  filter: TargetFilter,
  options: { readonly long: boolean },
  terminal: Terminal,
): string[] {
  const targets = selectTargets(status.targets, filter);
  const lines = [
    ...fieldLines(terminal, "Memory", memcgSummary(status)),
    ...backendLines(status, terminal),
    ...standInLines(status.targets, terminal),
    ...endedLines(status, terminal),
    ...fieldLines(terminal, "Saved now", `${savedText(status)}${ends(status)}`),
    ...(status.free === null ? [] : fieldLines(terminal, "Free now", reportableText(status.free))),
    "",
  ];
  if (targets.length === 0) {
    const none = status.targets.length === 0 ? "No cgroups yet." : "No cgroup matches.";
    return [...lines, none];
  }
  if (options.long) {
    return [
      ...lines,
      ...targets.flatMap((target, index) => [...(index > 0 ? [""] : []), ...targetLines(target, terminal)]),
    ];
  }
  lines.push(...renderTable(columnsFor(status.targets, terminal), targets, terminal));
  if (terminal.columns !== null && targets.some((target) => target.generations !== null)) {
    lines.push("", paint(terminal, "dim", barLegend));
  }
  if (targets.length < status.targets.length) {
    lines.push(`${targets.length} of ${countText(status.targets.length, "target")}`);
  }
  return lines;
}

function ends(status: Pick<MemcgStatus, "ends">): string {
  const counts = countsText(status.ends);
  return counts === "" ? "" : `; targets ended with ${counts}`;
}

function anonAndFile(bytes: EvictedStatus): string {
  return `anon ${bytesText(bytes.anon_bytes)}, file ${bytesText(bytes.file_bytes)}`;
}

/** `every 40 s, busy, 1 eviction stayed away, one is on trial` */
export function paceText({ pace }: TargetStatus): string {
  return joinParts([
    `every ${spanText(pace.period_secs)}`,
    pace.idle ? "idle" : "busy",
    pace.proofs === 0 ? "the next eviction is a sample" : `${countText(pace.proofs, "eviction")} stayed away`,
    pace.on_trial ? "one is on trial" : null,
    pace.rhythm_secs === null ? null : `came back after pauses of up to ${spanText(pace.rhythm_secs)}`,
  ]);
}

function endText(end: TargetStatus["last_end"]): string {
  return end === null ? "not yet" : `${end}: ${endReasonTexts[end]}`;
}

/** All that is known of a target. */
function targetLines(target: TargetStatus, terminal: Terminal): string[] {
  const { generations, settings } = target;
  const generationLines =
    generations === null
      ? fieldLines(terminal, "  generations", "not known to this backend")
      : generations.flatMap((one, index) =>
          fieldLines(
            terminal,
            index === 0 ? "  generations" : "",
            `${one.seq}: untouched for ${spanText(one.age_secs)}, ${anonAndFile(one)}`,
          ),
        );
  const settingTexts = Object.entries(settings).map(([key, value]) => `${key} ${String(value)}`);
  return [
    `${heading(terminal, escapeControls(target.path))} node ${target.node}`,
    ...fieldLines(
      terminal,
      "  size",
      joinParts([bytesText(target.size_bytes), `cold: ${anonAndFile(target.cold_bytes)}`]),
    ),
    ...generationLines,
    ...fieldLines(
      terminal,
      "  evicted",
      `${anonAndFile(target.evicted_bytes)}; last run: ${anonAndFile(target.last_evicted_bytes)}`,
    ),
    ...fieldLines(
      terminal,
      "  came back",
      target.refaulted_bytes === null ? "unknown" : bytesText(target.refaulted_bytes),
    ),
    ...fieldLines(
      terminal,
      "  runs",
      joinParts([
        countText(target.runs, "run"),
        `${target.skips} skipped`,
        countText(target.agings, "aging"),
        countText(target.evictions, "eviction"),
        target.sit_out > 0 ? `sits out ${target.sit_out} more` : null,
      ]),
    ),
    ...fieldLines(terminal, "  pace", paceText(target)),
    ...fieldLines(terminal, "  ended", joinParts([endText(target.last_end), countsText(target.ends)])),
    ...fieldLines(
      terminal,
      "  next run",
      target.next_run_secs === null ? "never" : `in ${spanText(target.next_run_secs)}`,
    ),
    ...fieldLines(
      terminal,
      "  pressure",
      joinParts([
        target.pressure_percent === null ? "unknown" : percentText(target.pressure_percent),
        target.pressure_source === null ? "no source" : `read from ${escapeControls(target.pressure_source)}`,
      ]),
    ),
    ...fieldLines(terminal, "  settings", settingTexts.join(", ")),
    ...fieldLines(terminal, "  rule", target.rule === null ? "none, the base settings" : escapeControls(target.rule)),
    ...(target.last_error === null ? [] : fieldLines(terminal, "  error", escapeControls(target.last_error), "red")),
  ];
}
