import { describe, expect, test } from "bun:test";
import { cutText, padText, textWidth, wrapText } from "../../../src/cli/screens/text.ts";

describe("cutText", () => {
  const rows: readonly [text: string, columns: number, where: "middle" | "end", cut: string][] = [
    ["/a/b", 4, "end", "/a/b"],
    ["/system.slice/a", 8, "end", "/system…"],
    ["/system.slice/a", 8, "middle", "/sys…e/a"],
    ["数据数据", 5, "end", "数据…"],
    ["数据数据", 4, "end", "数…"],
    ["数据数据", 5, "middle", "数…据"],
    ["e\u0301e\u0301e\u0301", 2, "middle", "e\u0301…"],
    ["👩‍👩‍👧x", 2, "end", "…"],
    ["abc", 1, "end", "…"],
    ["abc", 0, "end", ""],
  ];
  for (const [text, columns, where, cut] of rows) {
    test(`${text} to ${columns} at the ${where}`, () => {
      expect(cutText(text, columns, where)).toBe(cut);
      expect(textWidth(cut)).toBeLessThanOrEqual(columns);
    });
  }
});

test("padText counts columns, not characters", () => {
  expect(padText("数据", 6, "left")).toBe("数据  ");
  expect(padText("数据", 6, "right")).toBe("  数据");
  expect(padText("longer", 3, "left")).toBe("longer");
});

describe("wrapText", () => {
  const rows: readonly [text: string, columns: number, lines: readonly string[]][] = [
    ["a b c", 3, ["a b", "c"]],
    ["", 10, [""]],
    ["a-word-that-is-wider x", 5, ["a-word-that-is-wider", "x"]],
    // A number stays with its unit.
    ["took 1.5 s (CPU 3 %)", 8, ["took", "1.5 s", "(CPU", "3 %)"]],
    ["1.0 GiB free", 5, ["1.0 GiB", "free"]],
    ["12 sessions", 5, ["12", "sessions"]],
  ];
  for (const [text, columns, lines] of rows) {
    test(`${text} in ${columns}`, () => expect(wrapText(text, columns)).toEqual([...lines]));
  }
});
