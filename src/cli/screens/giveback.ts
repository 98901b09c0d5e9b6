/** What giving back did, for the person who asked for it. */
import type { GivebackReport } from "../../agent/status.ts";
import { escapeControls } from "../../base/log-line.ts";
import { bytesText, spanText } from "../../base/units.ts";
import { givebackLeftTexts } from "../../core/giveback.ts";
import { countText } from "./quantity.ts";
import { fieldLines, joinParts } from "./screen.ts";
import type { Terminal } from "./terminal.ts";

const slabTexts: Readonly<Record<GivebackReport["slab"], string | null>> = {
  not_asked: null,
  done: null,
  no_time: "slab left: there was not enough time",
  not_over: "slab is still being dropped",
  failed: "slab could not be dropped",
};

export function renderGiveback(report: GivebackReport, terminal: Terminal): string[] {
  const { file_bytes: file, anon_bytes: anon, slab_bytes: slab } = report.freed_bytes;
  const parts = [
    `file ${bytesText(file)}`,
    `anon ${bytesText(anon)}`,
    report.slab === "not_asked" ? null : `slab ${bytesText(slab)}`,
  ];
  const { compaction } = report;
  const slabText = slabTexts[report.slab];
  return [
    ...fieldLines(terminal, "Given back", `${bytesText(file + anon + slab)}: ${joinParts(parts)}`, "bold"),
    ...fieldLines(terminal, "Free", changeText(report, "free_bytes")),
    ...fieldLines(terminal, "Reportable", changeText(report, "reportable_bytes")),
    ...report.left.flatMap(({ why, bytes, targets }, index) =>
      fieldLines(
        terminal,
        index === 0 ? "Left" : "",
        `${bytesText(bytes)} of ${countText(targets, "target")}, ${why}: ${givebackLeftTexts[why]}`,
      ),
    ),
    ...fieldLines(terminal, "Compaction", compaction.end === null ? `none: ${compaction.why}` : compaction.end),
    ...(slabText === null ? [] : fieldLines(terminal, "Slab", slabText)),
    ...report.problems.flatMap((problem) => fieldLines(terminal, "Problem", escapeControls(problem), "red")),
    ...fieldLines(
      terminal,
      "Took",
      joinParts([
        `${spanText(report.wall_secs)} of ${spanText(report.within_secs)}`,
        countText(report.batches, "batch", "batches"),
        countText(report.agings, "aging"),
        report.took_over_run ? "a run was stopped for it" : null,
      ]),
    ),
  ];
}

function changeText({ before, after }: GivebackReport, key: "free_bytes" | "reportable_bytes"): string {
  const [was, now] = [before?.[key] ?? null, after?.[key] ?? null];
  if (was === null || now === null) return key === "free_bytes" ? "unknown" : "nothing is reported to a host";
  return `${bytesText(was)} before, ${bytesText(now)} now`;
}
