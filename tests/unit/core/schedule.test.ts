import { expect, test } from "bun:test";
import { dueMs, isDue, toleranceMs } from "../../../src/core/schedule.ts";

test.each([
  [1_000, 50],
  [5_000, 250],
  [100_000, 5_000],
  [600_000, 5_000],
  [86_400_000, 5_000],
])("a period of %d ms may begin %d ms early", (periodMs, earlyMs) => {
  expect(toleranceMs(periodMs)).toBe(earlyMs);
});

test.each([
  [null, 600_000, 1, Number.NEGATIVE_INFINITY],
  [1_000, 600_000, 1, 601_000],
  [1_000, 600_000, 1.1, 661_000],
  [0, 1_000, 1, 1_000],
])("ran at %p, period %d, spread %d: due at %d", (ranMs, periodMs, spread, due) => {
  expect(dueMs(ranMs, periodMs, spread)).toBe(due);
});

test.each([
  [600_000, 600_000, true],
  [600_000, 595_000, true],
  [600_000, 594_999, false],
  [600_000, 9_000_000, true],
  [Number.NEGATIVE_INFINITY, 0, true],
])("due at %d, now %d: %p", (due, nowMs, is) => {
  expect(isDue(due, nowMs, 600_000)).toBe(is);
});
