import { describe, expect, test } from "bun:test";
import {
  newReclaim,
  noteReclaimRun,
  planReclaim,
  type ListSizes,
  type ReclaimInput,
  type ReclaimPlan,
  type ReclaimRun,
  type ReclaimState,
} from "../../../src/core/reclaim.ts";

const sizes: ListSizes = {
  inactiveFilePages: 64_000,
  activeFilePages: 0,
  inactiveAnonPages: 16_000,
  activeAnonPages: 0,
};
const quiet: ReclaimRun = { sizes, askedPages: 0, reclaimedPages: 0, verdict: "none", returnedPages: 0 };

/** Three runs that saw the same lists. */
function seenThrice(lists: ListSizes = sizes): ReclaimState {
  let state = newReclaim;
  for (let run = 0; run < 3; run += 1) state = noteReclaimRun(state, { ...quiet, sizes: lists });
  return state;
}

const usual: ReclaimInput = {
  sizes,
  state: seenThrice(),
  settings: { swap: false, swappiness_max: 50, eviction_run_aging_count_min: 3 },
  swapFreePages: 0,
  swapRoomPages: null,
  unprotectedPages: null,
  takesSwappiness: true,
  childrenHoldMemory: false,
};
const swapOn = { ...usual.settings, swap: true };

interface Row {
  readonly name: string;
  readonly change: Partial<ReclaimInput>;
  readonly plan: ReclaimPlan;
}

const rows: readonly Row[] = [
  {
    name: "1/32 of what is inactive at first",
    change: {},
    plan: { do: "reclaim", pages: 2_000, swappiness: 0, endsWith: "evicted" },
  },
  {
    name: "a quarter of it at most",
    change: { state: { ...seenThrice(), stepDivisor: 4 } },
    plan: { do: "reclaim", pages: 16_000, swappiness: 0, endsWith: "evicted" },
  },
  {
    name: "with swap, anonymous pages too",
    change: { settings: swapOn, swapFreePages: 100_000 },
    plan: { do: "reclaim", pages: 2_500, swappiness: 40, endsWith: "evicted" },
  },
  {
    name: "only as many as swap has room for",
    change: { settings: swapOn, swapFreePages: 256 + 3_200 },
    plan: { do: "reclaim", pages: 2_100, swappiness: 10, endsWith: "evicted" },
  },
  {
    name: "no more swappiness than is allowed",
    change: { settings: { ...swapOn, swappiness_max: 7 }, swapFreePages: 100_000 },
    plan: { do: "reclaim", pages: 2_500, swappiness: 7, endsWith: "evicted" },
  },
  {
    name: "where only anonymous pages are cold, only those",
    change: {
      settings: swapOn,
      swapFreePages: 100_000,
      sizes: { ...sizes, inactiveFilePages: 0 },
    },
    plan: { do: "reclaim", pages: 500, swappiness: 200, endsWith: "evicted" },
  },
  {
    name: "swap is full and nothing else is cold",
    change: { settings: swapOn, swapFreePages: 256, sizes: { ...sizes, inactiveFilePages: 0 } },
    plan: { do: "end", why: "swap_full" },
  },
  {
    name: "a kernel without swappiness, and no swap",
    change: { takesSwappiness: false },
    plan: { do: "reclaim", pages: 2_000, swappiness: null, endsWith: "evicted" },
  },
  {
    name: "a kernel without swappiness that would swap though it must not",
    change: { takesSwappiness: false, swapFreePages: 100_000 },
    plan: { do: "end", why: "not_ready" },
  },
  {
    name: "a kernel without swappiness that may swap",
    change: { takesSwappiness: false, swapFreePages: 100_000, settings: swapOn },
    plan: { do: "reclaim", pages: 2_500, swappiness: null, endsWith: "evicted" },
  },
  { name: "not watched for long enough", change: { state: newReclaim }, plan: { do: "end", why: "not_ready" } },
  {
    name: "watched for as long as the settings say",
    change: { state: newReclaim, settings: { ...usual.settings, eviction_run_aging_count_min: 0 } },
    plan: { do: "reclaim", pages: 2_000, swappiness: 0, endsWith: "evicted" },
  },
  {
    name: "what has just become inactive is not cold",
    change: { state: seenThrice({ ...sizes, inactiveFilePages: 32_000 }) },
    plan: { do: "reclaim", pages: 1_000, swappiness: 0, endsWith: "evicted" },
  },
  {
    name: "all active: a quarter counts as candidates",
    change: { sizes: { ...sizes, inactiveFilePages: 0, activeFilePages: 64_000 } },
    plan: { do: "reclaim", pages: 500, swappiness: 0, endsWith: "evicted" },
  },
  {
    name: "no step is smaller than 1 MiB",
    change: { sizes: { ...sizes, inactiveFilePages: 1_000 } },
    plan: { do: "reclaim", pages: 256, swappiness: 0, endsWith: "evicted" },
  },
  {
    name: "a few pages are not worth a step",
    change: { sizes: { ...sizes, inactiveFilePages: 63 } },
    plan: { do: "end", why: "nothing_cold" },
  },
  {
    name: "down to what is protected",
    change: { unprotectedPages: 100 },
    plan: { do: "reclaim", pages: 100, swappiness: 0, endsWith: "protected" },
  },
  { name: "nothing but protected memory", change: { unprotectedPages: 0 }, plan: { do: "end", why: "protected" } },
  { name: "an inner cgroup", change: { childrenHoldMemory: true }, plan: { do: "end", why: "not_ready" } },
];

describe("planReclaim", () => {
  test.each(rows)("$name", ({ change, plan }) => {
    expect(planReclaim({ ...usual, ...change })).toEqual(plan);
  });
});

describe("noteReclaimRun", () => {
  const calm: ReclaimRun = { ...quiet, askedPages: 2_000, reclaimedPages: 2_000, verdict: "pending" };
  const steps: readonly { readonly name: string; readonly run: ReclaimRun; readonly divisor: number }[] = [
    { name: "steps double while nothing comes back", run: calm, divisor: 16 },
    { name: "a little that comes back is noise", run: { ...calm, returnedPages: 255 }, divisor: 16 },
    { name: "they shrink when something does", run: { ...calm, returnedPages: 256 }, divisor: 64 },
    { name: "they shrink more when it was costly", run: { ...calm, verdict: "costly" }, divisor: 128 },
    { name: "they shrink when the kernel finds little", run: { ...calm, reclaimedPages: 999 }, divisor: 64 },
    { name: "they stay while nothing is asked", run: quiet, divisor: 32 },
  ];

  test.each(steps)("$name", ({ run, divisor }) => {
    expect(noteReclaimRun(newReclaim, run).stepDivisor).toBe(divisor);
  });

  test("steps and memory are bounded", () => {
    let grown = newReclaim;
    let shrunk = newReclaim;
    for (let run = 0; run < 20; run += 1) {
      grown = noteReclaimRun(grown, calm);
      shrunk = noteReclaimRun(shrunk, { ...calm, verdict: "costly" });
    }
    expect(grown.stepDivisor).toBe(4);
    expect(shrunk.stepDivisor).toBe(256);
    expect(grown).toMatchObject({ runs: 20, seen: { length: 8 } });
  });
});
