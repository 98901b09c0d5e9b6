/** How large a batch is, after what the batches before it took. */
import { expect, test } from "bun:test";
import { Pace } from "../../../src/agent/memcg/evict.ts";
import { batchMs } from "../../../src/core/eviction.ts";

/** Lets the pace settle at this speed. */
function settled(pagesPerMs: number): Pace {
  const pace = new Pace();
  for (let batch = 0; batch < 20; batch++) at(pace, pagesPerMs);
  return pace;
}

function at(pace: Pace, pagesPerMs: number): void {
  const pages = pace.pages(0);
  pace.learn(0, pages, pages / pagesPerMs, true);
}

test("a batch is what fits into its time at the machine's speed", () => {
  expect(settled(300).pages(0)).toBe(300 * batchMs);
});

test("one slow batch changes nothing, a second makes them smaller", () => {
  const pace = settled(300);
  at(pace, 100);
  expect(pace.pages(0)).toBe(300 * batchMs);
  at(pace, 100);
  expect(pace.pages(0)).toBe(100 * batchMs);
});

test("one that is held up for long makes the next smaller at once", () => {
  const pace = settled(300);
  at(pace, 300 / 8);
  expect(pace.pages(0)).toBe((300 * batchMs) / 4);
});

test("a quick batch makes the next larger at once", () => {
  const pace = settled(100);
  at(pace, 200);
  expect(pace.pages(0)).toBe(200 * batchMs);
});

test("speed of swapping and of dropping are learnt apart", () => {
  const pace = settled(300);
  const before = pace.pages(200);
  pace.learn(200, before, 1000, true);
  expect(pace.pages(200)).toBeLessThan(before);
  expect(pace.pages(0)).toBe(300 * batchMs);
});
