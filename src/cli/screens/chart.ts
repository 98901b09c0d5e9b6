/** A quantity over the last minutes as a chart of blocks: time runs to the right, now is at the right edge. */
import { paint, type Style, type Terminal } from "./terminal.ts";
import { padText } from "./text.ts";

export interface Sample {
  /** Monotonic milliseconds. */
  readonly atMs: number;
  readonly value: number;
}

export interface ChartAbout {
  readonly title: string;
  readonly style: Style;
  readonly spanSecs: number;
  readonly rows: number;
  /** How several samples in one column become one: their sum, or the last. */
  readonly fold: "sum" | "last";
  /** Whether a column without a sample shows the one before it, or nothing. */
  readonly hold: boolean;
  readonly valueText: (value: number) => string;
}

const eighths = " ▁▂▃▄▅▆▇█";
const scaleColumns = 10;

/** One value a column over the span, null where nothing is known. */
export function foldSamples(
  samples: readonly Sample[],
  nowMs: number,
  columns: number,
  about: Pick<ChartAbout, "spanSecs" | "fold" | "hold">,
): (number | null)[] {
  const columnMs = (about.spanSecs * 1000) / columns;
  const values: (number | null)[] = Array.from({ length: columns }, () => null);
  for (const { atMs, value } of samples) {
    const column = columns - 1 - Math.floor((nowMs - atMs) / columnMs);
    if (column < 0 || column >= columns) continue;
    values[column] = about.fold === "sum" ? (values[column] ?? 0) + value : value;
  }
  if (!about.hold) return values;
  let held: number | null = null;
  return values.map((value) => (held = value ?? held));
}

/** A column's block in a row counted from the bottom: full below its height, a part of eight at it. */
function block(value: number | null, largest: number, row: number, rows: number): string {
  if (value === null || largest <= 0) return " ";
  const height = (value / largest) * rows * 8;
  // A little is not nothing: the smallest part is shown.
  const filled = Math.min(8, Math.max(row === 0 && value > 0 ? 1 : 0, Math.round(height - row * 8)));
  return eighths[filled] ?? " ";
}

/** The chart's lines: title, rows with the scale at the left, and the time below. */
export function renderChart(
  samples: readonly Sample[],
  nowMs: number,
  about: ChartAbout,
  terminal: Terminal,
): string[] {
  const columns = Math.max(10, (terminal.columns ?? 80) - scaleColumns - 1);
  const values = foldSamples(samples, nowMs, columns, about);
  const largest = Math.max(0, ...values.map((value) => value ?? 0));
  const lines = [paint(terminal, "bold", about.title)];
  for (let row = about.rows - 1; row >= 0; row--) {
    const scale = row === about.rows - 1 ? about.valueText(largest) : row === 0 ? about.valueText(0) : "";
    const blocks = values
      .map((value) => block(value, largest, row, about.rows))
      .join("")
      .trimEnd();
    lines.push(`${padText(scale, scaleColumns, "right")} ${paint(terminal, about.style, blocks)}`.trimEnd());
  }
  const from = `${Math.round(about.spanSecs / 60)} min ago`;
  const time = from + padText("now", columns - from.length, "right");
  lines.push(" ".repeat(scaleColumns + 1) + paint(terminal, "dim", time));
  return lines;
}
