/** `compactstatus` for people. */
import { bytesText, percentText, spanText } from "../../base/units.ts";
import type { CompactRunReport, CompactStatus, FreeStatus } from "../../agent/status.ts";
import { clockText, countText } from "./quantity.ts";
import { countsText, fieldLines, joinParts } from "./screen.ts";
import type { Terminal } from "./terminal.ts";

/** `on, 12 runs, 3 compactions, next in 4 min`. */
export function compactSummary(compact: CompactStatus): string {
  if (compact.disabled) return "disabled";
  return joinParts([
    compact.running ? "running now" : null,
    compact.dry_run ? "dry run: nothing is compacted" : null,
    countText(compact.runs, "run"),
    countText(compact.compactions, "compaction"),
    compact.next_run_secs === null ? null : `next in ${spanText(compact.next_run_secs)}`,
  ]);
}

export function freeText(free: FreeStatus, order: number, reportingOrder: number | null): string {
  return joinParts([
    `${bytesText(free.free_bytes)} free`,
    `${bytesText(free.order_bytes)} in blocks of order ${order} and above`,
    free.reportable_bytes === null
      ? "nothing is reported to a host"
      : `${bytesText(free.reportable_bytes)} reportable${reportingOrder === null ? "" : ` (order ${reportingOrder})`}`,
  ]);
}

/** What a compaction gained: `fragmented: free memory …; done after 1.2 s; blocks of order 9: 1.0 GiB to 1.4 GiB`. */
export function compactRunText(report: CompactRunReport, nowMs: number): string {
  const { before, after } = report;
  const parts = [`${clockText(report.started, nowMs)}: ${report.why}`];
  if (report.compacted) parts.push(`${report.end ?? "running"} after ${spanText(report.wall_secs)}`);
  for (const why of [report.stall, report.error]) if (why !== null) parts.push(why);
  if (before !== null && after !== null) {
    parts.push(`wanted blocks ${bytesText(before.order_bytes)} to ${bytesText(after.order_bytes)}`);
    if (before.reportable_bytes !== null && after.reportable_bytes !== null) {
      parts.push(`reportable ${bytesText(before.reportable_bytes)} to ${bytesText(after.reportable_bytes)}`);
    }
  }
  return parts.join("; ");
}

export function renderCompactStatus(status: CompactStatus, nowMs: number, terminal: Terminal): string[] {
  const { settings, last_run: lastRun, last_compaction: lastCompaction } = status;
  const settingTexts = Object.entries(settings).map(([key, value]) => `${key} ${String(value)}`);
  return [
    ...fieldLines(terminal, "Compaction", compactSummary(status)),
    ...(status.free === null
      ? []
      : fieldLines(terminal, "Free", freeText(status.free, settings.order, status.reporting_order))),
    ...fieldLines(terminal, "Last run", lastRun === null ? "none yet" : compactRunText(lastRun, nowMs)),
    ...(lastRun === null || lastRun.pressure_percent === null
      ? []
      : fieldLines(terminal, "Pressure", `${percentText(lastRun.pressure_percent)} over the last waiting period`)),
    ...(lastCompaction === null || lastCompaction.run === lastRun?.run
      ? []
      : fieldLines(terminal, "Compacted", compactRunText(lastCompaction, nowMs))),
    ...fieldLines(terminal, "Decisions", countsText(status.decisions) || "none yet"),
    ...fieldLines(terminal, "Ended", countsText(status.ends) || "none yet"),
    ...fieldLines(
      terminal,
      "Since then",
      joinParts([
        `${countText(status.runs_since_compaction, "run")} without a compaction`,
        `${bytesText(status.evicted_since_compaction_bytes)} evicted`,
        status.wanted === null ? null : `a compaction is wanted: ${status.wanted}`,
      ]),
    ),
    ...fieldLines(terminal, "Settings", settingTexts.join(", ")),
  ];
}
