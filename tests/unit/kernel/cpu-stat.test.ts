import { expect, test } from "bun:test";
import { parseCpuUsageUs, readCpuUsageUs } from "../../../src/kernel/cpu-stat.ts";

test.each([
  ["with the cpu controller", "usage_usec 48213\nuser_usec 31002\nsystem_usec 17211\nnr_periods 0\n", 48_213],
  ["of a cgroup that is new", "usage_usec 0\nuser_usec 0\nsystem_usec 0\n", 0],
  ["without the line", "nr_periods 0\n", null],
])("cpu.stat %s", (_, text, expected) => {
  expect(parseCpuUsageUs(text)).toBe(expected);
});

test("a line that is no number is malformed", () => {
  expect(() => parseCpuUsageUs("usage_usec many\n")).toThrow("cpu.stat");
});

test("v1 has no such line: nothing is read", () => {
  const tree = { version: 1, memoryMount: "/cg", memoryRoot: "/", pressureMount: null } as const;
  expect(readCpuUsageUs("/nowhere", tree, "/a")).toBeNull();
});
