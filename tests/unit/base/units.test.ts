import { describe, expect, test } from "bun:test";
import { bytesText, pagesToBytes, percentText, spanText } from "../../../src/base/units.ts";

const kibi = 1024;
describe("bytes", () => {
  const rows: readonly [number, string][] = [
    [0, "0 B"],
    [1, "1 B"],
    [999, "999 B"],
    [1000, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [99.94 * kibi, "99.9 KiB"],
    [99.96 * kibi, "100 KiB"],
    [999 * kibi, "999 KiB"],
    [999.6 * kibi, "1.0 MiB"],
    [12.34 * kibi ** 2, "12.3 MiB"],
    [812 * kibi ** 3, "812 GiB"],
    [3 * kibi ** 4, "3.0 TiB"],
    [2000 * kibi ** 5, "2000 PiB"],
    [-5 * kibi ** 2, "-5.0 MiB"],
  ];
  for (const [bytes, text] of rows) test(text, () => expect(bytesText(bytes)).toBe(text));
});

describe("spans", () => {
  const rows: readonly [number, string][] = [
    [0, "0 s"],
    [0.04, "0.04 s"],
    [0.4, "0.4 s"],
    [9.94, "9.9 s"],
    [9, "9 s"],
    [48.2, "48 s"],
    [60, "1 min"],
    [252, "4 min 12 s"],
    [3599.6, "1 h"],
    [3661, "1 h 1 min"],
    [86_400 * 3 + 3600 * 4 + 59, "3 d 4 h"],
    [86_400 * 400, "400 d"],
  ];
  for (const [secs, text] of rows) test(`${secs}: ${text}`, () => expect(spanText(secs)).toBe(text));
});

describe("percents", () => {
  const rows: readonly [number, string][] = [
    [0, "0 %"],
    [0.25, "0.25 %"],
    [0.994, "0.99 %"],
    [1, "1.0 %"],
    [12.34, "12.3 %"],
    [99.94, "99.9 %"],
    [100, "100 %"],
  ];
  for (const [percent, text] of rows) test(text, () => expect(percentText(percent)).toBe(text));
});

test("pages", () => expect(pagesToBytes(3, 65_536)).toBe(196_608));
