/**
 * What evictions save: the bytes that are away now, and their integral over time. That is what a host is spared, while
 * the bytes that were ever evicted only say how busy the agent was.
 */

export interface SavedState {
  /** Evicted, and not read back by now. */
  readonly bytes: number;
  /** The integral of `bytes` since the start. */
  readonly byteSecs: number;
  /** Monotonic clock. */
  readonly atMs: number;
}

/** Evicted less what came back; where what came back is not known (null), all that was evicted counts. */
export function savedBytes(evictedBytes: number, refaultedBytes: number | null): number {
  return Math.max(0, evictedBytes - (refaultedBytes ?? 0));
}

/** The state at `nowMs`, from which on `bytes` are away. */
export function noteSaved(before: SavedState, nowMs: number, bytes: number): SavedState {
  const secs = Math.max(0, nowMs - before.atMs) / 1000;
  return { bytes, byteSecs: before.byteSecs + before.bytes * secs, atMs: nowMs };
}
