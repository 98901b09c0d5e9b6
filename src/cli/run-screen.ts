/** What a run did, for the person who asked for it. */
import { escapeControls } from "../base/log-line.ts";
import { bytesText, spanText } from "../base/units.ts";
import type { CompactRunReport, MemcgRunReport, RunReport } from "../agent/status.ts";
import { compactRunText } from "./compact-screen.ts";
import { evictedSum } from "./memcg-screen.ts";
import { countText } from "./quantity.ts";
import { countsText, fieldLines, joinParts } from "./screen.ts";
import { renderTable, type Column } from "./table.ts";
import { paint, type Terminal } from "./terminal.ts";

export function renderRunReport(report: RunReport, nowMs: number, terminal: Terminal): string[] {
  return report.kind === "memcg" ? memcgLines(report, terminal) : compactLines(report, nowMs, terminal);
}

const topColumns: readonly Column[] = [
  { title: "CGROUP", align: "left", cut: "start", leaveOut: null },
  { title: "NODE", align: "right", cut: null, leaveOut: 1 },
  { title: "ANON", align: "right", cut: null, leaveOut: null },
  { title: "FILE", align: "right", cut: null, leaveOut: null },
  { title: "ENDED", align: "left", cut: null, leaveOut: null },
];

function memcgLines(report: MemcgRunReport, terminal: Terminal): string[] {
  const moved = report.would_evict_bytes ?? report.evicted_bytes;
  const verb = report.dry_run ? "Would evict" : "Evicted";
  const lines = [
    ...fieldLines(
      terminal,
      verb,
      `${bytesText(evictedSum(moved))}: anon ${bytesText(moved.anon_bytes)}, file ${bytesText(moved.file_bytes)}`,
      "bold",
    ),
    ...fieldLines(
      terminal,
      "Targets",
      joinParts([
        String(report.targets),
        `${report.aged} aged`,
        `${report.skipped} skipped`,
        countsText(report.ends) === "" ? null : `ended with ${countsText(report.ends)}`,
      ]),
    ),
    ...fieldLines(
      terminal,
      "Took",
      `${spanText(report.wall_secs)}, ${spanText(report.cpu_secs)} of CPU, ${countText(report.batches, "batch").replace("batchs", "batches")}`,
    ),
  ];
  if (report.top.length > 0) {
    const rows = report.top.map((one) => {
      const bytes = one.would_evict_bytes ?? one.evicted_bytes;
      return [
        escapeControls(one.path),
        String(one.node),
        bytesText(bytes.anon_bytes),
        bytesText(bytes.file_bytes),
        one.end,
      ];
    });
    lines.push("", ...renderTable(topColumns, rows, terminal));
  }
  if (report.cold_by_age.length > 0) lines.push("", ...histogramLines(report.cold_by_age, terminal));
  return lines;
}

const histogramColumns = 40;

/** Cold memory by age, one line an age; the bar is for terminals. */
export function histogramLines(coldByAge: MemcgRunReport["cold_by_age"], terminal: Terminal): string[] {
  const largest = Math.max(1, ...coldByAge.map(({ bytes }) => bytes));
  const columns: Column[] = [
    { title: "UNTOUCHED FOR", align: "right", cut: null, leaveOut: null },
    { title: "MEMORY", align: "right", cut: null, leaveOut: null },
    { title: "", align: "left", cut: null, leaveOut: 1 },
  ];
  const rows = coldByAge.map(({ age_secs: ageSecs, bytes }) => [
    `${spanText(ageSecs)} and more`,
    bytesText(bytes),
    terminal.columns === null
      ? ""
      : ({ text: "█".repeat(Math.round((bytes / largest) * histogramColumns)), style: "blue" } as const),
  ]);
  return renderTable(columns, rows, terminal);
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
