/** How the benchmark's figures are made from its runs. */
import { expect, test } from "bun:test";
import { figureTable, isWithin, median, ratioOf, type Figure } from "../../bench/figures.ts";
import { parseCpuSecs, parseMib, parseProcessIo, sumOf } from "../../bench/process-cost.ts";

const figure: Figure = { part: "p", name: "n", unit: "ms", runs: [3, 1, 2] };

test("the median", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test("a ratio, where there is something to compare with", () => {
  expect(ratioOf(figure)).toBeNull();
  expect(ratioOf({ ...figure, reference: { name: "r", runs: [4] } })).toBe(0.5);
  expect(ratioOf({ ...figure, reference: { name: "r", runs: [0] } })).toBeNull();
});

test("a limit of the value, or of the ratio", () => {
  expect(isWithin(figure)).toBeNull();
  expect(isWithin({ ...figure, limit: { of: "value", max: 2 } })).toBe(true);
  expect(isWithin({ ...figure, limit: { of: "value", max: 1.9 } })).toBe(false);
  expect(isWithin({ ...figure, reference: { name: "r", runs: [1] }, limit: { of: "ratio", max: 1.2 } })).toBe(false);
});

test("a table that Markdown understands", () => {
  const lines = figureTable([{ ...figure, limit: { of: "value", max: 1 } }]).split("\n");
  expect(lines).toHaveLength(3);
  expect(lines[2]).toMatch(/^\| p +\| n +\| 2 ms +\| +\| +\| 1 ms +\| NO +\|$/);
});

test("the kernel's counters of a process", () => {
  expect(parseProcessIo("rchar: 5\nwchar: 6\nsyscr: 7\nsyscw: 8\n")).toEqual({ reads: 7, writes: 8, readBytes: 5 });
  expect(parseCpuSecs(`1 (a ) b) S ${"0 ".repeat(10)}150 50 0`)).toBe(2);
  expect(parseMib("RssAnon:\t    2048 kB\nRssFile:\t 1024 kB\n", "RssFile")).toBe(1);
  expect(
    sumOf(
      "voluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t4\n",
      "voluntary_ctxt_switches",
    ),
  ).toBe(7);
});
