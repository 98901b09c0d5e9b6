/** `history` for people: a line of charts and a table with a row for each step of time in which something ran. */
import { bytesText, percentText, spanText } from "../../base/units.ts";
import type { HistoryStatus } from "../../agent/status.ts";
import { bytesCell } from "./memcg.ts";
import { clockText, countText } from "./quantity.ts";
import { fieldLines } from "./screen.ts";
import { renderTable, type Column } from "./table.ts";
import type { Terminal } from "./terminal.ts";

type Minute = HistoryStatus["minutes"][number];

const rowsMax = 24;
const stepsMinutes = [1, 2, 5, 10, 15, 30, 60] as const;

/** Several minutes as one: sums, the last of what is away, the largest stall. */
export function foldMinutes(minutes: readonly Minute[], stepMinutes: number): readonly Minute[] {
  const rows: Minute[] = [];
  let step: number | null = null;
  for (const minute of minutes) {
    const at = Math.floor(Date.parse(minute.start) / 60_000 / stepMinutes);
    const last = rows.at(-1);
    if (last === undefined || at !== step) rows.push(minute);
    else rows[rows.length - 1] = joined(last, minute);
    step = at;
  }
  return rows;
}

function joined(first: Minute, next: Minute): Minute {
  const stalls = [first.stall_percent, next.stall_percent].filter((percent) => percent !== null);
  return {
    start: first.start,
    runs: first.runs + next.runs,
    evicted_bytes: first.evicted_bytes + next.evicted_bytes,
    refaulted_bytes: first.refaulted_bytes + next.refaulted_bytes,
    saved_bytes: next.saved_bytes ?? first.saved_bytes,
    stall_percent: stalls.length === 0 ? null : Math.max(...stalls),
    compactions: first.compactions + next.compactions,
    held_back: next.held_back ?? first.held_back,
  };
}

/** A row of history; times are shown against `nowMs`. */
export function historyColumns(nowMs: number): Column<Minute>[] {
  const right = { align: "right", cut: null } as const;
  return [
    { title: "FROM", align: "left", cut: null, leaveOut: null, cell: ({ start }) => clockText(start, nowMs) },
    { title: "RUNS", ...right, leaveOut: 2, cell: ({ runs }) => String(runs) },
    { title: "EVICTED", ...right, leaveOut: null, cell: ({ evicted_bytes: bytes }) => bytesCell(bytes) },
    { title: "CAME BACK", ...right, leaveOut: null, cell: ({ refaulted_bytes: bytes }) => bytesCell(bytes) },
    { title: "SAVED", ...right, leaveOut: null, cell: ({ saved_bytes: bytes }) => bytesCell(bytes) },
    {
      title: "STALL",
      ...right,
      leaveOut: 1,
      cell: ({ stall_percent: percent }) => (percent === null ? "-" : percentText(percent)),
    },
    { title: "COMPACTED", ...right, leaveOut: 3, cell: ({ compactions }) => String(compactions) },
    { title: "WHY NOT MORE", align: "left", cut: "end", leaveOut: null, cell: ({ held_back: why }) => why ?? "-" },
  ];
}

export function renderHistory(
  { minutes }: HistoryStatus,
  spanSecs: number,
  nowMs: number,
  terminal: Terminal,
): string[] {
  if (minutes.length === 0) return [`Nothing ran in the last ${spanText(spanSecs)}.`];
  const step = stepsMinutes.find((each) => spanSecs / 60 / each <= rowsMax) ?? 60;
  const rows = foldMinutes(minutes, step);
  const sum = (of: (minute: Minute) => number): number => minutes.reduce((all, minute) => all + of(minute), 0);
  const saved = minutes.findLast(({ saved_bytes: bytes }) => bytes !== null)?.saved_bytes ?? 0;
  const evicted = bytesText(sum(({ evicted_bytes: bytes }) => bytes));
  const back = bytesText(sum(({ refaulted_bytes: bytes }) => bytes));
  return [
    ...fieldLines(
      terminal,
      "Saved now",
      `${bytesText(saved)}; in the last ${spanText(spanSecs)}: evicted ${evicted}, came back ${back}`,
    ),
    ...fieldLines(terminal, "Steps", `${countText(step, "minute")} a row; rows in which nothing ran are left out`),
    "",
    ...renderTable(historyColumns(nowMs), rows, terminal),
  ];
}
