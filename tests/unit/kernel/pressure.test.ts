import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readSomeTotalUs, scanSomeTotalUs, systemPressurePath } from "../../../src/kernel/pressure.ts";
import { guestFiles, guestNames, guestRoot, Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

const text =
  "some avg10=1.50 avg60=0.12 avg300=100.00 total=123456\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=654\n";

function totalOf(text: string): number {
  return scanSomeTotalUs(Buffer.from(text), Buffer.byteLength(text));
}

test("both lines", () => {
  expect(totalOf(text)).toBe(123456);
});

test("`full` may be missing, and lines that are not known are passed over", () => {
  expect(totalOf(`${text.split("\n")[0] ?? ""}\n`)).toBe(123456);
  expect(totalOf(`${text}most avg10=0\n`)).toBe(123456);
});

describe("what is not a pressure file is malformed", () => {
  for (const broken of ["", "\n", "some", "some total=\n", "some avg10=0 total=x\n", "none avg10=0.00 total=5\n"]) {
    test(JSON.stringify(broken), () => {
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
      const text = readFileSync(path, "utf8");
      expect(readSomeTotalUs(path)).toBe(Number(/^some .* total=(\d+)$/m.exec(text)?.[1]));
    });
  }
}

test("a cgroup that is gone has vanished; a kernel without PSI misses it", () => {
  using tree = new Tree();
  const path = join(tree.root, "memory.pressure");
  expect(() => readSomeTotalUs(path, "vanished")).toThrow(expect.objectContaining({ kind: "vanished" }));
  expect(() => readSomeTotalUs(path)).toThrow(expect.objectContaining({ kind: "missing" }));
});

const samples = [text, ...guestFiles("proc/pressure/memory"), ...guestFiles("proc/pressure/io")];
test("20,000 damaged texts", () => expectSturdy(samples, totalOf));
