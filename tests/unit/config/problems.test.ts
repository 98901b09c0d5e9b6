import { expect, test } from "bun:test";
import { isFault } from "../../../src/base/fault.ts";
import { formatProblem, type Problem, problemsFault, show } from "../../../src/config/problems.ts";

const texts: readonly [Problem, string][] = [
  [
    {
      key: "memcg.period_secs",
      message: '"abc" is not a number',
      allowed: "1 or 2",
      file: "/etc/x.toml",
      line: 3,
      column: 1,
    },
    '/etc/x.toml:3:1: memcg.period_secs: "abc" is not a number; allowed: 1 or 2',
  ],
  [{ key: "", message: "not TOML", allowed: "", file: "x.toml", line: 3, column: 9 }, "x.toml:3:9: not TOML"],
  [{ key: "--x", message: "unknown flag", allowed: "" }, "--x: unknown flag"],
  [{ key: "", message: "nothing is changed by this", allowed: "a, b" }, "nothing is changed by this; allowed: a, b"],
];
test.each(texts)("%o reads as a line", (problem, text) => {
  expect(formatProblem(problem)).toBe(text);
});

test("a fault carries every problem", () => {
  const problems = texts.map(([problem]) => problem);
  const fault = problemsFault("use x.toml", problems);
  expect(isFault(fault, "invalid")).toBe(true);
  expect(fault.problems).toEqual(texts.map(([, text]) => text));
  expect(fault.message).toBe(`cannot use x.toml: ${texts[0]?.[1]} (and 3 more)`);
});

test.each([
  ["a\nb", '"a\\nb"'],
  [5, "5"],
  [Number.NaN, "NaN"],
  [2n ** 63n, "9223372036854775808"],
  [null, "null"],
  [undefined, "undefined"],
  [[1], "a list"],
  [{}, "a table"],
  [new Date(0), "1970-01-01T00:00:00.000Z"],
  [new Date(Number.NaN), "a date"],
  ["x".repeat(100), `"${"x".repeat(59)}…`],
] as const)("%p is shown as %j", (value, text) => {
  expect(show(value)).toBe(text);
});
