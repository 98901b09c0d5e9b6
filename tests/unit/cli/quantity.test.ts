import { expect, test } from "bun:test";
import { clockText, countText, groupDigits, shortSpanText } from "../../../src/cli/screens/quantity.ts";

test("short spans keep the largest unit", () => {
  const rows: readonly [number, string][] = [
    [0, "0s"],
    [99, "99s"],
    [100, "2m"],
    [3600, "60m"],
    [7200, "2h"],
    [86_400, "24h"],
    [172_800, "2d"],
  ];
  for (const [secs, text] of rows) expect(shortSpanText(secs)).toBe(text);
});

test("counts have their plural and their commas", () => {
  expect(countText(1, "run")).toBe("1 run");
  expect(countText(0, "run")).toBe("0 runs");
  expect(countText(1234, "batch", "batches")).toBe("1,234 batches");
  expect(groupDigits(1_234_567)).toBe("1,234,567");
  expect(groupDigits(999)).toBe("999");
});

test("a time of today is a clock, another has its date, and what is no time stays as it is", () => {
  const today = new Date(2026, 0, 2, 3, 4, 5);
  expect(clockText(today.toISOString(), new Date(2026, 0, 2, 23).getTime())).toBe("03:04:05");
  expect(clockText(today.toISOString(), new Date(2026, 0, 3).getTime())).toBe("2026-01-02 03:04:05");
  expect(clockText("never", 0)).toBe("never");
});
