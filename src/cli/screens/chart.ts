/** A quantity over time as one line of blocks: time runs to the right, now is at the right edge. */

export interface Sample {
  /** Milliseconds on any clock. */
  readonly atMs: number;
  readonly value: number;
}

export interface Fold {
  readonly spanMs: number;
  /** How several samples in one column become one. */
  readonly fold: "sum" | "last" | "largest";
  /** Whether a column without a sample shows the one before it, or nothing. */
  readonly hold: boolean;
}

const eighths = " ▁▂▃▄▅▆▇█";

/** One value a column over the span that ends at `nowMs`, null where nothing is known. Samples are in order. */
export function foldSamples(
  samples: readonly Sample[],
  nowMs: number,
  columns: number,
  { spanMs, fold, hold }: Fold,
): (number | null)[] {
  const values: (number | null)[] = Array.from({ length: columns }, () => null);
  for (const { atMs, value } of samples) {
    const column = columns - 1 - Math.floor(((nowMs - atMs) * columns) / spanMs);
    if (column < 0 || column >= columns) continue;
    const before = values[column] ?? null;
    values[column] =
      before === null || fold === "last" ? value : fold === "sum" ? before + value : Math.max(before, value);
  }
  if (!hold) return values;
  let held: number | null = null;
  return values.map((value) => (held = value ?? held));
}

/** A block a value, as high as its part of the largest. A little is not nothing: the smallest block is shown. */
export function blocks(values: readonly (number | null)[]): string {
  const largest = Math.max(0, ...values.map((value) => value ?? 0));
  return values
    .map((value) => {
      if (value === null || value <= 0) return " ";
      return eighths[Math.max(1, Math.round((value / largest) * 8))] ?? " ";
    })
    .join("");
}
