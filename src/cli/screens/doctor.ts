/** The report of `doctor`: one line a check, its remedy below. */
import type { Check, CheckState } from "../../agent/doctor/check.ts";
import { escapeControls } from "../../base/log-line.ts";
import { countText } from "./quantity.ts";
import { heading, joinParts } from "./screen.ts";
import { paint, type Style, type Terminal } from "./terminal.ts";
import { padText, textWidth, wrapText } from "./text.ts";

/** What `doctor --json` prints. */
export interface DoctorReport {
  readonly version: string;
  /** The worst state of all checks; `info` counts as ok. */
  readonly state: "ok" | "warning" | "failure";
  readonly failures: number;
  readonly warnings: number;
  /** How cold memory would be found; null when neither way can be used. */
  readonly backend: "lru_gen" | "memory_reclaim" | null;
  readonly backend_why: string;
  readonly checks: readonly Check[];
}

const styles: Readonly<Record<CheckState, Style>> = { ok: "green", info: "dim", warning: "yellow", failure: "red" };

/** `warning` is the longest. */
const stateColumns = 9;
const remedyMark = "-> ";

export function renderDoctor(report: DoctorReport, terminal: Terminal): string[] {
  const titleColumns = Math.max(...report.checks.map(({ title }) => textWidth(title))) + 2;
  const verdict =
    joinParts([
      report.failures === 0 ? null : countText(report.failures, "failure"),
      report.warnings === 0 ? null : countText(report.warnings, "warning"),
    ]) || "ok";
  const way = report.backend === null ? "nothing finds cold memory" : `cold memory is found by ${report.backend}`;
  return [
    `${heading(terminal, `mem-agent ${report.version}`)}  ${paint(terminal, styles[report.state], verdict)}`,
    `${way}: ${report.backend_why}`,
    "",
    ...report.checks.flatMap((check) => checkLines(check, titleColumns, terminal)),
  ];
}

function checkLines(check: Check, titleColumns: number, terminal: Terminal): string[] {
  const indent = " ".repeat(stateColumns + titleColumns);
  const room = terminal.columns === null ? null : Math.max(terminal.columns - indent.length, 20);
  const [first = "", ...rest] = wrapped(escapeControls(check.observed), room);
  const state = paint(terminal, styles[check.state], padText(check.state, stateColumns, "left"));
  const lines = [
    `${state}${padText(check.title, titleColumns, "left")}${first}`,
    ...rest.map((line) => `${indent}${line}`),
  ];
  // A remedy is there to be copied: it is never broken, but starts further left where it is long.
  for (const line of check.remedy?.split("\n") ?? []) {
    const text = `${remedyMark}${escapeControls(line)}`;
    const fits = room === null || textWidth(text) <= room;
    lines.push((fits ? indent : " ".repeat(stateColumns)) + paint(terminal, "cyan", text));
  }
  return lines;
}

function wrapped(text: string, room: number | null): string[] {
  return room === null ? [text] : wrapText(text, room);
}
