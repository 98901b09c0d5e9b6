import { describe, expect, test } from "bun:test";
import { coldAgeMs } from "../../../src/core/eviction.ts";
import { firstEvictionMs, whyNot, type OutlookInput, type WhyNotInput } from "../../../src/core/outlook.ts";
import type { EndReason } from "../../../src/core/reason.ts";

const periodMs = 20_000;
const nowMs = 1_000_000;

function input(changes: Partial<OutlookInput> = {}): OutlookInput {
  return {
    nowMs,
    generations: [],
    agings: 0,
    agingCountMin: 3,
    periodMs,
    dueMs: nowMs,
    coldAgeMs: coldAgeMs(changes.agingCountMin ?? 3, changes.periodMs ?? periodMs),
    ...changes,
  };
}

const aged = (...agesMs: readonly number[]): OutlookInput["generations"] =>
  agesMs.map((ageMs) => ({ madeMs: nowMs - ageMs, followedMs: nowMs - ageMs }));

describe("when the first run may evict", () => {
  const rows: readonly [what: string, input: OutlookInput, secs: number][] = [
    ["three agings, the first at once", input(), 40],
    ["at a longer period", input({ periodMs: 600_000 }), 1200],
    ["asked for one aging: the kernel has two generations and makes a third", input({ agingCountMin: 1 }), 20],
    ["the next run is still to come", input({ dueMs: nowMs + 15_000 }), 55],
    ["all is old: the next run", input({ agings: 9, generations: aged(80_000, 60_000, 40_000, 20_000) }), 0],
    ["overdue: at once", input({ agings: 9, generations: aged(9e5, 8e5, 7e5, 6e5), dueMs: nowMs - 1e6 }), 0],
    ["aged by somebody else just now", input({ agings: 9, generations: aged(30_000, 2000, 1000, 0) }), 40],
    ["after a thousand agings", input({ agingCountMin: 1000 }), 999 * 20],
  ];
  for (const [what, given, secs] of rows) {
    test(what, () => expect((firstEvictionMs(given) - nowMs) / 1000).toBe(secs));
  }
});

describe("why not more", () => {
  const usual: WhyNotInput = {
    disabled: false,
    candidatePages: 1000,
    lastEnd: "evicted",
    young: false,
    sitOut: 0,
    onTrial: false,
  };
  const rows: readonly [Partial<WhyNotInput>, EndReason | null][] = [
    [{}, null],
    [{ disabled: true, lastEnd: "error" }, "disabled"],
    [{ lastEnd: "error" }, "error"],
    [{ lastEnd: "pressure", young: true }, "pressure"],
    [{ candidatePages: 0 }, "nothing_cold"],
    [{ candidatePages: 0, lastEnd: "swap_full" }, "swap_full"],
    [{ young: true, sitOut: 2, lastEnd: null }, "not_ready"],
    [{ sitOut: 2, onTrial: true }, "refaults"],
    [{ onTrial: true, lastEnd: "sampled" }, "sampled"],
    [{ lastEnd: "refaults" }, "refaults"],
    [{ candidatePages: 0, lastEnd: "refaults" }, "refaults"],
    [{ lastEnd: "protected" }, "protected"],
    [{ lastEnd: "no_progress" }, "no_progress"],
  ];
  for (const [changes, reason] of rows) {
    test(JSON.stringify(changes), () => expect(whyNot({ ...usual, ...changes })).toBe(reason));
  }
});
