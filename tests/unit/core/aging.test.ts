import { expect, test } from "bun:test";
import { agingIntervalMsMax, amountsByAge, decideAging } from "../../../src/core/aging.ts";
import { toleranceMs } from "../../../src/core/schedule.ts";

interface Row {
  readonly name: string;
  readonly youngestAgeMs: number;
  readonly periodMs: number;
  readonly toleranceMs?: number;
  readonly age: boolean;
}

const rows: readonly Row[] = [
  { name: "a long period: not before 60 s", youngestAgeMs: 59_999, periodMs: 600_000, age: false },
  { name: "a long period: at 60 s", youngestAgeMs: 60_000, periodMs: 600_000, age: true },
  { name: "a short period: not before it is over", youngestAgeMs: 4_999, periodMs: 5_000, age: false },
  { name: "a short period: when it is over", youngestAgeMs: 5_000, periodMs: 5_000, age: true },
  { name: "just aged", youngestAgeMs: 0, periodMs: 1_000, age: false },
  {
    name: "as early as the run may come",
    youngestAgeMs: 4_750,
    periodMs: 5_000,
    toleranceMs: toleranceMs(5_000),
    age: true,
  },
  { name: "earlier than that", youngestAgeMs: 4_749, periodMs: 5_000, toleranceMs: toleranceMs(5_000), age: false },
];

test.each(rows)("$name", ({ youngestAgeMs, periodMs, toleranceMs: early = 0, age }) => {
  const decision = decideAging({ youngestAgeMs, periodMs, toleranceMs: early });
  expect(decision).toEqual(age ? { do: "age" } : { do: "skip", why: "young" });
});

test("a target whose runs follow each other as soon as they may is aged in each", () => {
  for (const periodMs of [1_000, 5_000, 59_000, 60_000, 600_000, 86_400_000]) {
    const youngestAgeMs = periodMs - toleranceMs(periodMs);
    const decision = decideAging({ youngestAgeMs, periodMs, toleranceMs: toleranceMs(periodMs) });
    expect({ periodMs, decision }).toEqual({ periodMs, decision: { do: "age" } });
  }
  expect(agingIntervalMsMax).toBe(60_000);
});

test("amounts by age: a generation was untouched since the next younger one was made", () => {
  const list = [
    { age: 900, amount: 1 },
    { age: 600, amount: 2 },
    { age: 59, amount: 4 },
    { age: 3, amount: 8 },
  ];
  expect(amountsByAge([list, [{ age: 700, amount: 16 }]], [0, 60, 600])).toEqual([30, 0, 1]);
  expect(amountsByAge([list], [60, 600])).toEqual([0, 1]);
  expect(amountsByAge([], [0])).toEqual([0]);
});
