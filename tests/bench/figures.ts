/** What the benchmark measured: each figure the median of its runs, beside its reference of the same run and its limit. */

export type Unit = "s" | "ms" | "us" | "MiB" | "count" | "bytes" | "percent";

export interface Reference {
  /** What it is compared with, in words. */
  readonly name: string;
  readonly runs: readonly number[];
}

export interface Figure {
  readonly part: string;
  readonly name: string;
  readonly unit: Unit;
  readonly runs: readonly number[];
  readonly reference?: Reference;
  /** What SPEC 9 allows: of the figure itself, or of its ratio to the reference. */
  readonly limit?: { readonly of: "value" | "ratio"; readonly max: number };
}

/** The middle one; of an even number the mean of the two in the middle. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The figure's median divided by its reference's; null without one, or where that is nothing. */
export function ratioOf({ runs, reference }: Figure): number | null {
  const against = reference === undefined ? 0 : median(reference.runs);
  return against === 0 ? null : median(runs) / against;
}

/** Null where there is no limit. */
export function isWithin(figure: Figure): boolean | null {
  if (figure.limit === undefined) return null;
  const value = figure.limit.of === "value" ? median(figure.runs) : ratioOf(figure);
  return value !== null && value <= figure.limit.max;
}

/** The form of dist/bench.json. */
export function figureJson(figure: Figure): Readonly<Record<string, unknown>> {
  const { part, name, unit, runs, reference, limit } = figure;
  return {
    part,
    name,
    unit,
    median: median(runs),
    runs,
    reference: reference === undefined ? null : { ...reference, median: median(reference.runs) },
    ratio: ratioOf(figure),
    limit: limit ?? null,
    within: isWithin(figure),
  };
}

/** A table in Markdown, so that it can go into a document as it is. */
export function figureTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const ratio = ratioOf(figure);
    const { reference, unit, limit } = figure;
    const within = isWithin(figure);
    return [
      figure.part,
      figure.name,
      shown(median(figure.runs), unit),
      reference === undefined ? "" : `${shown(median(reference.runs), unit)} (${reference.name})`,
      ratio === null ? "" : ratio.toPrecision(3),
      limit === undefined ? "" : limit.of === "ratio" ? `${limit.max} x` : shown(limit.max, unit),
      within === null ? "" : within ? "yes" : "NO",
    ];
  });
  const head = ["part", "figure", "median", "reference", "ratio", "limit", "met"];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

function shown(value: number, unit: Unit): string {
  if (unit === "count" || unit === "bytes") return Math.round(value).toLocaleString("en").replaceAll(",", " ");
  return `${Number(value.toPrecision(3))} ${unit === "percent" ? "%" : unit}`;
}
