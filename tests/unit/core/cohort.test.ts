import { describe, expect, test } from "bun:test";
import {
  cohortColumns,
  forgetCohort,
  lookAtCohort,
  oldPagesOf,
  type CohortGeneration,
  type CohortRow,
} from "../../../src/core/cohort.ts";
import { FileLists } from "./file-lists.ts";

const periodMs = 20_000;
const horizonMs = 3 * periodMs - 1000;

/** In the middle of others, which must stay as they are. */
function newRow(): CohortRow {
  return { numbers: new Uint32Array(3 * cohortColumns), at: cohortColumns };
}

/** Generations with these pages, oldest first. */
function generations(firstSeq: number, ...pages: readonly number[]): readonly CohortGeneration[] {
  return pages.map((filePages, index) => ({ seq: firstSeq + index, filePages }));
}

/** One look a period, each with an aging before it; the pages that are old at the last. */
function oldAfter(
  looks: readonly { readonly seen: readonly CohortGeneration[]; readonly taken?: number }[],
  horizon = horizonMs,
): number {
  const cohort = newRow();
  for (const [index, { seen, taken = 0 }] of looks.entries()) lookAtCohort(cohort, seen, taken, index * periodMs);
  return oldPagesOf(cohort, looks.at(-1)?.seen[0]?.seq ?? 0, horizon, (looks.length - 1) * periodMs);
}

describe("what is old", () => {
  const still = [0, 1, 2, 3].map((seq) => ({ seen: generations(seq, 5000, 0, 0, 0) }));

  test("what stayed for the horizon", () => {
    expect(oldAfter(still)).toBe(5000);
  });

  test.each([
    ["nothing at the first look", still.slice(0, 1), 0],
    ["nothing a period before the horizon", still.slice(0, 3), 0],
    [
      "not what was read into the second oldest generation, though it is the oldest now",
      [
        { seen: generations(0, 0, 0, 0, 0) },
        { seen: generations(1, 0, 0, 0, 0) },
        { seen: generations(2, 0, 5000, 0, 0) },
        { seen: generations(3, 5000, 0, 0, 0) },
      ],
      0,
    ],
    [
      "nothing beside a file that is being read: the kernel would take that first",
      [...still.slice(0, 3), { seen: generations(3, 5000, 1000, 0, 0) }],
      0,
    ],
    [
      "the rest beside a log file that grows a little",
      [...still.slice(0, 3), { seen: generations(3, 5000, 70, 0, 0) }],
      5000,
    ],
    ["not what was touched meanwhile", [...still.slice(0, 3), { seen: generations(3, 3000, 0, 2000, 0) }], 3000],
    ["less by what others evicted", [...still.slice(0, 3), { seen: generations(3, 4000, 0, 0, 0), taken: 1000 }], 4000],
    [
      "not what took the place of pages that others evicted",
      [...still.slice(0, 3), { seen: generations(3, 5000, 0, 0, 0), taken: 1000 }],
      0,
    ],
    [
      "not what other agings than ours made the oldest within a moment",
      [{ seen: generations(0, 5000, 0, 0, 0) }, { seen: generations(9, 5000, 0, 0, 0) }],
      0,
    ],
    ["nothing of a target that went", [...still.slice(0, 3), { seen: [] }], 0],
  ])("%s", (_, looks, expected) => {
    expect(oldAfter(looks)).toBe(expected);
  });

  test("is known again a horizon after a gap or another lruvec", () => {
    const again = [0, 1, 2, 3].map((seq) => ({ seen: generations(seq, 700, 0, 0, 0) }));
    expect(oldAfter([...still, { seen: [] }, ...again])).toBe(700);
    expect(
      oldAfter([...still.map(({ seen }) => ({ seen: seen.map((one) => ({ ...one, seq: one.seq + 50 })) })), ...again]),
    ).toBe(700);
  });
});

test("a row keeps to itself, and can be forgotten", () => {
  const row = newRow();
  for (let look = 0; look < 5; look++) lookAtCohort(row, generations(look, 5, 6, 7, 8), 0, look * periodMs);
  const [before, own, after] = [0, 1, 2].map((part) =>
    row.numbers.slice(part * cohortColumns, (part + 1) * cohortColumns),
  );
  expect(own?.some((number) => number > 0)).toBe(true);
  for (const other of [before, after]) expect(other?.every((number) => number === 0)).toBe(true);
  forgetCohort(row);
  expect(row.numbers.every((number) => number === 0)).toBe(true);
  expect(oldPagesOf(row, 4, 0, 5 * periodMs)).toBe(0);
});

test("whatever happens, next to nothing of what is evicted as old was read within the horizon", () => {
  let [evicted, young] = [0, 0];
  for (let seed = 1; seed <= 300; seed++) {
    const lists = new FileLists(seed, seed % 2 === 0);
    const cohort = newRow();
    let taken = 0;
    for (let step = 1; step <= 60; step++) {
      const nowMs = step * (periodMs / 4);
      taken += lists.live(nowMs);
      if (step % 4 === 0) lists.age();
      lookAtCohort(cohort, lists.generations, taken, nowMs);
      taken = 0;
      if (step % 4 !== 0) continue;
      const pages = oldPagesOf(cohort, lists.generations[0]?.seq ?? 0, horizonMs, nowMs);
      const gone = lists.evict(lists.random() < 0.5 ? pages : Math.ceil(pages / 64));
      lookAtCohort(cohort, lists.generations, gone.length, nowMs);
      const fresh = gone.filter((sinceMs) => nowMs - sinceMs < horizonMs).length;
      expect(fresh).toBeLessThanOrEqual(Math.max(0, Math.ceil(pages / 64)));
      evicted += gone.length;
      young += fresh;
    }
  }
  // The model gives it something to do, and hardly a page is fresh.
  expect(evicted).toBeGreaterThan(10_000);
  expect(young / evicted).toBeLessThan(1 / 64);
});
