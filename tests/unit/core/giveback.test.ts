import { describe, expect, test } from "bun:test";
import type { Generation } from "../../../src/core/eviction.ts";
import {
  compactionMs,
  givebackLefts,
  hasTimeForSlab,
  isSlowTurn,
  leftOf,
  nextTurnMs,
  planGiveback,
  type GivebackLeft,
  type GivebackLimits,
  type GivebackStep,
  type GivebackStop,
  type Holding,
} from "../../../src/core/giveback.ts";

/** Four generations with these file pages, made so many seconds ago, oldest first. */
function generations(filePages: readonly number[], agesSecs = [400, 300, 200, 100]): readonly Generation[] {
  return filePages.map((pages, index) => ({
    seq: 7 + index,
    ageMs: (agesSecs[index] ?? 0) * 1000,
    anonPages: 0,
    filePages: pages,
  }));
}

function holding(filePages: readonly number[], change: Partial<Holding> = {}): Holding {
  const base = { agesKnown: true, agings: 0, swap: false, stuckSeq: null, slow: false, shut: null };
  return { generations: generations(filePages), ...base, ...change };
}

const anon = (pages: number): readonly Generation[] =>
  generations([0, 0, 0, 0]).map((one, index) => ({ ...one, anonPages: index === 0 ? pages : 0 }));

const limits: GivebackLimits = {
  minAgeMs: 0,
  leftMs: 2000,
  scanMs: 5,
  turnMs: 20,
  leftPages: null,
  swapFreePages: 0,
  agingMsPerPage: 0.001,
};

const take = (index: number, seq: number, pages: number, filePages = pages, anonPages = 0) => ({
  index,
  seq,
  filePages,
  anonPages,
  pages,
});

const steps: readonly {
  readonly name: string;
  readonly holdings: readonly Holding[];
  readonly change?: Partial<GivebackLimits>;
  readonly step: GivebackStep;
}[] = [
  {
    name: "the coldest first, with what is at least half as old",
    holdings: [
      holding([10, 20, 30, 40]),
      holding([50, 60, 70, 80], { generations: generations([50, 60, 70, 80], [40, 30, 20, 10]) }),
    ],
    step: { do: "evict", takes: [take(0, 8, 30)] },
  },
  {
    name: "all cgroups that are about as cold, the colder of them first",
    holdings: [
      holding([10], { generations: generations([10, 0, 0, 0], [400, 200, 100, 1]) }),
      holding([20], { generations: generations([20, 0, 0, 0], [400, 300, 100, 1]) }),
    ],
    step: { do: "evict", takes: [take(1, 7, 20), take(0, 7, 10)] },
  },
  {
    name: "no more than is asked for",
    holdings: [holding([10, 20, 0, 0]), holding([50, 0, 0, 0])],
    change: { leftPages: 40 },
    step: { do: "evict", takes: [take(0, 8, 30), take(1, 7, 10, 50)] },
  },
  { name: "enough", holdings: [holding([10])], change: { leftPages: 0 }, step: { do: "stop", why: "amount" } },
  {
    name: "no time for a batch and the look after it",
    holdings: [holding([10, 0, 0, 0])],
    change: { leftMs: 24 },
    step: { do: "stop", why: "deadline" },
  },
  {
    name: "batches take longer than they should on this machine",
    holdings: [holding([10, 0, 0, 0])],
    change: { leftMs: 100, turnMs: 96 },
    step: { do: "stop", why: "deadline" },
  },
  {
    name: "just the time for one",
    holdings: [holding([10, 0, 0, 0])],
    change: { leftMs: 25 },
    step: { do: "evict", takes: [take(0, 7, 10)] },
  },
  {
    name: "what is in the two youngest generations is aged first",
    holdings: [holding([0, 0, 10, 900]), holding([0, 0, 0, 2000])],
    step: { do: "age", indexes: [1, 0] },
  },
  {
    name: "only two generations: all of it is too young to be asked for",
    holdings: [holding([], { generations: generations([500, 600], [100, 100]) })],
    step: { do: "age", indexes: [0] },
  },
  {
    name: "aged twice, the rest is in use",
    holdings: [holding([0, 0, 10, 900], { agings: 2 })],
    step: { do: "stop", why: "nothing_left" },
  },
  {
    name: "an aging that takes longer than there is time",
    holdings: [holding([0, 0, 0, 1_000_000]), holding([0, 0, 0, 5000])],
    change: { leftMs: 500 },
    step: { do: "age", indexes: [1] },
  },
  {
    name: "no time for any aging",
    holdings: [holding([0, 0, 0, 1_000_000])],
    change: { leftMs: 500 },
    step: { do: "stop", why: "deadline" },
  },
  {
    name: "too few pages to age for",
    holdings: [holding([0, 0, 0, 63])],
    step: { do: "stop", why: "nothing_left" },
  },
  {
    name: "down to the least age: the second generation was left alone for 200 s",
    holdings: [holding([10, 20, 30, 40])],
    change: { minAgeMs: 200_000 },
    step: { do: "evict", takes: [take(0, 8, 30)] },
  },
  {
    name: "nothing is old enough, and aging would not make it older",
    holdings: [holding([10, 20, 3000, 4000])],
    change: { minAgeMs: 301_000 },
    step: { do: "stop", why: "nothing_left" },
  },
  {
    name: "ages are not known and matter",
    holdings: [holding([], { agesKnown: false, generations: generations([500], [0]) })],
    change: { minAgeMs: 1 },
    step: { do: "stop", why: "nothing_left" },
  },
  {
    name: "ages are not known and do not matter",
    holdings: [holding([], { agesKnown: false, generations: generations([500], [0]) })],
    step: { do: "evict", takes: [take(0, 7, 500)] },
  },
  {
    name: "what is shut, and what the kernel would not give",
    holdings: [holding([10, 0, 0, 0], { shut: "pressure" }), holding([20, 5, 0, 0], { stuckSeq: 7 })],
    step: { do: "evict", takes: [take(1, 8, 5)] },
  },
  {
    name: "what is slow, after the aging of all others",
    holdings: [holding([900, 0, 0, 0], { slow: true }), holding([0, 0, 0, 700])],
    step: { do: "age", indexes: [1] },
  },
  {
    name: "what is slow, when nothing else is left",
    holdings: [holding([900, 0, 0, 0], { slow: true }), holding([0, 0, 0, 700], { agings: 2 })],
    step: { do: "evict", takes: [take(0, 7, 900)] },
  },
  {
    name: "anonymous pages without swap",
    holdings: [holding([], { generations: anon(500) })],
    step: { do: "stop", why: "nothing_left" },
  },
  {
    name: "anonymous pages as far as swap has room",
    holdings: [holding([], { generations: anon(500), swap: true })],
    change: { swapFreePages: 356 },
    step: { do: "evict", takes: [take(0, 7, 100, 0, 100)] },
  },
];

describe("what goes next", () => {
  test.each(steps)("$name", ({ holdings, change, step }) => {
    expect(planGiveback(holdings, { ...limits, ...change })).toEqual(step);
  });
});

const lefts: readonly {
  readonly why: GivebackLeft;
  readonly holding: Holding;
  readonly stop?: GivebackStop;
  readonly change?: Partial<GivebackLimits>;
}[] = [
  { why: "young", holding: holding([5, 0, 0, 0]), change: { minAgeMs: 301_000 } },
  { why: "in_use", holding: holding([0, 0, 0, 5], { agings: 2 }) },
  { why: "swap_off", holding: holding([], { generations: anon(5) }) },
  { why: "swap_full", holding: holding([], { generations: anon(5), swap: true }) },
  { why: "protected", holding: holding([5], { shut: "protected" }) },
  { why: "disabled", holding: holding([], { generations: anon(5), shut: "disabled" }) },
  { why: "pressure", holding: holding([5], { shut: "pressure" }) },
  { why: "no_progress", holding: holding([5, 0, 0, 0], { stuckSeq: 7 }) },
  { why: "out_of_reach", holding: holding([5], { shut: "out_of_reach" }) },
  { why: "deadline", holding: holding([5, 0, 0, 0]), stop: "deadline" },
  { why: "amount", holding: holding([5, 0, 0, 0]), stop: "amount" },
  { why: "stopped", holding: holding([5], { shut: "stopped" }) },
  { why: "error", holding: holding([5], { shut: "error" }) },
];

describe("why something was left", () => {
  test.each(lefts)("$why", ({ why, holding: one, stop = "nothing_left", change }) => {
    expect([...leftOf(one, { ...limits, ...change }, stop)]).toEqual([[why, 5]]);
  });

  test("every reason has a row", () => {
    expect(lefts.map(({ why }) => why)).toEqual([...givebackLefts]);
  });
});

describe("the time that is left", () => {
  test.each([
    [20, 70, 70],
    [70, 20, 63],
    [20, 19, 19],
  ])("a batch of %d ms, then one of %d: the next may take %d", (turnMs, tookMs, expected) => {
    expect(nextTurnMs(turnMs, tookMs)).toBeCloseTo(expected);
  });

  test.each([
    [100, false],
    [101, true],
  ])("a turn of %d ms is slow: %p", (tookMs, expected) => {
    expect(isSlowTurn(tookMs)).toBe(expected);
  });

  test.each([
    [60 * 2 ** 20, 2000, true],
    [62 * 2 ** 20, 2000, true],
    [63 * 2 ** 20, 2000, false],
    [0, 100, true],
    [1, 0, false],
  ])("%d bytes of slab in %d ms: %p", (bytes, leftMs, expected) => {
    expect(hasTimeForSlab(bytes, leftMs)).toBe(expected);
  });

  test.each([
    [149, null],
    [150, 100],
    [2000, 1950],
    [-5, null],
  ])("%d ms: a compaction of %p", (leftMs, expected) => {
    expect(compactionMs(leftMs)).toBe(expected);
  });
});
