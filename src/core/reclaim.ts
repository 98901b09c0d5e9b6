/**
 * What to evict where the multi-gen LRU cannot be asked: by amount, through memory.reclaim of cgroup v2 (5.19 and later;
 * Documentation/admin-guide/cgroup-v2.rst).
 *
 * No ages are known. What stands in for them:
 * - The inactive lists. The kernel takes from their end, where the pages are that were inactive for longest. Only what
 *   was inactive in each of the last `eviction_run_aging_count_min` runs counts as cold, and at most a quarter of it is
 *   taken in one run: what has just become inactive has three periods to be touched before it comes to the end.
 * - What comes back. Steps start at 1/32, double while nothing returns, and shrink when something does; above the
 *   limit the cgroup sits out, as with lru_gen (see refault.ts).
 * - A cgroup whose pages are all active may be idle too, as nothing but reclaim makes pages inactive. A quarter of its
 *   pages counts as candidates; a wrong guess is small and seen in the next run.
 *
 * memory.reclaim acts on a whole subtree, and its children have settings and protection of their own. So only cgroups
 * without children that hold memory are reclaimed; what an inner cgroup holds itself cannot be reached alone.
 */
import type { MemcgSettings } from "../config/schema.ts";
import { chooseSwappiness, swapFreePagesMin } from "./eviction.ts";
import type { EndReason } from "./reason.ts";
import type { RefaultVerdict } from "./refault.ts";

/** The lists of one cgroup, from memory.stat, in pages. */
export interface ListSizes {
  readonly inactiveFilePages: number;
  readonly activeFilePages: number;
  readonly inactiveAnonPages: number;
  readonly activeAnonPages: number;
}

interface Inactive {
  readonly filePages: number;
  readonly anonPages: number;
}

export interface ReclaimState {
  /** Inactive pages in the last runs, newest last. */
  readonly seen: readonly Inactive[];
  readonly runs: number;
  /** A step is 1/`stepDivisor` of what counts as cold. A power of two. */
  readonly stepDivisor: number;
}

export interface ReclaimInput {
  readonly sizes: ListSizes;
  readonly state: ReclaimState;
  readonly settings: Pick<MemcgSettings, "swap" | "swappiness_max" | "eviction_run_aging_count_min">;
  readonly swapFreePages: number;
  /** What memory.swap.max of the cgroup and its parents leaves; null without any limit. */
  readonly swapRoomPages: number | null;
  /** Pages above memory.min and memory.low of the cgroup and its parents; null where nothing is protected. */
  readonly unprotectedPages: number | null;
  /** Whether memory.reclaim takes `swappiness=` (seen: 6.12 and 7.2 do, 6.1 does not). */
  readonly takesSwappiness: boolean;
  readonly childrenHoldMemory: boolean;
}

export type ReclaimPlan =
  | {
      readonly do: "reclaim";
      readonly pages: number;
      /** Second word of the request; null where the kernel takes none. */
      readonly swappiness: number | null;
      /** The reason that the target ends with once `pages` are gone. */
      readonly endsWith: EndReason;
    }
  | { readonly do: "end"; readonly why: EndReason };

const stepDivisorMin = 4;
const stepDivisorAtStart = 32;
const stepDivisorMax = 256;
/** Share of a cgroup's pages that are candidates though they are active. */
const activeDivisor = 4;
/** The kernel reclaims in clusters of 32; smaller steps than a few of them would never end. */
const stepPagesMin = 256;
const coldPagesMin = 64;
const seenRunsMax = 8;

export const newReclaim: ReclaimState = { seen: [], runs: 0, stepDivisor: stepDivisorAtStart };

/** How much to reclaim of a cgroup in this run, or why nothing. */
export function planReclaim(input: ReclaimInput): ReclaimPlan {
  const { sizes, state, settings } = input;
  if (input.childrenHoldMemory || state.runs < settings.eviction_run_aging_count_min) {
    return { do: "end", why: "not_ready" };
  }
  const swapping = settings.swap && settings.swappiness_max > 0;
  // Without the word the kernel swaps as vm.swappiness says, and nobody allowed it to.
  if (!swapping && !input.takesSwappiness && input.swapFreePages > 0) return { do: "end", why: "not_ready" };

  const swapFreePages = Math.min(Math.max(0, input.swapFreePages - swapFreePagesMin), input.swapRoomPages ?? Infinity);
  const swapRoomPages = swapping ? swapFreePages : 0;
  const anonPages = Math.min(
    swapRoomPages,
    candidates(sizes.inactiveAnonPages, sizes.activeAnonPages, seenOf(input, "anonPages")),
  );
  const filePages = candidates(sizes.inactiveFilePages, sizes.activeFilePages, seenOf(input, "filePages"));
  const coldPages = filePages + anonPages;
  if (coldPages < coldPagesMin) {
    const swapFull = swapping && swapRoomPages === 0 && sizes.inactiveAnonPages >= coldPagesMin;
    return { do: "end", why: swapFull ? "swap_full" : "nothing_cold" };
  }
  const unprotected = input.unprotectedPages ?? coldPages;
  if (unprotected <= 0) return { do: "end", why: "protected" };
  const stepPages = Math.min(coldPages, Math.max(stepPagesMin, Math.floor(coldPages / state.stepDivisor)));
  return {
    do: "reclaim",
    pages: Math.min(stepPages, unprotected),
    swappiness: input.takesSwappiness ? chooseSwappiness(anonPages, filePages, settings.swappiness_max) : null,
    endsWith: unprotected < stepPages ? "protected" : "evicted",
  };
}

/** How many pages of one type may be taken for cold. */
function candidates(inactivePages: number, activePages: number, seenPages: readonly number[]): number {
  const longInactive = Math.min(inactivePages, ...seenPages);
  return Math.max(longInactive, Math.floor((inactivePages + activePages) / activeDivisor));
}

function seenOf(input: ReclaimInput, type: keyof Inactive): readonly number[] {
  const runs = Math.min(seenRunsMax, input.settings.eviction_run_aging_count_min);
  return runs === 0 ? [] : input.state.seen.slice(-runs).map((seen) => seen[type]);
}

/** What a run did, whether it reclaimed or not. */
export interface ReclaimRun {
  /** The lists before the run. */
  readonly sizes: ListSizes;
  readonly askedPages: number;
  readonly reclaimedPages: number;
  /** Of the judgement before this run, about the runs before it. */
  readonly verdict: RefaultVerdict;
  /** What that judgement saw come back. */
  readonly returnedPages: number;
}

/** The state after a run; called at the end of each, also of those in which nothing was reclaimed. */
export function noteReclaimRun(state: ReclaimState, run: ReclaimRun): ReclaimState {
  const inactive = { filePages: run.sizes.inactiveFilePages, anonPages: run.sizes.inactiveAnonPages };
  return {
    seen: [...state.seen, inactive].slice(-seenRunsMax),
    runs: state.runs + 1,
    stepDivisor: nextStepDivisor(state.stepDivisor, run),
  };
}

function nextStepDivisor(divisor: number, run: ReclaimRun): number {
  if (run.verdict === "costly") return Math.min(stepDivisorMax, divisor * 4);
  if (run.returnedPages >= stepPagesMin) return Math.min(stepDivisorMax, divisor * 2);
  if (run.askedPages === 0) return divisor;
  // The kernel found little to take: a larger request would only scan longer.
  if (run.reclaimedPages * 2 < run.askedPages) return Math.min(stepDivisorMax, divisor * 2);
  return Math.max(stepDivisorMin, divisor / 2);
}
