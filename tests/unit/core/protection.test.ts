import { expect, test } from "bun:test";
import {
  overshootPages,
  unprotectedPages,
  type ProtectedBytes,
  type ProtectionReading,
} from "../../../src/core/protection.ts";

const pageBytes = 4096;

/** In pages; `max` and null as they are. */
function reading(usage: number | null, min: ProtectedBytes, low: ProtectedBytes): ProtectionReading {
  const bytes = (pages: ProtectedBytes): ProtectedBytes => (typeof pages === "number" ? pages * pageBytes : pages);
  return { usageBytes: usage === null ? null : usage * pageBytes, minBytes: bytes(min), lowBytes: bytes(low) };
}

interface Row {
  readonly name: string;
  /** The cgroup first, then its parents. */
  readonly chain: readonly ProtectionReading[];
  readonly pages: number | null;
}

const rows: readonly Row[] = [
  { name: "nothing is protected", chain: [reading(5_000, 0, 0)], pages: null },
  { name: "the root has nothing to protect", chain: [reading(null, null, null)], pages: null },
  { name: "no cgroup at all", chain: [], pages: null },
  { name: "above memory.low", chain: [reading(5_000, 0, 1_000)], pages: 4_000 - overshootPages },
  { name: "above memory.min", chain: [reading(5_000, 1_000, 0)], pages: 4_000 - overshootPages },
  { name: "above the larger of both", chain: [reading(5_000, 1_000, 2_000)], pages: 3_000 - overshootPages },
  { name: "no more than is protected", chain: [reading(900, 0, 1_000)], pages: 0 },
  { name: "just above: the kernel would overshoot", chain: [reading(1_000 + overshootPages, 0, 1_000)], pages: 0 },
  { name: "memory.low max protects all", chain: [reading(5_000, 0, "max")], pages: 0 },
  { name: "usage that cannot be read", chain: [reading(null, 0, 1_000)], pages: null },
  {
    name: "a parent's protection",
    chain: [reading(2_000, 0, 0), reading(9_000, 0, 8_000), reading(null, null, null)],
    pages: 1_000 - overshootPages,
  },
  {
    name: "the least of its own and a parent's",
    chain: [reading(5_000, 0, 1_000), reading(9_000, 0, 2_000)],
    pages: 4_000 - overshootPages,
  },
];

test.each(rows)("$name", ({ chain, pages }) => {
  expect(unprotectedPages(chain, pageBytes)).toBe(pages);
});

test("a page that is only partly above does not count", () => {
  const usageBytes = (2_000 + overshootPages) * pageBytes + 4095;
  expect(unprotectedPages([{ usageBytes, minBytes: 0, lowBytes: pageBytes }], pageBytes)).toBe(1_999);
});
