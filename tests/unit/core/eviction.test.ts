import { describe, expect, test } from "bun:test";
import {
  batchPagesAtStart,
  chooseSwappiness,
  idleScansMax,
  judgeProgress,
  mayScan,
  nextBatchPages,
  planEviction,
  splitFreed,
  type EvictionInput,
  type EvictionPlan,
  type Generation,
  type Progress,
  type ProgressDecision,
} from "../../../src/core/eviction.ts";

function generations(anonPages: number, filePages: number, count = 4): readonly Generation[] {
  return Array.from({ length: count }, (_, index) => ({
    seq: 7 + index,
    ageMs: (count - index) * 1000,
    anonPages: index === 0 ? anonPages : 10_000,
    filePages: index === 0 ? filePages : 10_000,
  }));
}

const usual: EvictionInput = {
  generations: generations(2_000, 6_000),
  agingCount: 3,
  agingCountMin: 3,
  swap: false,
  swapFreePages: 0,
  swapRoomPages: null,
  swappinessMax: 50,
  stayedFilePages: 1e9,
  coldAgeMsMin: 3_000,
  unprotectedPages: null,
};
const swap: Partial<EvictionInput> = { swap: true, swapFreePages: 100_000 };

function evict(plan: Partial<Extract<EvictionPlan, { do: "evict" }>>): EvictionPlan {
  const file: EvictionPlan = {
    do: "evict",
    seq: 7,
    swappiness: 0,
    filePages: 6_000,
    anonPages: 0,
    pages: 6_000,
    endsWith: "evicted",
  };
  return { ...file, ...plan };
}

const plans: readonly {
  readonly name: string;
  readonly change: Partial<EvictionInput>;
  readonly plan: EvictionPlan;
}[] = [
  { name: "the oldest generation's file pages", change: {}, plan: evict({}) },
  {
    name: "not left alone for long enough",
    change: { coldAgeMsMin: 3_001 },
    plan: { do: "end", why: "not_ready" },
  },
  {
    name: "the cgroup may not swap, whatever swap is free",
    change: { ...swap, swapRoomPages: 0 },
    plan: evict({ endsWith: "swap_full" }),
  },
  {
    name: "the cgroup may swap some",
    change: { ...swap, swapRoomPages: 1_000 },
    plan: evict({ anonPages: 1_000, pages: 7_000, swappiness: 29, endsWith: "swap_full" }),
  },
  { name: "not aged often enough", change: { agingCount: 2 }, plan: { do: "end", why: "not_ready" } },
  { name: "aged as often as the settings say", change: { agingCount: 0, agingCountMin: 0 }, plan: evict({}) },
  {
    name: "a generation is missing",
    change: { generations: generations(2_000, 6_000, 3) },
    plan: { do: "end", why: "not_ready" },
  },
  { name: "no generation at all", change: { generations: [] }, plan: { do: "end", why: "not_ready" } },
  {
    name: "nothing in the oldest generation",
    change: { generations: generations(0, 0) },
    plan: { do: "end", why: "nothing_cold" },
  },
  {
    name: "only anonymous pages are cold, and swap is not allowed",
    change: { generations: generations(2_000, 0), swapFreePages: 100_000 },
    plan: { do: "end", why: "nothing_cold" },
  },
  {
    name: "with swap, anonymous pages too, as their share",
    change: swap,
    plan: evict({ anonPages: 2_000, swappiness: 50, pages: 8_000 }),
  },
  {
    name: "with swap, at most swappiness_max",
    change: { ...swap, swappinessMax: 20 },
    plan: evict({ anonPages: 2_000, swappiness: 20, pages: 8_000 }),
  },
  { name: "swappiness_max 0 is no swap", change: { ...swap, swappinessMax: 0 }, plan: evict({}) },
  {
    name: "only anonymous pages are cold",
    change: { ...swap, generations: generations(2_000, 0) },
    plan: evict({ filePages: 0, anonPages: 2_000, swappiness: 200, pages: 2_000 }),
  },
  {
    name: "256 free pages of swap are none",
    change: { ...swap, swapFreePages: 256, generations: generations(2_000, 0) },
    plan: { do: "end", why: "swap_full" },
  },
  {
    name: "swap without room leaves the file pages",
    change: { ...swap, swapFreePages: 256 },
    plan: evict({ endsWith: "swap_full" }),
  },
  {
    name: "swap with room for some of them",
    change: { ...swap, swapFreePages: 256 + 500, generations: generations(2_000, 0) },
    plan: evict({ filePages: 0, anonPages: 500, swappiness: 200, pages: 500, endsWith: "swap_full" }),
  },
  {
    name: "down to what is protected",
    change: { unprotectedPages: 1_000 },
    plan: evict({ pages: 1_000, endsWith: "protected" }),
  },
  { name: "all of it is protected", change: { unprotectedPages: 0 }, plan: { do: "end", why: "protected" } },
  { name: "less is cold than is unprotected", change: { unprotectedPages: 6_000 }, plan: evict({}) },
];

describe("planEviction", () => {
  test.each(plans)("$name", ({ change, plan }) => {
    expect(planEviction({ ...usual, ...change })).toEqual(plan);
  });
});

test.each([
  [0, 0, 50, 0],
  [0, 100, 50, 0],
  [100, 0, 50, 200],
  [100, 100, 200, 100],
  [1, 2, 200, 67],
  [1, 1_000, 200, 0],
  [100, 100, 50, 50],
  [100, 100, 0, 0],
])("%d anonymous and %d file pages, at most %d: swappiness %d", (anon, file, most, swappiness) => {
  expect(chooseSwappiness(anon, file, most)).toBe(swappiness);
});

/** Batches of a machine that evicts so many pages a millisecond, from the first of a process on. */
function settled(pagesPerMs: number, batches: number): number {
  let pages = batchPagesAtStart;
  for (let batch = 0; batch < batches; batch++) pages = nextBatchPages(pages, pages / pagesPerMs, true);
  return pages;
}

describe("nextBatchPages", () => {
  const rows: readonly {
    readonly name: string;
    readonly tookMs: number;
    readonly full?: boolean;
    readonly next: number;
  }[] = [
    { name: "20 ms are right", tookMs: 20, next: 4_000 },
    { name: "half the time: twice as many", tookMs: 10, next: 8_000 },
    { name: "never more than twice as many", tookMs: 1, next: 8_000 },
    { name: "a clock that did not move", tookMs: 0, next: 8_000 },
    { name: "twice the time: half as many", tookMs: 40, next: 2_000 },
    { name: "never less than a quarter", tookMs: 10_000, next: 1_000 },
    { name: "a quick batch that ran out of pages says nothing", tookMs: 1, full: false, next: 4_000 },
    { name: "a slow one does", tookMs: 40, full: false, next: 2_000 },
  ];

  test.each(rows)("$name", ({ tookMs, full = true, next }) => {
    expect(nextBatchPages(4_000, tookMs, full)).toBe(next);
  });

  test.each([10, 50, 1_000, 10_000])("settles at 20 ms on a machine of %d pages a ms", (pagesPerMs) => {
    expect(settled(pagesPerMs, 12)).toBe(pagesPerMs * 20);
  });

  test("is bounded on a machine that is very slow or very quick", () => {
    expect(settled(0.1, 20)).toBe(64);
    expect(settled(1_000_000, 20)).toBe(262_144);
  });
});

describe("judgeProgress", () => {
  const looked: Progress = {
    coldPagesBefore: 1_000,
    coldPages: 900,
    oldestSeq: 7,
    seq: 7,
    idleScans: 0,
    leftPages: 500,
    wrote: true,
  };
  const rows: readonly {
    readonly name: string;
    readonly change: Partial<Progress>;
    readonly decision: ProgressDecision;
  }[] = [
    { name: "some went", change: {}, decision: { do: "go_on", idleScans: 0 } },
    { name: "some went after a look without", change: { idleScans: 1 }, decision: { do: "go_on", idleScans: 0 } },
    { name: "all went", change: { coldPages: 0 }, decision: { do: "end", why: "nothing_cold" } },
    { name: "the generation is gone", change: { oldestSeq: 8 }, decision: { do: "end", why: "nothing_cold" } },
    { name: "as many went as were to", change: { leftPages: 0 }, decision: { do: "end", why: "amount_done" } },
    { name: "none went, once", change: { coldPages: 1_000 }, decision: { do: "go_on", idleScans: 1 } },
    {
      name: "none went, twice",
      change: { coldPages: 1_000, idleScans: 1 },
      decision: { do: "end", why: "no_progress" },
    },
    {
      name: "more are cold than before, twice",
      change: { coldPages: 1_100, idleScans: 1 },
      decision: { do: "end", why: "no_progress" },
    },
    {
      name: "none went, but none were asked for",
      change: { coldPages: 1_000, idleScans: 1, wrote: false },
      decision: { do: "go_on", idleScans: 1 },
    },
  ];

  test.each(rows)("$name", ({ change, decision }) => {
    expect(judgeProgress({ ...looked, ...change })).toEqual(decision);
  });

  test("idle looks are bounded", () => {
    expect(idleScansMax).toBe(2);
  });
});

describe("splitFreed", () => {
  const usualSplit = { pages: 900, fileOnly: false, anonPagesMax: 10_000, machine: { anonPages: 300, filePages: 600 } };
  test.each([
    ["as the machine lost them", {}, { filePages: 600, anonPages: 300 }],
    ["all file, where only those were asked for", { fileOnly: true }, { filePages: 900, anonPages: 0 }],
    ["no more anonymous pages than were there", { anonPagesMax: 100 }, { filePages: 800, anonPages: 100 }],
    ["others lost some as well: in proportion", { pages: 90 }, { filePages: 60, anonPages: 30 }],
    ["nobody tells", { machine: { anonPages: 0, filePages: 0 } }, { filePages: 900, anonPages: 0 }],
  ])("%s", (_, change, split) => {
    expect(splitFreed({ ...usualSplit, ...change })).toEqual(split);
  });
});

test("looks take a twentieth of the time at most", () => {
  expect(mayScan(200, 10)).toBe(true);
  expect(mayScan(199, 10)).toBe(false);
});
