import { expect, test } from "bun:test";
import { didYouMean, editDistance, nearest } from "../../../src/config/nearest.ts";

test.each([
  ["", "", 0],
  ["abc", "abc", 0],
  ["abc", "abd", 1],
  ["abc", "ab", 1],
  ["abc", "bac", 1],
  ["", "abc", 3],
  ["kitten", "sitting", 3],
] as const)("from %j to %j it is %d", (from, to, distance) => {
  expect(editDistance(from, to)).toBe(distance);
  expect(editDistance(to, from)).toBe(distance);
});

const names = ["disabled", "swap", "swappiness_max", "period_secs", "period_psi_percent_limit"];
test.each([
  ["perod_secs", "period_secs"],
  ["period-secs", "period_secs"],
  ["Swap", "swap"],
  ["sawp", "swap"],
  ["swapiness_max", "swappiness_max"],
  ["disable", "disabled"],
  ["frequency", null],
  ["", null],
  ["x".repeat(200), null],
] as const)("%j is meant as %p", (name, meant) => {
  expect(nearest(name, names)).toBe(meant);
});

test("the question is asked only where there is an answer", () => {
  expect(didYouMean("sawp", names)).toBe(' (did you mean "swap"?)');
  expect(didYouMean("frequency", names)).toBe("");
});
