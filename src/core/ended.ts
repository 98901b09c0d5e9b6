/**
 * Ended units: the page cache of cgroups that were removed, and how much of it goes now.
 *
 * Up to Linux 6.12 the cache of a removed cgroup stays with it, under lru_gen's id 0, where no command reaches it; later
 * kernels hand it to the parent. What reaches it is `memory.reclaim` of the nearest living parent, which goes round all
 * that is below it: of what was removed the kernel takes everything that it comes across, of what lives 64 pages in each
 * round (seen on 6.1 and 6.12). So steps are small, and it ends when the living lose more than a fraction of it.
 *
 * Pages only ever leave a removed cgroup, so that those of a cgroup which ended a while ago were all brought in before.
 * How much came back nobody counts, since others read it: io stall stands in for it, as in refault.ts. A sample would be too
 * small for that to show, so there is none.
 * See Documentation/admin-guide/cgroup-v2.rst, memory.reclaim.
 */
import { isFixedPace, quietMsMin, samplePagesMin, type PaceLimits } from "./pace.ts";

/** How what ended below one living cgroup was left by the last run, and what that means. */
export const endedEndTexts = {
  evicted: "all that was old was evicted",
  fresh: "too much of it ended only a moment ago",
  living_lost: "living cgroups beside it lost pages too; it is tried again later",
  no_progress: "the kernel freed nothing of it",
  pressure: "what lives beside it stalled more than the limit allows",
  refaults: "what lives beside it had to read again; sitting out",
  disabled: "disabled by the settings",
  spared: "a rule disables a cgroup beside it, and the kernel cannot leave that one out",
  no_file:
    "the nearest living cgroup has no memory.reclaim (the root has none, nor has cgroup v1, nor a kernel before 5.19)",
  swap: "this kernel cannot be asked for file pages alone (Linux 6.10 can), and swap has room",
  stopped: "the agent was asked to stop or its settings changed",
  error: "the kernel refused; see the log",
} as const;

export type EndedEnd = keyof typeof endedEndTexts;

/** What is known of the cache that ended below one living cgroup. */
export interface EndedState {
  /** From when on it is followed, on the monotonic clock; null before the first scan. */
  readonly sinceMs: number | null;
  readonly pages: number;
  /** The least that was there at a scan since. */
  readonly leastPages: number;
  /** What ended since. */
  readonly joinedPages: number;
  /** Nothing is evicted before. */
  readonly waitUntilMs: number;
  /** How long the last wait was for; 0 while nothing asked for one. */
  readonly waitMs: number;
}

export const newEnded: EndedState = {
  sinceMs: null,
  pages: 0,
  leastPages: 0,
  joinedPages: 0,
  waitUntilMs: Number.NEGATIVE_INFINITY,
  waitMs: 0,
};

/** Less is not worth a step: an ended shell leaves as much. */
export const endedPagesMin = samplePagesMin;
/** What ended within the horizon may be this share of all: it goes with it. */
const freshDivisor = 4;
const waitMsMin = 60_000;

/** How long ago something must have ended: as long as an eviction is on trial, or two fixed periods. */
export function endedHorizonMs(limits: PaceLimits): number {
  return Math.max(2 * limits.periodMsMin, isFixedPace(limits) ? 0 : quietMsMin);
}

/** A scan showed `pages`; `takenPages` are those that we evicted since the scan before. */
export function noteEnded(
  state: EndedState,
  { pages, takenPages, nowMs, horizonMs }: { pages: number; takenPages: number; nowMs: number; horizonMs: number },
): EndedState {
  if (state.sinceMs === null) return { ...state, sinceMs: nowMs, pages, leastPages: pages, joinedPages: 0 };
  const joinedPages = state.joinedPages + Math.max(0, pages - state.pages + takenPages);
  if (nowMs - state.sinceMs >= horizonMs && joinedPages * freshDivisor > pages) {
    return { ...state, sinceMs: nowMs, pages, leastPages: pages, joinedPages: 0 };
  }
  const leastPages = Math.min(pages, Math.max(0, state.leastPages - takenPages));
  return { ...state, pages, leastPages, joinedPages };
}

/** Pages that ended at least `horizonMs` ago, where no more than a fraction is fresher. */
export function oldEndedPages(state: EndedState, horizonMs: number, nowMs: number): number {
  if (state.sinceMs === null || nowMs - state.sinceMs < horizonMs) return 0;
  return state.joinedPages * freshDivisor > state.pages ? 0 : state.leastPages;
}

export interface EndedInput {
  readonly oldPages: number;
  readonly nowMs: number;
  /** Whether the settings of the living cgroup, or of one below it, switch memcg off. */
  readonly disabled: boolean;
  readonly disabledBelow: boolean;
  readonly hasReclaim: boolean;
  /** Whether file pages can be asked for alone, or nothing else could go: no swap has room. */
  readonly filesAlone: boolean;
  readonly stalled: boolean;
  /** The price of what was evicted before says to wait. */
  readonly sitsOut: boolean;
}

export type EndedDecision =
  | { readonly do: "evict"; readonly pages: number }
  /** `why` null: as before, since a wait is not over. */
  | { readonly do: "leave"; readonly why: EndedEnd | null };

/** What to do with what ended below one living cgroup, in one run. */
export function decideEnded(state: EndedState, input: EndedInput): EndedDecision {
  if (input.disabled) return { do: "leave", why: "disabled" };
  if (!input.hasReclaim) return { do: "leave", why: "no_file" };
  if (!input.filesAlone) return { do: "leave", why: "swap" };
  if (input.disabledBelow) return { do: "leave", why: "spared" };
  if (input.nowMs < state.waitUntilMs) return { do: "leave", why: null };
  if (input.oldPages < endedPagesMin) return { do: "leave", why: "fresh" };
  if (input.stalled) return { do: "leave", why: "pressure" };
  if (input.sitsOut) return { do: "leave", why: "refaults" };
  return { do: "evict", pages: input.oldPages };
}

/** The first step: one mebibyte; a large one frees about as much as a batch of other evictions does. */
export const endedStepPages = 256;
const stepPagesMax = 4096;
/** What the living may lose to a run: this many pages, and this share of what went of the ended. */
const lostPagesMax = 512;
const lostDivisor = 16;
const idleStepsMax = 4;

/** What the steps of a run took so far. */
export interface EndedProgress {
  readonly stepPages: number;
  /** Steps in a row that took nothing of the ended: the kernel came across the living alone. */
  readonly idleSteps: number;
  /** Of the ended, and of what lives beside them, by all steps. */
  readonly freedPages: number;
  readonly lostPages: number;
  /** Of what is to go. */
  readonly leftPages: number;
}

/**
 * After a step: the next one, or why the run ends here. A step never asks for more than half of what is left: where the
 * kernel finds less than it was asked for, it looks harder, and at the living too.
 */
export function judgeEndedStep(
  progress: EndedProgress,
): { readonly do: "go_on"; readonly pages: number } | { readonly do: "end"; readonly why: EndedEnd } {
  const { stepPages, idleSteps, freedPages, lostPages, leftPages } = progress;
  if (lostPages > lostPagesMax + freedPages / lostDivisor) return { do: "end", why: "living_lost" };
  if (leftPages < endedPagesMin) return { do: "end", why: "evicted" };
  if (idleSteps >= idleStepsMax) {
    return { do: "end", why: leftPages < freedPages / lostDivisor ? "evicted" : "no_progress" };
  }
  const pages = Math.min(stepPagesMax, 2 * stepPages, Math.floor(leftPages / 2));
  return { do: "go_on", pages: Math.max(endedStepPages / 2, pages) };
}

/** After a run that evicted, or tried to. */
export function noteEndedRun(state: EndedState, why: EndedEnd, nowMs: number, limits: PaceLimits): EndedState {
  switch (why) {
    case "evicted":
      return { ...state, waitMs: 0 };
    case "living_lost":
    case "no_progress":
    case "pressure":
    case "error": {
      const waitMs = Math.min(Math.max(waitMsMin, limits.periodMsMax), Math.max(waitMsMin, 2 * state.waitMs));
      return { ...state, waitMs, waitUntilMs: nowMs + waitMs };
    }
    case "refaults":
      // Each eviction that is sat out takes as long as one of a cgroup that was found to be dear.
      return { ...state, waitUntilMs: nowMs + limits.periodMsMax };
    case "fresh":
    case "disabled":
    case "spared":
    case "no_file":
    case "swap":
    case "stopped":
      return state;
    default:
      return why satisfies never;
  }
}
