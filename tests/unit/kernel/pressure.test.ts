import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  parsePressure,
  readPressure,
  readSomeTotalUs,
  scanSomeTotalUs,
  systemPressurePath,
} from "../../../src/kernel/pressure.ts";
import { guestFiles, guestNames, guestRoot, Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

const text =
  "some avg10=1.50 avg60=0.12 avg300=100.00 total=123456\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=654\n";
const some = { avg10Percent: 1.5, avg60Percent: 0.12, avg300Percent: 100, totalUs: 123456 };

function totalOf(text: string): number {
  return scanSomeTotalUs(Buffer.from(text), Buffer.byteLength(text));
}

test("both lines", () => {
  expect(parsePressure(text)).toEqual({
    some,
    full: { avg10Percent: 0, avg60Percent: 0, avg300Percent: 0, totalUs: 654 },
  });
  expect(totalOf(text)).toBe(123456);
});

test("`full` may be missing, and lines that are not known are passed over", () => {
  expect(parsePressure(text.split("\n")[0] ?? "")).toEqual({ some, full: null });
  expect(parsePressure(`${text}most avg10=0\n`).some).toEqual(some);
});

describe("what is not a pressure file is malformed", () => {
  for (const broken of ["", "\n", "some", "some total=\n", "some avg10=0 total=x\n", "none avg10=0.00 total=5\n"]) {
    test(JSON.stringify(broken), () => {
      expect(() => parsePressure(broken)).toThrow(expect.objectContaining({ kind: "malformed" }));
      expect(() => totalOf(broken)).toThrow(expect.objectContaining({ kind: "malformed" }));
    });
  }
  test("a number that is cut short is not half a number", () => {
    expect(() => totalOf("some avg10=0.00 avg60=0.00 avg300=0.00 total=1234")).toThrow("no total");
  });
});

for (const name of guestNames) {
  for (const resource of ["memory", "io"] as const) {
    test(`${name} ${resource}`, () => {
      const path = systemPressurePath(guestRoot(name), resource);
      const pressure = readPressure(path);
      expect(pressure.full).not.toBeNull();
      expect(readSomeTotalUs(path)).toBe(pressure.some.totalUs);
    });
  }
}

test("a cgroup that is gone has vanished; a kernel without PSI misses it", () => {
  using tree = new Tree();
  const path = join(tree.root, "memory.pressure");
  expect(() => readSomeTotalUs(path, "vanished")).toThrow(expect.objectContaining({ kind: "vanished" }));
  expect(() => readPressure(path, "vanished")).toThrow(expect.objectContaining({ kind: "vanished" }));
  expect(() => readSomeTotalUs(path)).toThrow(expect.objectContaining({ kind: "missing" }));
});

const samples = [text, ...guestFiles("proc/pressure/memory"), ...guestFiles("proc/pressure/io")];
test("20,000 damaged texts", () => expectSturdy(samples, parsePressure));
test("20,000 damaged texts, total alone", () => expectSturdy(samples, totalOf));
