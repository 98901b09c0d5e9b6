/** Synthetic workloads: which blocks of its memory a job touches, and when. */
import { spreadFactor } from "../../../src/core/spread.ts";

/** A week is modelled in blocks of 4 MiB, so that it takes well under a second. */
export const weekBlockPages = 1024;
export const pagesOfGib = 262_144;
const blocksOfGib = pagesOfGib / weekBlockPages;

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;
export const weekMs = 7 * dayMs;

/** Blocks `from` up to, but not with, `to`. */
export interface BlockRange {
  readonly from: number;
  readonly to: number;
}

export interface Workload {
  readonly name: string;
  readonly what: string;
  /** What is touched after `fromMs` and up to `toMs`. */
  touches(fromMs: number, toMs: number): readonly BlockRange[];
}

const nothing: readonly BlockRange[] = [];

/** True when a multiple of `everyMs` lies after `fromMs` and not after `toMs`. */
export function comesUp(everyMs: number, fromMs: number, toMs: number): boolean {
  return Math.floor(toMs / everyMs) !== Math.floor(fromMs / everyMs);
}

export function idle(blocks: number): Workload {
  const all = [{ from: 0, to: blocks }];
  return { name: "idle", what: "1 GiB read once", touches: (fromMs) => (fromMs === 0 ? all : nothing) };
}

export function periodic(name: string, what: string, everyMs: number, blocks: number): Workload {
  const all = [{ from: 0, to: blocks }];
  return {
    name,
    what,
    touches: (fromMs, toMs) => (fromMs === 0 || comesUp(everyMs, fromMs, toMs) ? all : nothing),
  };
}

/** Writes new blocks that nobody reads again, beside a hot eighth of a GiB. */
function growing(): Workload {
  const hot = { from: 0, to: blocksOfGib / 8 };
  const blocksAt = (atMs: number): number => hot.to + 2 * Math.floor(atMs / (10 * minuteMs));
  return {
    name: "growing",
    what: "8 MiB of new data every 10 min, 128 MiB hot",
    touches: (fromMs, toMs) => [hot, { from: blocksAt(fromMs), to: blocksAt(toMs) }],
  };
}

/** The same number in [0, 1) for the same ordinal, so that every simulation sees the same bursts. */
export function random(ordinal: number): number {
  return spreadFactor(1, ordinal, 100) - 1;
}

/** Busy for 20 minutes at random times, three hours apart on average, each time with a random half of 1 GiB. */
function bursty(): Workload {
  const bursts: { readonly atMs: number; readonly range: BlockRange }[] = [];
  for (let atMs = 0; atMs < weekMs && bursts.length < 1000;) {
    const ordinal = 2 * bursts.length;
    const from = Math.floor((random(ordinal) * blocksOfGib) / 2);
    bursts.push({ atMs, range: { from, to: from + blocksOfGib / 2 } });
    atMs += 20 * minuteMs - Math.log(1 - random(ordinal + 1)) * 3 * hourMs;
  }
  return {
    name: "bursty",
    what: "20 min at random times, about 3 h apart, half of 1 GiB",
    touches: (fromMs, toMs) =>
      bursts.filter(({ atMs }) => atMs <= toMs && fromMs < atMs + 20 * minuteMs).map(({ range }) => range),
  };
}

/** A job that comes hourly for three days and then never again. */
function ending(): Workload {
  const hourly = periodic("ending", "hourly for three days, then idle", hourMs, blocksOfGib);
  return { ...hourly, touches: (fromMs, toMs) => (toMs > 3 * dayMs ? nothing : hourly.touches(fromMs, toMs)) };
}

/** The workloads of the week. The horizon at the default period is about 40 minutes. */
export const weekWorkloads: readonly Workload[] = [
  idle(blocksOfGib),
  periodic("hot", "1 GiB read every minute", minuteMs, blocksOfGib),
  periodic("every 20 min", "1 GiB, sooner than the horizon", 20 * minuteMs, blocksOfGib),
  periodic("every hour", "1 GiB, later than the horizon", hourMs, blocksOfGib),
  periodic("every 4 h", "1 GiB, much later", 4 * hourMs, blocksOfGib),
  periodic("every day", "1 GiB, cheap at the limit", dayMs, blocksOfGib),
  growing(),
  bursty(),
  ending(),
];
