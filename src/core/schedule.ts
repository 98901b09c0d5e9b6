/** When targets are due. Times are milliseconds on the monotonic clock. */

const toleranceMsMax = 5_000;
const toleranceShare = 0.05;

/**
 * How much before its time a target may run so that it shares a wakeup with others: a twentieth of its period,
 * 5 seconds at most.
 */
export function toleranceMs(periodMs: number): number {
  return Math.min(toleranceMsMax, periodMs * toleranceShare);
}

/** When a target is due whose last run ended at `ranMs`; a target that never ran is due at once (null). */
export function dueMs(ranMs: number | null, periodMs: number, spreadFactor: number): number {
  return ranMs === null ? Number.NEGATIVE_INFINITY : ranMs + periodMs * spreadFactor;
}

/** True when a target with this due time belongs to a run that starts now. */
export function isDue(due: number, nowMs: number, periodMs: number): boolean {
  return due - toleranceMs(periodMs) <= nowMs;
}
