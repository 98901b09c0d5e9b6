/**
 * What stall times mean. Pressure Stall Information counts microseconds in which at least one task of a cgroup
 * or of its children waited (`some … total=`); see Documentation/accounting/psi.rst.
 */

/** `some` totals of one cgroup at one moment; null where the kernel has no such file. */
export interface StallTotals {
  readonly memoryUs: number | null;
  readonly ioUs: number | null;
}

/** A cgroup's totals and those of its direct children, by inode. */
export interface StallReading {
  readonly atMs: number;
  readonly self: StallTotals;
  readonly children: ReadonlyMap<number, StallTotals> | null;
}

export type StallResource = "memory" | "io";

/** Stall between two readings, the larger of memory and io, in microseconds; null where neither is known. */
export function stallUs(before: StallReading, after: StallReading): number | null {
  return largerStall(before, after)?.us ?? null;
}

function largerStall(
  before: StallReading,
  after: StallReading,
): { readonly resource: StallResource; readonly us: number } | null {
  const memory = ownStallUs(before, after, "memoryUs");
  const io = ownStallUs(before, after, "ioUs");
  if (io !== null && (memory === null || io > memory)) return { resource: "io", us: io };
  return memory === null ? null : { resource: "memory", us: memory };
}

/**
 * One resource's stall of the cgroup without its children. Children that stalled at the same time as each other are
 * counted more than once, so the result is a lower bound, and never negative. A child that is new counts from zero;
 * one that is gone counts for nothing, which leaves its stall with the parent: the careful side.
 */
function ownStallUs(before: StallReading, after: StallReading, resource: keyof StallTotals): number | null {
  const from = before.self[resource];
  const to = after.self[resource];
  if (from === null || to === null) return null;
  let own = to - from;
  if (after.children !== null) {
    for (const [identity, totals] of after.children) {
      own -= Math.max(0, (totals[resource] ?? 0) - (before.children?.get(identity)?.[resource] ?? 0));
    }
  }
  return Math.max(0, own);
}

/** Share of an interval in percent. An interval of no length has no share. */
export function stallPercent(stalledUs: number, elapsedMs: number): number {
  return elapsedMs <= 0 ? 0 : Math.min(100, stalledUs / (elapsedMs * 10));
}

/** True when the share is above the limit. Without a reading there is nothing to hold against a run. */
export function isAbove(percent: number | null, limitPercent: number): boolean {
  return percent !== null && percent > limitPercent;
}

/** The smallest share that a trigger of half a second can be armed with: one microsecond of it, rounded up. */
const triggerPercentMin = 0.001;

/** The share that a trigger is armed with, in percent; null where the limit can never be exceeded. */
export function triggerPercent(limitPercent: number): number | null {
  return limitPercent >= 100 ? null : Math.max(triggerPercentMin, limitPercent);
}

export interface StallShare {
  readonly resource: StallResource;
  readonly percent: number;
}

/**
 * A sliding share: stall since a reading that is between one and two windows old. Shorter than a window it is measured
 * against the whole window, as the kernel's own triggers do, so that one short stall at the very start of an
 * eviction does not look like a hundred percent.
 */
export class SlidingPressure {
  readonly windowMs: number;
  #older: StallReading;
  #newer: StallReading;

  constructor(start: StallReading, windowMs: number) {
    this.windowMs = windowMs;
    this.#older = start;
    this.#newer = start;
  }

  /** Share in percent up to this reading, null where nothing is known. */
  percent(reading: StallReading): number | null {
    return this.share(reading)?.percent ?? null;
  }

  /** As `percent`, with what was waited for. */
  share(reading: StallReading): StallShare | null {
    if (reading.atMs - this.#newer.atMs >= this.windowMs) {
      this.#older = this.#newer;
      this.#newer = reading;
    }
    const stalled = largerStall(this.#older, reading);
    if (stalled === null) return null;
    const elapsedMs = Math.max(this.windowMs, reading.atMs - this.#older.atMs);
    return { resource: stalled.resource, percent: stallPercent(stalled.us, elapsedMs) };
  }
}
