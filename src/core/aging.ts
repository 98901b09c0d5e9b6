/** When a target is aged. */

/** Aging more often than this tells the kernel nothing new: accessed bits need time to be set again. */
export const agingIntervalMsMax = 60_000;

export type AgingDecision = { readonly do: "age" } | { readonly do: "skip"; readonly why: "young" };

/**
 * Aging is left out while the youngest generation is younger than 60 s or than the period, whichever is less.
 * `toleranceMs` is how much before its time a target may be run (targets that are due at nearly the same time run
 * together), so that a run that came a moment early still ages.
 */
export function decideAging(input: {
  readonly youngestAgeMs: number;
  readonly periodMs: number;
  readonly toleranceMs: number;
}): AgingDecision {
  const ageMsMin = Math.min(agingIntervalMsMax, input.periodMs) - input.toleranceMs;
  return input.youngestAgeMs < ageMsMin ? { do: "skip", why: "young" } : { do: "age" };
}
