import { describe, expect, test } from "bun:test";

import { bootAgainText, bootsAgain, parseTestCounts, verdictOf } from "../support/outcome.ts";

describe("counts of bun test", () => {
  test.each([
    [" 12 pass\n 0 fail\n 30 expect() calls\n", { passed: 12, failed: 0, skipped: 0 }],
    [" 3 pass\n 2 skip\n 1 todo\n 4 fail\n", { passed: 3, failed: 4, skipped: 3 }],
    // A test that prints such a line itself: the last one is Bun's.
    [" 99 pass\n...\n 1 pass\n 0 fail\n", { passed: 1, failed: 0, skipped: 0 }],
    ["error: crashed\n", { passed: 0, failed: 0, skipped: 0 }],
  ])("%j", (output, counts) => {
    expect(parseTestCounts(output)).toEqual(counts);
  });
});

describe("verdict", () => {
  const good = { name: "unit", passed: 5, failed: 0, skipped: 0, seconds: 1 };
  test.each([
    ["all passed", [good, { ...good, name: "cli" }], 10, 0, 0],
    ["one failed", [good, { ...good, failed: 1 }], 10, 1, 0],
    ["guests that ran nothing", [good, { ...good, name: "guest", passed: 0 }], 5, 0, 1],
    ["skipped", [{ ...good, skipped: 1 }], 5, 0, 1],
  ])("%s", (_, outcomes, passed, failed, problems) => {
    const verdict = verdictOf(outcomes);
    expect([verdict.passed, verdict.failed, verdict.problems.length]).toEqual([passed, failed, problems]);
  });
});

test("boots after a panic are counted", () => {
  expect(bootsAgain(`${bootAgainText} 7.2\nsomething else\n${bootAgainText} 6.1\n`)).toBe(2);
  expect(bootsAgain("nothing")).toBe(0);
});
