import { describe, expect, test } from "bun:test";
import { blocks, foldSamples } from "../../../src/cli/screens/chart.ts";

const samples = [
  { atMs: 100, value: 1 },
  { atMs: 10_500, value: 3 },
  { atMs: 11_500, value: 2 },
  { atMs: 39_500, value: 4 },
];

describe("foldSamples: now is the last column, what is too old is left out", () => {
  const rows = [
    ["sum", false, [null, 5, null, 4]],
    ["last", false, [null, 2, null, 4]],
    ["last", true, [null, 2, 2, 4]],
    ["largest", false, [null, 3, null, 4]],
  ] as const;
  for (const [fold, hold, values] of rows) {
    test(`${fold}${hold ? ", held" : ""}`, () => {
      expect(foldSamples(samples.slice(1), 40_000, 4, { spanMs: 40_000, fold, hold })).toEqual([...values]);
    });
  }

  test("older than the span", () => {
    const fold = { spanMs: 40_000, fold: "sum", hold: false } as const;
    expect(foldSamples(samples, 50_000, 4, fold)).toEqual([5, null, 4, null]);
  });
});

describe("blocks", () => {
  const rows: readonly [readonly (number | null)[], string][] = [
    [[null, 0, 1, 500, 1000], "  ▁▄█"],
    [[0, null], "  "],
    [[7], "█"],
    [[], ""],
  ];
  for (const [values, text] of rows) test(JSON.stringify(values), () => expect(blocks(values)).toBe(text));
});
