import { describe, expect, test } from "bun:test";
import { spreadFactor, spreadSeed } from "../../../src/core/spread.ts";

/** A thousand guests made from one image, whose names differ in the last digits. */
const seeds = Array.from({ length: 1000 }, (_, guest) => spreadSeed(`6f1c0000000000000000000000000${guest}`));

describe("spreadFactor", () => {
  test("lies between 1 and 1 and the percent, and reaches both ends", () => {
    const factors = seeds.map((seed) => spreadFactor(seed, 0, 10));
    expect(Math.min(...factors)).toBeGreaterThanOrEqual(1);
    expect(Math.min(...factors)).toBeLessThan(1.001);
    expect(Math.max(...factors)).toBeLessThan(1.1);
    expect(Math.max(...factors)).toBeGreaterThan(1.099);
  });

  test("0 percent is the bare period", () => {
    expect(seeds.map((seed) => spreadFactor(seed, 3, 0)).every((factor) => factor === 1)).toBe(true);
  });

  test("is the same from start to start, and differs from guest to guest and from run to run", () => {
    expect(spreadFactor(spreadSeed("a"), 5, 50)).toBe(spreadFactor(spreadSeed("a"), 5, 50));
    expect(spreadFactor(spreadSeed("a"), 5, 50)).not.toBe(spreadFactor(spreadSeed("b"), 5, 50));
    expect(spreadFactor(spreadSeed("a"), 5, 50)).not.toBe(spreadFactor(spreadSeed("a"), 6, 50));
    expect(new Set(seeds).size).toBe(seeds.length);
  });

  test.each([0, 1, 100])("a thousand guests fall evenly into ten parts of the spread in run %d", (ordinal) => {
    const parts = Array.from({ length: 10 }, () => 0);
    for (const seed of seeds) {
      const part = Math.floor((spreadFactor(seed, ordinal, 10) - 1) * 100);
      parts[part] = (parts[part] ?? 0) + 1;
    }
    // 100 each on average; four standard deviations are 38.
    for (const count of parts) expect(Math.abs(count - 100)).toBeLessThan(38);
  });
});
