/** What happened in the demo, over time: the values of the chart, and the moments that explain them. */

export interface Sample {
  /** Since the demo's guest was up. */
  readonly atSecs: number;
  /** What the host pays: the guest's memory that it holds. */
  readonly hostMiB: number;
  readonly idleMiB: number;
  readonly hotMiB: number;
}

export interface Moment {
  readonly atSecs: number;
  readonly text: string;
}

export type SeriesKey = "hostMiB" | "idleMiB" | "hotMiB";

export const seriesNames: Readonly<Record<SeriesKey, string>> = {
  hostMiB: "what the host pays",
  idleMiB: "idle workload",
  hotMiB: "hot workload",
};

export interface Course {
  readonly samples: readonly Sample[];
  /** Drawn into the chart: the agent's start, a compaction. */
  readonly marks: readonly Moment[];
}

/** The value in the middle, null of nothing. */
export function median(values: readonly number[]): number | null {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? null;
}

/** A round step of an axis that has about `steps` of them up to `largest`. */
export function roundStep(largest: number, steps: number): number {
  const raw = Math.max(largest, 1) / steps;
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * ([1, 2, 2.5, 5].find((factor) => factor * power >= raw) ?? 10);
}
