/** When an agent that runs is not well all the same: nothing can be evicted, or most of it comes back. Pure. */
import type { EndReason } from "./reason.ts";

/** Ends that say nothing of whether the kernel lets memory be evicted. */
const noVerdict: ReadonlySet<EndReason> = new Set(["disabled", "vanished", "stopped"]);

/** True when each target's last part of a run ended with an error, of those that say anything, and there is one. */
export function allFailed(lastEnds: Iterable<EndReason | null>): boolean {
  let failed = false;
  for (const end of lastEnds) {
    if (end === null || noVerdict.has(end)) continue;
    if (end !== "error") return false;
    failed = true;
  }
  return failed;
}

/** What went and what was read again within an hour. */
export interface HourTotals {
  readonly evictedBytes: number;
  readonly refaultedBytes: number;
}

/** Below it the samples are most of what went: they are there to learn from. The alert rule says the same. */
const evictedBytesMin = 100 * 2 ** 20;
const shareMax = 0.5;
/** … until it is well below, so that it does not come and go. */
const shareOver = 1 / 3;

/** True when most of what was evicted within the hour came back; `was` it so the last time it was asked? */
export function mostCameBack({ evictedBytes, refaultedBytes }: HourTotals, was: boolean): boolean {
  if (evictedBytes < evictedBytesMin) return false;
  return refaultedBytes > evictedBytes * (was ? shareOver : shareMax);
}
