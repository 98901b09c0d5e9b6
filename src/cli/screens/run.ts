/** What a run did, for the person who asked for it. */
import { escapeControls } from "../../base/log-line.ts";
import { bytesText, spanText } from "../../base/units.ts";
import type { CompactRunReport, EvictedStatus, MemcgRunReport, RunReport } from "../../agent/status.ts";
import { compactRunText } from "./compact.ts";
import { bytesCell, evictedSum } from "./memcg.ts";
import { countText } from "./quantity.ts";
import { countsText, fieldLines, joinParts } from "./screen.ts";
import { renderTable, styled, type Cell, type Column } from "./table.ts";
import { paint, type Terminal } from "./terminal.ts";

export function renderRunReport(report: RunReport, nowMs: number, terminal: Terminal): string[] {
  return report.kind === "memcg" ? memcgLines(report, terminal) : compactLines(report, nowMs, terminal);
}

type TopTarget = MemcgRunReport["top"][number];

function movedBytes(one: Pick<TopTarget, "evicted_bytes" | "would_evict_bytes">): EvictedStatus {
  return one.would_evict_bytes ?? one.evicted_bytes;
}

const right = { align: "right", cut: null } as const;

const topColumns: readonly Column<TopTarget>[] = [
  { title: "CGROUP", align: "left", cut: "middle", leaveOut: null, cell: ({ path }) => escapeControls(path) },
  { title: "NODE", ...right, leaveOut: 1, cell: ({ node }) => String(node) },
  { title: "ANON", ...right, leaveOut: null, cell: (one) => bytesCell(movedBytes(one).anon_bytes) },
  { title: "FILE", ...right, leaveOut: null, cell: (one) => bytesCell(movedBytes(one).file_bytes) },
  { title: "ENDED", align: "left", cut: null, leaveOut: null, cell: ({ end }) => end },
];

function memcgLines(report: MemcgRunReport, terminal: Terminal): string[] {
  const moved = movedBytes(report);
  const { aged_before: before } = report;
  const verb = report.dry_run ? "Would evict" : "Evicted";
  const lines = [
    ...fieldLines(
      terminal,
      verb,
      `${bytesText(evictedSum(moved))}: anon ${bytesText(moved.anon_bytes)}, file ${bytesText(moved.file_bytes)}`,
      "bold",
    ),
    ...(report.dry_run ? [] : fieldLines(terminal, "Saved now", bytesText(report.saved_bytes))),
    ...fieldLines(
      terminal,
      "Targets",
      joinParts([
        String(report.targets),
        `${report.aged} aged`,
        before.targets === 0 ? null : `${before.targets} aged less than ${before.within_secs ?? 0} s ago`,
        `${report.skipped} skipped`,
        countsText(report.ends) === "" ? null : `ended with ${countsText(report.ends)}`,
      ]),
    ),
    ...fieldLines(
      terminal,
      "Took",
      `${spanText(report.wall_secs)}, ${spanText(report.cpu_secs)} of CPU, ${countText(report.batches, "batch", "batches")}`,
    ),
  ];
  if (report.top.length > 0) {
    lines.push("", ...renderTable(topColumns, report.top, terminal));
  }
  if (report.cold_by_age === null) {
    if (report.dry_run) lines.push(...fieldLines(terminal, "Ages", "not known to this backend"));
  } else if (report.cold_by_age.length > 0) lines.push("", ...histogramLines(report.cold_by_age, terminal));
  return lines;
}

const histogramColumns = 40;

type ColdByAge = NonNullable<MemcgRunReport["cold_by_age"]>;

/** Cold memory by age, one line an age; the bar is for terminals. */
export function histogramLines(coldByAge: ColdByAge, terminal: Terminal): string[] {
  const largest = Math.max(1, ...coldByAge.map(({ bytes }) => bytes));
  const bar = (bytes: number): Cell =>
    terminal.columns === null ? "" : styled("█".repeat(Math.round((bytes / largest) * histogramColumns)), "blue");
  const columns: readonly Column<ColdByAge[number]>[] = [
    { title: "UNTOUCHED FOR", ...right, leaveOut: null, cell: (one) => ageText(one, coldByAge) },
    { title: "MEMORY", ...right, leaveOut: null, cell: ({ bytes }) => bytesText(bytes) },
    { title: "", align: "left", cut: null, leaveOut: 1, cell: ({ bytes }) => bar(bytes) },
  ];
  return renderTable(columns, coldByAge, terminal);
}

/** Each line has what is older than the line before it and younger than the next. */
function ageText(one: ColdByAge[number], coldByAge: ColdByAge): string {
  const next = coldByAge[coldByAge.indexOf(one) + 1];
  return next === undefined
    ? `${spanText(one.age_secs)} and more`
    : `${spanText(one.age_secs)} to ${spanText(next.age_secs)}`;
}

function compactLines(report: CompactRunReport, nowMs: number, terminal: Terminal): string[] {
  const headline = report.compacted ? paint(terminal, "bold", "Compacted") : "Did not compact";
  return [
    headline,
    ...fieldLines(terminal, "Run", compactRunText(report, nowMs)),
    ...(report.after === null ? [] : fieldLines(terminal, "Free now", freeTextAfter(report))),
  ];
}

function freeTextAfter(report: CompactRunReport): string {
  const { after } = report;
  if (after === null) return "";
  return joinParts([
    `${bytesText(after.free_bytes)} free`,
    `${bytesText(after.order_bytes)} in blocks of the wanted order`,
    after.reportable_bytes === null ? null : `${bytesText(after.reportable_bytes)} reportable`,
  ]);
}
