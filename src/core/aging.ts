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

/** One generation for a histogram: its age, and how much is in it. */
export interface Aged {
  readonly age: number;
  readonly amount: number;
}

/**
 * Amounts by how long they were untouched: pages of a generation were last touched before the next younger one was made.
 * @param lists generations of each target, oldest first
 * @param classes lower ends in ascending order, in the unit of the ages
 * @returns for each class what was untouched for at least so long, and for less than the next class says
 */
export function amountsByAge(lists: Iterable<readonly Aged[]>, classes: readonly number[]): readonly number[] {
  const amounts = classes.map(() => 0);
  for (const list of lists) {
    for (const [index, { amount }] of list.entries()) {
      const untouched = list[index + 1]?.age ?? 0;
      const at = classes.findLastIndex((age) => age <= untouched);
      if (at >= 0) amounts[at] = (amounts[at] ?? 0) + amount;
    }
  }
  return amounts;
}
