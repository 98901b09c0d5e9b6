import { describe, expect, test } from "bun:test";
import { foldSamples, renderChart } from "../../../src/cli/screens/chart.ts";

const samples = [
  { atMs: 100, value: 1 },
  { atMs: 10_500, value: 2 },
  { atMs: 11_500, value: 3 },
  { atMs: 39_500, value: 4 },
];

describe("foldSamples: now is the last column, what is too old is left out", () => {
  const rows = [
    ["sum", false, [null, 5, null, 4]],
    ["last", false, [null, 3, null, 4]],
    ["last", true, [null, 3, 3, 4]],
  ] as const;
  for (const [fold, hold, values] of rows) {
    test(`${fold}${hold ? ", held" : ""}`, () => {
      const about = { spanSecs: 40, fold, hold };
      expect(foldSamples(samples.slice(1), 40_000, 4, about)).toEqual([...values]);
    });
  }

  test("older than the span", () => {
    expect(foldSamples(samples, 50_000, 4, { spanSecs: 40, fold: "sum", hold: false })).toEqual([5, null, 4, null]);
  });
});

test("a chart has its scale at the left, the time below, and shows a little as something", () => {
  const about = {
    title: "Given back",
    style: "green",
    spanSecs: 300,
    rows: 2,
    fold: "sum",
    hold: false,
    valueText: (value: number) => `${value} B`,
  } as const;
  const terminal = { columns: 31, rows: 24, colour: false };
  const points = [
    { atMs: 300_000, value: 1000 },
    { atMs: 280_000, value: 500 },
    { atMs: 200_000, value: 1 },
  ];
  expect(renderChart(points, 300_000, about, terminal)).toEqual([
    "Given back",
    "    1000 B                    █",
    "       0 B              ▁    ██",
    "           5 min ago        now",
  ]);
});
