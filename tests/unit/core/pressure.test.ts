import { describe, expect, test } from "bun:test";
import {
  isAbove,
  SlidingPressure,
  stallPercent,
  stallUs,
  triggerPercent,
  type StallReading,
} from "../../../src/core/pressure.ts";

/** Totals of memory and io, and of children by their inode. */
function reading(
  atMs: number,
  [memoryUs, ioUs]: readonly [number | null, number | null],
  children: Readonly<Record<number, readonly [number | null, number | null]>> | null = null,
): StallReading {
  const below =
    children === null
      ? null
      : new Map(
          Object.entries(children).map(([inode, [memory, io]]) => [Number(inode), { memoryUs: memory, ioUs: io }]),
        );
  return { atMs, self: { memoryUs, ioUs }, children: below };
}

interface Row {
  readonly name: string;
  readonly before: StallReading;
  readonly after: StallReading;
  readonly us: number | null;
}

const rows: readonly Row[] = [
  { name: "memory", before: reading(0, [100, 0]), after: reading(0, [350, 0]), us: 250 },
  { name: "io", before: reading(0, [0, 100]), after: reading(0, [0, 350]), us: 250 },
  { name: "the larger of both, not their sum", before: reading(0, [0, 0]), after: reading(0, [30, 50]), us: 50 },
  { name: "io is unknown", before: reading(0, [0, null]), after: reading(0, [30, null]), us: 30 },
  { name: "memory is unknown", before: reading(0, [null, 0]), after: reading(0, [null, 30]), us: 30 },
  { name: "nothing is known", before: reading(0, [null, null]), after: reading(0, [null, null]), us: null },
  { name: "known at one end only", before: reading(0, [null, null]), after: reading(0, [30, 30]), us: null },
  { name: "a counter that fell", before: reading(0, [100, 0]), after: reading(0, [50, 0]), us: 0 },
  {
    name: "without what the children stalled",
    before: reading(0, [1_000, 0], { 7: [400, 0], 8: [0, 0] }),
    after: reading(0, [1_500, 0], { 7: [600, 0], 8: [50, 0] }),
    us: 250,
  },
  {
    name: "children that stalled at the same time as each other: never below zero",
    before: reading(0, [0, 0], { 7: [0, 0], 8: [0, 0] }),
    after: reading(0, [500, 0], { 7: [400, 0], 8: [400, 0] }),
    us: 0,
  },
  {
    name: "a new child counts from zero",
    before: reading(0, [0, 0], {}),
    after: reading(0, [500, 0], { 9: [300, 0] }),
    us: 200,
  },
  {
    name: "the stall of a child that is gone stays with the parent",
    before: reading(0, [0, 0], { 9: [300, 0] }),
    after: reading(0, [500, 0], {}),
    us: 500,
  },
  {
    name: "children are taken off each resource by itself",
    before: reading(0, [0, 0], { 7: [0, 0] }),
    after: reading(0, [500, 400], { 7: [500, 0] }),
    us: 400,
  },
];

describe("stallUs", () => {
  test.each(rows)("$name", ({ before, after, us }) => {
    expect(stallUs(before, after)).toBe(us);
  });
});

test.each([
  [10_000, 1_000, 1],
  [500_000, 1_000, 50],
  [2_000_000, 1_000, 100],
  [0, 1_000, 0],
  [10_000, 0, 0],
])("%d us of %d ms are %d %", (us, ms, percent) => {
  expect(stallPercent(us, ms)).toBe(percent);
});

test.each([
  [1.1, 1, true],
  [1, 1, false],
  [0.1, 0, true],
  [0, 0, false],
  [100, 100, false],
  [null, 0, false],
])("%p %% is above a limit of %p %%: %p", (percent, limit, above) => {
  expect(isAbove(percent, limit)).toBe(above);
});

test.each([
  [1, 1],
  [0, 0.001],
  [99.9, 99.9],
  [100, null],
])("a limit of %p %% arms a trigger of %p %%", (limit, armed) => {
  expect(triggerPercent(limit)).toBe(armed);
});

/** Percent after each of these readings: milliseconds and microseconds of stall. */
function slide(points: readonly (readonly [number, number])[]): (number | null)[] {
  const sliding = new SlidingPressure(reading(0, [0, 0]), 500);
  return points.map(([atMs, us]) => sliding.percent(reading(atMs, [us, 0])));
}

describe("SlidingPressure", () => {
  test("a short stall at the very start is held against a whole window", () => {
    expect(slide([[10, 4_000]])).toEqual([0.8]);
  });

  test("a stall is forgotten once it is two windows old", () => {
    expect(
      slide([
        [100, 50_000],
        [500, 50_000],
        [1_000, 50_000],
        [1_500, 50_000],
      ]),
    ).toEqual([10, 10, 0, 0]);
  });

  test("readings far apart count over all the time between them", () => {
    expect(slide([[10_000, 1_000_000]])).toEqual([10]);
  });

  test("without readings nothing is known", () => {
    const sliding = new SlidingPressure(reading(0, [null, null]), 500);
    expect(sliding.percent(reading(600, [null, null]))).toBeNull();
  });
});
