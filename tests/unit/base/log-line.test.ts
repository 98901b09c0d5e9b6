import { describe, expect, test } from "bun:test";
import { escapeControls, fieldText, jsonText, logLevels, logLine, type LogFields } from "../../../src/base/log-line.ts";

const atMs = Date.parse("2026-01-02T03:04:05.678Z");

function text(message: string, fields: LogFields = {}, repeats = 0): string {
  return logLine({ level: "info", message, fields }, atMs, { format: "text", journal: false }, repeats);
}
function json(message: string, fields: LogFields = {}, repeats = 0): unknown {
  const line = logLine({ level: "info", message, fields }, atMs, { format: "json", journal: false }, repeats);
  expect(line).not.toContain("\n");
  return JSON.parse(line);
}

describe("a field's value", () => {
  const rows: readonly [value: unknown, text: string][] = [
    ["plain", "plain"],
    ["/sys/fs/cgroup/a-b_c.slice", "/sys/fs/cgroup/a-b_c.slice"],
    ["unix:///run/mem-agent.sock", "unix:///run/mem-agent.sock"],
    ["", '""'],
    ["two words", '"two words"'],
    ["a=b", '"a=b"'],
    ['say "hi"', '"say \\"hi\\""'],
    ["back\\slash", '"back\\\\slash"'],
    ["line\nbreak\tand\rmore", '"line\\nbreak\\tand\\rmore"'],
    ["\x1b[31mred\x07", '"\\u001b[31mred\\u0007"'],
    ["\x7f\x9b1m", '"\\u007f\\u009b1m"'],
    ["a\u2028b\u202eevil\ufeff", '"a\\u2028b\\u202eevil\\ufeff"'],
    ["\ud800 half", '"\\ud800 half"'],
    ["half \udc00", '"half \\udc00"'],
    ["grüße 😀", '"grüße 😀"'],
    [12.5, "12.5"],
    [-3, "-3"],
    [5.001237999999998, "5.001"],
    [0.1 + 0.2, "0.3"],
    [1e-7 / 3, "3.33e-8"],
    [[1 / 3], '"[0.333]"'],
    [Infinity, "Infinity"],
    [10n ** 20n, "100000000000000000000"],
    [true, "true"],
    [null, "null"],
    [["a", 1], '"[\\"a\\",1]"'],
    [new Error("it broke"), '"it broke"'],
    ["x".repeat(2000), `"${"x".repeat(1000)}…"`],
  ];
  for (const [value, expected] of rows) {
    test(JSON.stringify(expected).slice(0, 60), () => expect(fieldText(value)).toBe(expected));
  }
  test("that cannot be made JSON is still written", () => {
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    expect(fieldText(circle)).toBe("object");
  });
});

describe("a line of text", () => {
  const rows: readonly [title: string, line: string, expected: string][] = [
    ["time, level, message", text("started"), "2026-01-02T03:04:05.678Z info     started"],
    [
      "fields in order",
      text("ran", { run: 3, path: "/a b" }),
      '2026-01-02T03:04:05.678Z info     ran run=3 path="/a b"',
    ],
    ["what is undefined is left out", text("ran", { why: undefined }), "2026-01-02T03:04:05.678Z info     ran"],
    ["a message cannot break it", text("a\nb"), "2026-01-02T03:04:05.678Z info     a\\nb"],
    ["a key cannot either", text("a", { "k\n": 1 }), "2026-01-02T03:04:05.678Z info     a k\\n=1"],
    ["once more", text("a", {}, 1), "2026-01-02T03:04:05.678Z info     a … (repeated 1 time)"],
    ["often", text("a", { b: 1 }, 7), "2026-01-02T03:04:05.678Z info     a b=1 … (repeated 7 times)"],
  ];
  for (const [title, line, expected] of rows) test(title, () => expect(line).toBe(expected));

  test("levels are as wide as the widest, so that messages stand below one another", () => {
    const starts = logLevels.map((level) =>
      logLine({ level, message: "here", fields: {} }, atMs, { format: "text", journal: false }).indexOf("here"),
    );
    expect(new Set(starts).size).toBe(1);
  });
  test("has a bound, whatever it is given", () => {
    const fields = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`k${index}`, "x".repeat(5000)]));
    expect(text("m".repeat(100_000), fields).length).toBeLessThan(48_000);
    expect(JSON.stringify(json("m".repeat(100_000), fields)).length).toBeLessThan(48_000);
  });
});

test("journald gets a priority instead of a time", () => {
  const lines = logLevels.map((level) =>
    logLine({ level, message: "m", fields: {} }, atMs, { format: "text", journal: true }),
  );
  expect(lines).toEqual(["<7>m", "<7>m", "<6>m", "<4>m", "<3>m", "<2>m"]);
});

describe("a line of JSON", () => {
  test("carries the fields beside its own", () => {
    expect(json("ran", { run: 3, ok: true, none: null, list: [1] })).toEqual({
      time: "2026-01-02T03:04:05.678Z",
      level: "info",
      message: "ran",
      run: 3,
      ok: true,
      none: null,
      list: [1],
    });
  });
  test("keeps its own keys, whatever fields are called", () => {
    expect(json("ran", { level: "x", time: 1 }, 2)).toEqual({
      time: "2026-01-02T03:04:05.678Z",
      level: "info",
      message: "ran",
      repeated: 2,
      level_: "x",
      time_: 1,
    });
  });
  test("gives back odd text as it was, and holds nothing that steers a terminal", () => {
    const odd = 'a\n\x1b[31m\x7f\x9b\u2028\u202e"\\😀';
    expect(json("m", { odd })).toMatchObject({ odd });
    const line = logLine({ level: "info", message: "m", fields: { odd } }, atMs, { format: "json", journal: false });
    expect(escapeControls(line)).toBe(line);
  });
  test("has no NaN, no bigint, no error object", () => {
    expect(json("m", { nan: NaN, big: 5n, error: new Error("x") })).toMatchObject({ nan: "NaN", big: "5", error: "x" });
  });
});

test("JSON for people says the same, and steers no terminal and no viewer", () => {
  const value = { "a\u202eb": ["\u001b[31m", "\u009b1m", "\u061c\ufeff\u2028", "\ud800", "grüße 😀", 1.5], n: "x\ny" };
  for (const indent of [0, 2]) {
    const text = jsonText(value, indent);
    expect(JSON.parse(text)).toEqual(value);
    expect(text.replaceAll("\n", "")).toMatch(/^[\x20-\x7e\u00a0-\u00ff\u{1f600}]*$/u);
  }
});
