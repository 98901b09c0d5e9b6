import { describe, expect, test } from "bun:test";
import { textWidth } from "../../../src/cli/screens/text.ts";
import { afterKey, firstView, keysOf, renderWatch, type WatchView } from "../../../src/cli/screens/watch.ts";
import { FakeDaemon } from "../../cli/fake-daemon.ts";
import { historyStatus, memcgStatus, target } from "../api/fake-control.ts";

const nowMs = Date.parse("2026-01-02T04:00:00Z");

const podPath = (index: number): string => `/kubepods.slice/burstable.slice/pod${index}.slice/cri-${index}f9a1c.scope`;

function manyTargets(count: number) {
  return memcgStatus(Array.from({ length: count }, (_, index) => target(podPath(index), { size_bytes: 4096 * index })));
}

function screen(
  columns: number,
  rows: number,
  count: number,
  view: Partial<WatchView> = {},
  wrongFile = false,
): string[] {
  const daemon = new FakeDaemon();
  daemon.wrongFile = wrongFile;
  const watched = { status: daemon.status(), memcg: manyTargets(count), history: historyStatus(), unanswered: null };
  return renderWatch(watched, { ...firstView, ...view }, nowMs, { columns, rows, colour: true });
}

describe("the screen fits the terminal", () => {
  for (const [columns, rows] of [
    [60, 24],
    [80, 24],
    [160, 50],
  ] as const) {
    for (const count of [0, 5, 1000]) {
      for (const view of [{}, { help: true }, { stepsBack: 7 }]) {
        test(`${columns}x${rows}, ${count} cgroups, ${JSON.stringify(view)}`, () => {
          for (const wrongFile of [false, true]) {
            const lines = screen(columns, rows, count, view, wrongFile);
            expect(lines.length).toBeLessThan(rows);
            if (columns < 80 && "help" in view) return;
            for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(columns);
            expect(lines.at(-1)).toContain("q ends");
          }
        });
      }
    }
  }
});

test("it begins with what is saved, and has charts, runs and the coldest cgroups", () => {
  const text = screen(80, 24, 5)
    .map((line) => Bun.stripANSI(line))
    .join("\n");
  expect(text).toMatch(/^Saved now/m);
  expect(text).toMatch(/^Saved +62\.0 MiB +█+$/m);
  expect(text).toMatch(/^Came back +2\.0 MiB/m);
  expect(text).toMatch(/^FROM +RUNS/m);
  expect(text).toMatch(/^COLDEST/m);
});

test("in the past there are charts with a mark and the runs until then, and no table of now", () => {
  const text = screen(80, 24, 5, { stepsBack: 30 })
    .map((line) => Bun.stripANSI(line))
    .join("\n");
  expect(text).toMatch(/^At \d\d:\d\d:\d\d, 31 min 2 s ago/m);
  expect(text).toContain("▼");
  expect(text.match(/^\d\d:\d\d:\d\d /gm)).toHaveLength(1);
  expect(text).not.toContain("COLDEST");
});

test("a question that went unanswered stands below", () => {
  const daemon = new FakeDaemon();
  const watched = { status: daemon.status(), memcg: null, history: null, unanswered: "cannot reach mem-agent" };
  const lines = renderWatch(watched, firstView, nowMs, { columns: 80, rows: 24, colour: false });
  expect(lines.at(-1)).toBe("cannot reach mem-agent");
});

test("keys, several at once, and what means nothing", () => {
  expect(keysOf("s\u001b[D\u001bOCx?\u001b[Hr\u0003q")).toEqual([
    "sort",
    "back",
    "forward",
    "help",
    "refresh",
    "quit",
    "quit",
  ]);
});

test("what keys make of the view", () => {
  const terminal = { columns: 80, rows: 24, colour: false };
  let view = firstView;
  for (const key of keysOf("s\u001b[D\u001b[D\u001b[C?")) view = afterKey(view, key, terminal);
  expect(view).toEqual({ sort: "size", stepsBack: 1, help: true });
  for (const key of keysOf("\u001b[C\u001b[C?sss")) view = afterKey(view, key, terminal);
  expect(view).toEqual(firstView);
  for (let press = 0; press < 500; press++) view = afterKey(view, "back", terminal);
  expect(view.stepsBack).toBe(57);
});
