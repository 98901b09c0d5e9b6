import { describe, expect, test } from "bun:test";
import { allFailed, mostCameBack } from "../../../src/core/health.ts";
import type { EndReason } from "../../../src/core/reason.ts";

const mib = 2 ** 20;

describe("nothing can be evicted", () => {
  const rows: readonly (readonly [ends: readonly (EndReason | null)[], failed: boolean])[] = [
    [[], false],
    [[null, null], false],
    [["error"], true],
    [["error", "error", null, "disabled", "vanished", "stopped"], true],
    [["disabled", "vanished", "stopped", null], false],
    [["error", "nothing_cold"], false],
    [["error", "pressure"], false],
    [["evicted"], false],
  ];
  for (const [ends, failed] of rows)
    test(`${ends.join(" ") || "no target"}: ${failed}`, () => expect(allFailed(ends)).toBe(failed));
});

describe("most came back", () => {
  const rows: readonly (readonly [evictedMib: number, refaultedMib: number, was: boolean, is: boolean])[] = [
    [0, 0, false, false],
    [99, 99, false, false],
    [100, 50, false, false],
    [100, 51, false, true],
    [100, 34, true, true],
    [100, 33, true, false],
    [99, 99, true, false],
  ];
  for (const [evicted, refaulted, was, is] of rows) {
    test(`${refaulted} of ${evicted} MiB, ${was} before: ${is}`, () =>
      expect(mostCameBack({ evictedBytes: evicted * mib, refaultedBytes: refaulted * mib }, was)).toBe(is));
  }
});
