import { describe, expect, test } from "bun:test";
import { generationsCell, generationsText, shareColumns } from "../../../src/cli/screens/generations.ts";
import { plainTerminal } from "../../../src/cli/screens/terminal.ts";

describe("shareColumns", () => {
  const rows: readonly [amounts: number[], columns: number, shares: number[]][] = [
    [[], 16, []],
    [[0, 0], 16, [0, 0]],
    [[1], 16, [16]],
    [[1, 1, 1, 1], 16, [4, 4, 4, 4]],
    [[1, 1, 1], 16, [6, 5, 5]],
    // A little is seen beside much, nothing is not.
    [[1, 1_000_000, 0], 10, [1, 9, 0]],
    [[1, 1, 1, 1_000_000], 10, [1, 1, 1, 7]],
    [[1000, 1, 1, 1], 4, [1, 1, 1, 1]],
  ];
  for (const [amounts, columns, shares] of rows) {
    test(`${amounts.join(" ")} in ${columns}`, () => expect(shareColumns(amounts, columns)).toEqual(shares));
  }

  test("the sum is the width, whatever the amounts", () => {
    let seed = 7;
    const next = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    for (let round = 0; round < 2000; round++) {
      const amounts = Array.from({ length: 4 }, () => Math.floor(next() ** 8 * 1e9));
      const shares = shareColumns(amounts, 16);
      const total = amounts.reduce((sum, amount) => sum + amount, 0);
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(total === 0 ? 0 : 16);
      for (const [index, amount] of amounts.entries()) expect((shares[index] ?? 0) > 0).toBe(amount > 0);
    }
  });
});

const generations = [
  { seq: 3, age_secs: 86_400, anon_bytes: 0, file_bytes: 3 * 1024 * 1024 },
  { seq: 4, age_secs: 3, anon_bytes: 1024 * 1024, file_bytes: 0 },
];

test("a pipe gets words, a terminal shades by age, the youngest always the lightest", () => {
  expect(generationsText(generations, " ")).toBe("24h=3.0MiB 3s=1.0MiB");
  expect(generationsCell(plainTerminal, generations)).toBe("24h=3.0MiB 3s=1.0MiB");
  const cell = generationsCell({ columns: 80, rows: 24, colour: false }, generations);
  expect(Array.isArray(cell) ? cell.map(({ text }) => text) : cell).toEqual(["▒▒▒▒▒▒▒▒", "░░"]);
  expect(generationsCell(plainTerminal, null)).toBe("unknown");
});
