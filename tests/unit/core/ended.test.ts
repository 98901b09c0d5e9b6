import { describe, expect, test } from "bun:test";
import {
  decideEnded,
  endedEndTexts,
  endedHorizonMs,
  endedPagesMin,
  judgeEndedStep,
  newEnded,
  noteEnded,
  noteEndedRun,
  oldEndedPages,
  type EndedEnd,
  type EndedInput,
  type EndedProgress,
  type EndedState,
} from "../../../src/core/ended.ts";
import { paceLimits } from "../../../src/core/pace.ts";

const limits = paceLimits(20, 600);
const horizonMs = endedHorizonMs(limits);

test("what ended a while ago is old: 90 s, or two fixed periods", () => {
  expect(horizonMs).toBe(90_000);
  expect(endedHorizonMs(paceLimits(60, 600))).toBe(120_000);
  expect(endedHorizonMs(paceLimits(5, 5))).toBe(10_000);
});

/** The state after looks at these times, in seconds. */
function looks(...seen: readonly (readonly [secs: number, pages: number, takenPages?: number])[]): EndedState {
  return seen.reduce(
    (state, [secs, pages, takenPages = 0]) =>
      noteEnded(state, { pages, takenPages, nowMs: secs * 1000, horizonMs: 90_000 }),
    newEnded,
  );
}

describe("how much is old", () => {
  const rows: readonly [what: string, state: EndedState, secs: number, pages: number][] = [
    ["nothing at first sight", looks([0, 1000]), 0, 0],
    ["all that is there after the horizon", looks([0, 1000], [90, 1000]), 90, 1000],
    ["the least that was there", looks([0, 1000], [30, 800], [60, 900], [90, 900]), 90, 800],
    ["not what was evicted meanwhile", looks([0, 1000], [90, 400, 600]), 90, 400],
    ["what ended since goes along as long as it is a quarter", looks([0, 1000], [90, 1250]), 90, 1000],
    ["nothing where it is more", looks([0, 1000], [80, 2000], [85, 2000]), 91, 0],
    ["then all that is followed from there", looks([0, 1000], [80, 2000], [95, 2000], [185, 2000]), 185, 2000],
  ];
  test.each(rows)("%s", (_, state, secs, pages) => {
    expect(oldEndedPages(state, 90_000, secs * 1000)).toBe(pages);
  });
});

const input: EndedInput = {
  oldPages: 100_000,
  nowMs: 0,
  disabled: false,
  disabledBelow: false,
  hasReclaim: true,
  filesAlone: true,
  stalled: false,
  sitsOut: false,
};

describe("what is done", () => {
  const rows: readonly [
    what: string,
    state: EndedState,
    changes: Partial<EndedInput>,
    done: number | EndedEnd | null,
  ][] = [
    ["all that is old goes", newEnded, {}, 100_000],
    ["nothing while it waits", { ...newEnded, waitUntilMs: 1 }, {}, null],
    ["nothing of what ended just now", newEnded, { oldPages: endedPagesMin - 1 }, "fresh"],
    ["nothing where memcg is disabled", newEnded, { disabled: true }, "disabled"],
    ["nothing beside a cgroup that a rule spares", newEnded, { disabledBelow: true }, "spared"],
    ["nothing without memory.reclaim", newEnded, { hasReclaim: false }, "no_file"],
    ["nothing where anonymous pages would go too", newEnded, { filesAlone: false }, "swap"],
    ["nothing under pressure", newEnded, { stalled: true }, "pressure"],
    ["nothing while too much came back", newEnded, { sitsOut: true }, "refaults"],
  ];
  test.each(rows)("%s", (_, state, changes, done) => {
    const decision = decideEnded(state, { ...input, ...changes });
    expect(decision.do === "evict" ? decision.pages : decision.why).toBe(done);
  });
});

describe("after a step", () => {
  const step: EndedProgress = {
    stepPages: 256,
    idleSteps: 0,
    freedPages: 4000,
    lostPages: 128,
    leftPages: 100_000,
  };
  const rows: readonly [what: string, changes: Partial<EndedProgress>, next: number | EndedEnd][] = [
    ["the next is twice as large", {}, 512],
    ["but no more than half of what is left", { leftPages: 600 }, 300],
    ["half a mebibyte at least", { leftPages: 256 }, 128],
    ["and no more than 16 MiB", { stepPages: 4096 }, 4096],
    ["all went", { leftPages: 249 }, "evicted"],
    ["what is left is a sixteenth and does not go", { idleSteps: 4, freedPages: 16_016, leftPages: 1000 }, "evicted"],
    ["the kernel came across the living alone, once", { idleSteps: 1 }, 512],
    ["and again and again", { idleSteps: 4 }, "no_progress"],
    ["the living lost a sixteenth and more", { lostPages: 763 }, "living_lost"],
    ["they may lose that", { lostPages: 762 }, 512],
    ["only the living lost", { idleSteps: 1, freedPages: 0, lostPages: 513 }, "living_lost"],
  ];
  test.each(rows)("%s", (_, changes, next) => {
    const decision = judgeEndedStep({ ...step, ...changes });
    expect(decision.do === "go_on" ? decision.pages : decision.why).toBe(next);
  });

  test("as many steps as there are ever needed", () => {
    let left = 1 << 22;
    let steps = 0;
    for (let pages = 256; ; steps++) {
      left -= pages;
      const decision = judgeEndedStep({ ...step, stepPages: pages, freedPages: 256, lostPages: 0, leftPages: left });
      if (decision.do === "end") break;
      pages = decision.pages;
    }
    expect(steps).toBeLessThan(1100);
  });
});

describe("what a run's end means for the next", () => {
  test("each loss of the living doubles the wait, up to the longest period", () => {
    let state = newEnded;
    const waits = Array.from({ length: 6 }, () => {
      state = noteEndedRun(state, "living_lost", 0, limits);
      return state.waitUntilMs / 1000;
    });
    expect(waits).toEqual([60, 120, 240, 480, 600, 600]);
    expect(noteEndedRun(state, "evicted", 0, limits).waitMs).toBe(0);
  });

  test("an eviction that is sat out takes a longest period", () => {
    expect(noteEndedRun(newEnded, "refaults", 0, limits).waitUntilMs).toBe(600_000);
  });

  const ends = Object.keys(endedEndTexts) as EndedEnd[];
  test.each(ends.map((why) => [why] as const))("%s changes nothing that it should not", (why) => {
    const state = noteEndedRun({ ...newEnded, pages: 7 }, why, 0, limits);
    expect(state.pages).toBe(7);
  });
});
