import { describe, expect, test } from "bun:test";
import {
  decidePace,
  firstEvictionMs,
  judgePace,
  newPace,
  noteCpu,
  noteGrowth,
  notePaceEmpty,
  notePaceEviction,
  paceLimits,
  periodMs,
  quietMs,
  rhythmOf,
  worthMs,
  type PaceEvidence,
  type PaceLimits,
  type PaceState,
  type Rhythm,
} from "../../../src/core/pace.ts";

const limits = paceLimits(20, 600);
const fixed = paceLimits(600, 600);

function evidence(changes: Partial<PaceEvidence> = {}): PaceEvidence {
  return {
    nowMs: 0,
    limits,
    idle: false,
    sizePages: 100_000,
    costly: false,
    worthMs: worthMs(0.2),
    ...changes,
  };
}

const sampled: PaceState = { ...newPace, periodMs: 20_000, evictedMs: 0, sizePages: 100_000, provenPages: 100_000 };

describe("how much goes", () => {
  const rows: readonly [what: string, state: PaceState, cold: number, pages: number | "wait"][] = [
    ["a sixty-fourth of what is cold at first", newPace, 64_000, 1_000],
    ["at least 256 pages", newPace, 1_000, 256],
    ["no more than there is", newPace, 100, 100],
    ["nothing while a sample is under trial", sampled, 64_000, "wait"],
    ["eight times as much of a busy one that proved itself", { ...newPace, proofs: 1 }, 64_000, 8_000],
    ["all after two proofs", { ...newPace, proofs: 2 }, 64_000, 64_000],
    ["all of an idle one that proved itself", { ...newPace, proofs: 1, idle: true }, 64_000, 64_000],
    ["a sample of an idle one that did not", { ...newPace, idle: true }, 64_000, 1_000],
  ];
  test.each(rows)("%s", (_, state, cold, pages) => {
    const decision = decidePace(state, cold, 1_000, limits);
    expect(decision.do === "evict" ? decision.pages : decision.do).toBe(pages);
  });

  test("of a fixed pace all, once the sample stayed away for a period", () => {
    const first = decidePace(newPace, 64_000, 0, fixed);
    expect(first).toEqual({ do: "evict", pages: 1_000, sample: true });
    const after = judgePace(
      notePaceEviction(newPace, 0, { sample: true, idleMs: null }),
      evidence({ nowMs: 600_000, limits: fixed }),
    );
    expect(decidePace(after, 64_000, 600_000, fixed)).toEqual({ do: "evict", pages: 64_000, sample: false });
  });
});

describe("what an eviction proves", () => {
  test("of an idle cgroup after a period", () => {
    expect(judgePace(sampled, evidence({ nowMs: 19_000, idle: true })).proofs).toBe(0);
    expect(judgePace(sampled, evidence({ nowMs: 20_000, idle: true }))).toMatchObject({ proofs: 1, evictedMs: null });
  });

  test("of a busy one only after as long as anybody pauses", () => {
    expect(judgePace(sampled, evidence({ nowMs: 89_000 })).proofs).toBe(0);
    expect(judgePace(sampled, evidence({ nowMs: 90_000 })).proofs).toBe(1);
  });

  test("what came back doubles the period, up to the longest, and the next is a sample again", () => {
    let state: PaceState = { ...sampled, proofs: 2 };
    const periods: number[] = [];
    for (let run = 0; run < 7; run++) {
      state = judgePace(state, evidence({ costly: true }));
      periods.push(periodMs(state, limits) / 1000);
    }
    expect(periods).toEqual([40, 80, 160, 320, 600, 600, 600]);
    expect(state).toMatchObject({ proofs: 0, evictedMs: null });
  });

  test("wears off when the cgroup becomes busy, or grows by half", () => {
    const proved: PaceState = { ...sampled, evictedMs: null, proofs: 2, idle: true };
    expect(judgePace(proved, evidence({ idle: true })).proofs).toBe(2);
    expect(judgePace(proved, evidence({ idle: false })).proofs).toBe(0);
    expect(judgePace(proved, evidence({ idle: true, sizePages: 160_000 })).proofs).toBe(0);
  });
});

describe("a rhythm", () => {
  const minuteMs = 60_000;
  /** Evicted after ten idle minutes; all of it came back later. */
  function cameBack(laterMs: number, idleMs: number | null = 10 * minuteMs): PaceState {
    const evicted = notePaceEviction({ ...newPace, proofs: 1 }, 10 * minuteMs, { sample: false, idleMs });
    return judgePace(evicted, evidence({ nowMs: 10 * minuteMs + laterMs, costly: true }));
  }

  test("is the pause of a job that came back long before that was paid for", () => {
    expect(worthMs(0.2)).toBe(500 * minuteMs);
    expect(cameBack(50 * minuteMs).rhythmMs).toBe(60 * minuteMs);
    // An eighth of 500 minutes.
    expect(cameBack(63 * minuteMs).rhythmMs).toBe(0);
    expect(cameBack(50 * minuteMs, 80_000).rhythmMs).toBe(0);
    expect(cameBack(50 * minuteMs, null).rhythmMs).toBe(0);
  });

  test("asks for no longer period: the pause tells more", () => {
    expect(periodMs({ ...cameBack(50 * minuteMs) }, limits)).toBe(20_000);
    expect(periodMs({ ...cameBack(50 * minuteMs, null) }, limits)).toBe(40_000);
  });

  const rows: readonly [what: string, rhythmMs: number, idleMs: number | null, rhythm: Rhythm][] = [
    ["none of a cgroup that never came back", 0, 10 * minuteMs, "none"],
    ["none of one that is busy", 60 * minuteMs, 89_000, "none"],
    ["none where the CPU is not known", 60 * minuteMs, null, "none"],
    ["a pause as it was before", 60 * minuteMs, 74 * minuteMs, "pausing"],
    ["a pause longer than before by a quarter", 60 * minuteMs, 75 * minuteMs, "over"],
  ];
  test.each(rows)("%s", (_, rhythmMs, idleMs, rhythm) => {
    expect(rhythmOf({ ...newPace, rhythmMs }, idleMs)).toBe(rhythm);
  });
});

function periodAfter(state: PaceState, pages: number): number {
  return periodMs(noteGrowth(state, pages, 4096, limits), limits);
}

describe("nothing to give", () => {
  test("three times doubles the period, and so each time after", () => {
    let state = newPace;
    const periods: number[] = [];
    for (let run = 0; run < 5; run++) {
      state = notePaceEmpty(state, limits);
      periods.push(periodMs(state, limits) / 1000);
    }
    expect(periods).toEqual([20, 20, 40, 80, 160]);
  });

  test("growth brings the short period back; a period that was learnt stays", () => {
    const empty: PaceState = { ...newPace, periodMs: 160_000, emptyRuns: 3, sizePages: 10_000 };
    expect(periodAfter(empty, 10_500)).toBe(160_000);
    expect(periodAfter(empty, 11_000)).toBe(20_000);
    expect(periodAfter({ ...empty, sizePages: 100_000 }, 100_000 + 4096)).toBe(20_000);
    expect(periodAfter({ ...empty, emptyRuns: 0 }, 11_000)).toBe(160_000);
  });

  test("what is smaller than a sample does not grow", () => {
    const empty: PaceState = { ...newPace, periodMs: 160_000, emptyRuns: 3, sizePages: 0 };
    expect(periodAfter(empty, 255)).toBe(160_000);
    expect(periodAfter(empty, 256)).toBe(20_000);
  });

  test("growth is what came since the size was last the least", () => {
    const shrunk = noteGrowth({ ...newPace, emptyRuns: 3, periodMs: 160_000, sizePages: 10_000 }, 5_000, 4096, limits);
    expect(periodMs(shrunk, limits)).toBe(160_000);
    expect(periodMs(noteGrowth(shrunk, 5_500, 4096, limits), limits)).toBe(20_000);
  });
});

describe("the first eviction", () => {
  const rows: readonly [what: string, bounds: PaceLimits, agings: number, sampleSecs: number, restSecs: number][] = [
    ["at the defaults", limits, 3, 40, 90],
    ["with a longer shortest period", paceLimits(120, 600), 3, 240, 360],
    ["with a fixed pace", fixed, 3, 1200, 1800],
    ["with fewer agings", limits, 1, 0, 90],
  ];
  test.each(rows)("%s", (_, bounds, agings, sampleSecs, restSecs) => {
    expect(firstEvictionMs(bounds, agings)).toEqual({ sampleMs: sampleSecs * 1000, restMs: restSecs * 1000 });
  });
});

test("aging takes a two-hundredth of the time at most, as far as the longest period allows", () => {
  expect(periodMs(newPace, paceLimits(20, 600, 100))).toBe(20_000);
  expect(periodMs(newPace, paceLimits(20, 600, 500))).toBe(100_000);
  expect(periodMs(newPace, paceLimits(20, 600, 5_000))).toBe(600_000);
  expect(periodMs(newPace, paceLimits(1, 1, 500))).toBe(1_000);
});

test("a period that was learnt keeps within settings that changed since", () => {
  expect(periodMs({ ...newPace, periodMs: 300_000 }, paceLimits(20, 60))).toBe(60_000);
  expect(periodMs({ ...newPace, periodMs: 20_000 }, paceLimits(120, 600))).toBe(120_000);
});

describe("idle", () => {
  test("is who used less than a thousandth of a CPU between two looks", () => {
    const first = noteCpu(null, 5_000, 0);
    expect(first.busyMs).toBe(0);
    expect(noteCpu(first, 5_000 + 20_000, 20_000).busyMs).toBe(0);
    expect(noteCpu(first, 5_000 + 20_001, 20_000).busyMs).toBe(20_000);
  });

  test("is not who worked for a tenth of a second, however long ago the look before was", () => {
    const first = noteCpu(null, 0, 0);
    expect(noteCpu(first, 100_000, 600_000).busyMs).toBe(0);
    expect(noteCpu(first, 100_001, 600_000).busyMs).toBe(600_000);
  });

  test("a counter that fell is another cgroup's: busy", () => {
    expect(noteCpu({ usageUs: 9, atMs: 0, busyMs: 0 }, 3, 20_000)).toEqual({
      usageUs: 3,
      atMs: 20_000,
      busyMs: 20_000,
    });
  });

  test("needs a quiet that is longer than the oldest generation is old", () => {
    expect(quietMs(30_000)).toBe(90_000);
    expect(quietMs(240_000)).toBe(240_000);
  });
});
