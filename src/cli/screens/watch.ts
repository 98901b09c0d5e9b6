/** `status --watch`: the last day as charts, the last runs, and the coldest cgroups. Arrow keys step back in time. */
import { bytesText, percentText, spanText } from "../../base/units.ts";
import type { AgentStatus, HistoryStatus, MemcgStatus } from "../../agent/status.ts";
import { blocks, foldSamples, type Fold, type Sample } from "./chart.ts";
import { historyColumns } from "./history.ts";
import { clockText, shortSpanText } from "./quantity.ts";
import { coldestLines, coldestSorts, statusLines, type ColdestSort } from "./status.ts";
import { renderTable } from "./table.ts";
import { paint, type Style, type Terminal } from "./terminal.ts";
import { cutText, padText, textWidth } from "./text.ts";

/** What the keys have chosen. */
export interface WatchView {
  readonly sort: ColdestSort;
  /** How many columns of the charts before now. */
  readonly stepsBack: number;
  readonly help: boolean;
}

export const firstView: WatchView = { sort: "cold", stepsBack: 0, help: false };

export type WatchKey = "quit" | "sort" | "refresh" | "help" | "back" | "forward";

const keys: Readonly<Record<string, WatchKey>> = {
  q: "quit",
  "\u0003": "quit",
  s: "sort",
  r: "refresh",
  "?": "help",
  "\u001b[D": "back",
  "\u001bOD": "back",
  "\u001b[C": "forward",
  "\u001bOC": "forward",
};

/** The keys in what a terminal sent at once; what means nothing is left out. */
export function keysOf(text: string): readonly WatchKey[] {
  // oxlint-disable-next-line no-control-regex -- keys are control characters
  const parts = text.match(/\u001b[[O][A-Z]|[^]/g) ?? [];
  return parts.flatMap((part) => keys[part] ?? []);
}

/** What a key makes of the view; `quit` and `refresh` leave it as it is. */
export function afterKey(view: WatchView, key: WatchKey, terminal: Terminal): WatchView {
  switch (key) {
    case "sort": {
      const next = coldestSorts[(coldestSorts.indexOf(view.sort) + 1) % coldestSorts.length];
      return { ...view, sort: next ?? view.sort };
    }
    case "back":
      return { ...view, stepsBack: Math.min(view.stepsBack + 1, chartColumns(terminal) - 1) };
    case "forward":
      return { ...view, stepsBack: Math.max(0, view.stepsBack - 1) };
    case "help":
      return { ...view, help: !view.help };
    case "quit":
    case "refresh":
      return view;
    default:
      return key satisfies never;
  }
}

export interface Watched {
  readonly status: AgentStatus;
  readonly memcg: MemcgStatus | null;
  readonly history: HistoryStatus | null;
  /** Why the last question went unanswered, null when it did not. */
  readonly unanswered: string | null;
}

type Minute = HistoryStatus["minutes"][number];

const labelColumns = 10;
const valueColumns = 10;
const spansHours = [1, 3, 6, 12, 24] as const;
const hourMs = 3_600_000;
const runsShown = 3;

function chartColumns(terminal: Terminal): number {
  return Math.max(10, (terminal.columns ?? 80) - labelColumns - valueColumns - 2);
}

/** The shortest span that holds what is known, so that a young daemon's charts are not one column wide. */
function spanMsOf(minutes: readonly Minute[], nowMs: number): number {
  const knownMs = nowMs - Date.parse(minutes[0]?.start ?? new Date(nowMs).toISOString());
  return (spansHours.find((hours) => hours * hourMs >= knownMs) ?? 24) * hourMs;
}

interface ChartLine {
  readonly label: string;
  readonly style: Style;
  readonly of: (minute: Minute) => number | null;
  readonly fold: Pick<Fold, "fold" | "hold">;
  readonly text: (value: number) => string;
}

const chartLines: readonly ChartLine[] = [
  { label: "Saved", style: "green", of: (one) => one.saved_bytes, fold: { fold: "last", hold: true }, text: bytesText },
  {
    label: "Came back",
    style: "yellow",
    of: (one) => one.refaulted_bytes,
    fold: { fold: "sum", hold: false },
    text: bytesText,
  },
  {
    label: "Stall",
    style: "magenta",
    of: (one) => one.stall_percent,
    fold: { fold: "largest", hold: false },
    text: percentText,
  },
];

/** A whole screen, as many lines as the terminal has rows but the last. */
export function renderWatch(watched: Watched, view: WatchView, nowMs: number, terminal: Terminal): string[] {
  const { status, memcg, history, unanswered } = watched;
  const minutes = history?.minutes ?? [];
  const columns = chartColumns(terminal);
  const spanMs = spanMsOf(minutes, nowMs);
  const shownMs = nowMs - (view.stepsBack * spanMs) / columns;
  const past = view.stepsBack > 0;
  const told = statusLines({ status, memcg, nowMs, brief: true }, terminal);
  const top = [
    ...(past ? [...told.slice(0, 1), pastLine(shownMs, nowMs)] : told),
    "",
    axisLine(spanMs, columns, view.stepsBack, terminal),
    ...chartLines.map((line) => chartLine(line, minutes, nowMs, shownMs, { columns, spanMs }, terminal)),
    ...runLines(minutes, shownMs, nowMs, terminal),
  ];
  const room = (terminal.rows ?? 24) - top.length - 4;
  const table = past ? [] : coldestLines(memcg?.targets ?? [], room, terminal, view.sort);
  const body = view.help ? [...told.slice(0, 1), "", ...helpLines] : [...top, ...table];
  const shown = body.slice(0, (terminal.rows ?? 24) - 2);
  return [...shown, bottomLine(view, unanswered, terminal)];
}

const helpLines: readonly string[] = [
  "q      ends it, as Ctrl-C does",
  "s      sorts the table by what is cold, by size, by what is saved, by path",
  "r      asks again at once; else every 2 s, cgroups 10 s, history a minute",
  "← →    step back in time and forth, a column of the charts each",
  "?      this, and back",
  "",
  "Saved: evicted, and not read back by the cgroup that it was taken from.",
  "Stall: largest share of a waiting period in which a cgroup stalled.",
];

function pastLine(shownMs: number, nowMs: number): string {
  const clock = clockText(new Date(shownMs).toISOString(), nowMs);
  return `At ${clock}, ${spanText(Math.round((nowMs - shownMs) / 1000))} ago; → goes forth`;
}

/** The time axis above the charts, with a mark where the arrow keys have stepped to. */
function axisLine(spanMs: number, columns: number, stepsBack: number, terminal: Terminal): string {
  const from = `${shortSpanText(spanMs / 1000)} ago`;
  const at = columns - 1 - stepsBack;
  const line = (from + padText("now", columns - from.length, "right")).split("");
  if (stepsBack > 0) line[at] = "▼";
  return " ".repeat(labelColumns + valueColumns + 2) + paint(terminal, "dim", line.join(""));
}

function chartLine(
  { label, style, of, fold, text }: ChartLine,
  minutes: readonly Minute[],
  nowMs: number,
  shownMs: number,
  { columns, spanMs }: { readonly columns: number; readonly spanMs: number },
  terminal: Terminal,
): string {
  const samples = minutes.flatMap((minute): Sample[] => {
    const value = of(minute);
    return value === null ? [] : [{ atMs: Date.parse(minute.start), value }];
  });
  const values = foldSamples(samples, nowMs, columns, { spanMs, ...fold });
  const value = values[columns - 1 - Math.round(((nowMs - shownMs) * columns) / spanMs)] ?? null;
  const head =
    padText(label, labelColumns, "left") + padText(value === null ? "-" : text(value), valueColumns, "right");
  return `${head}  ${paint(terminal, style, blocks(values).trimEnd())}`;
}

/** The last runs before that time, newest first. */
function runLines(minutes: readonly Minute[], untilMs: number, nowMs: number, terminal: Terminal): string[] {
  const runs = minutes.filter(({ start, runs }) => runs > 0 && Date.parse(start) <= untilMs).slice(-runsShown);
  return runs.length === 0 ? [] : ["", ...renderTable(historyColumns(nowMs), runs.toReversed(), terminal)];
}

function bottomLine({ sort }: WatchView, unanswered: string | null, terminal: Terminal): string {
  const width = terminal.columns ?? 80;
  if (unanswered !== null) return paint(terminal, "yellow", cutText(unanswered, width, "end"));
  const line = `q ends  s sorts (by ${sort})  r asks again  ← → step in time  ? help`;
  return paint(terminal, "dim", textWidth(line) <= width ? line : cutText(line, width, "end"));
}
