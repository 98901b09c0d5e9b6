import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isFault } from "../../../src/base/fault.ts";
import { PressureTrigger } from "../../../src/kernel/pressure-trigger.ts";
import { Tree } from "./fixtures.ts";

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("what is written", () => {
  const rows: readonly [number, number | undefined, string][] = [
    [1, undefined, "some 1000 100000\n"],
    [5, 500, "some 25000 500000\n"],
    [0.0001, 100, "some 1 100000\n"],
    [100, 2000, "some 2000000 2000000\n"],
    [250, 1000, "some 1000000 1000000\n"],
  ];
  for (const [percent, windowMs, text] of rows) {
    test(text.trim(), () => {
      using tree = new Tree({ "memory.pressure": "" });
      using trigger = PressureTrigger.open(join(tree.root, "memory.pressure"), percent, windowMs);
      expect(tree.read("memory.pressure")).toBe(text);
      expect(trigger.windowMs).toBe(windowMs ?? 100);
    });
  }
});

test("a plain file never fires, and a closed trigger is passed over", () => {
  using tree = new Tree({ "memory.pressure": "" });
  const triggers = Array.from({ length: 40 }, () => PressureTrigger.open(join(tree.root, "memory.pressure"), 1));
  expect(PressureTrigger.pollAll(triggers)).toEqual([]);
  for (const trigger of triggers) trigger[Symbol.dispose]();
  expect(PressureTrigger.pollAll(triggers)).toEqual([]);
  expect(PressureTrigger.pollAll([])).toEqual([]);
});

test("the total is read from the open file, anew each time, and not after the end", () => {
  using tree = new Tree({ "memory.pressure": "" });
  const trigger = PressureTrigger.open(join(tree.root, "memory.pressure"), 1);
  for (const total of [5, 123_456]) {
    writeFileSync(join(tree.root, "memory.pressure"), `some avg10=0.00 avg60=0.00 avg300=0.00 total=${total}\n`);
    expect(trigger.readTotalUs()).toBe(total);
  }
  trigger[Symbol.dispose]();
  expect(() => trigger.readTotalUs()).toThrow(expect.objectContaining({ kind: "io" }));
});

test("a removed cgroup has vanished, and nothing is left open", () => {
  using tree = new Tree();
  const before = openDescriptors();
  expect(() => PressureTrigger.open(join(tree.root, "memory.pressure"), 1, 100, "vanished")).toThrow(
    expect.objectContaining({ kind: "vanished" }),
  );
  expect(openDescriptors()).toBe(before);
});

test("this machine's kernel takes a trigger, or says why not", () => {
  const file = "/proc/pressure/memory";
  const before = openDescriptors();
  try {
    using trigger = PressureTrigger.open(file, 99);
    expect([100, 500, 1000, 2000]).toContain(trigger.windowMs);
    expect(PressureTrigger.pollAll([trigger])).toEqual([]);
    // A window of more than 10 s is refused everywhere, and after it there is none to fall back to.
    expect(() => PressureTrigger.open(file, 1, 20_000)).toThrow(expect.objectContaining({ kind: "unsupported" }));
  } catch (error) {
    if (!isFault(error)) throw error;
    expect(existsSync(file) ? ["denied", "unsupported"] : ["missing"]).toContain(error.kind);
  }
  expect(openDescriptors()).toBe(before);
});
