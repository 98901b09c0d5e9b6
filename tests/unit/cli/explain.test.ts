import { describe, expect, test } from "bun:test";
import type { TargetStatus } from "../../../src/agent/status.ts";
import { explained, renderExplanation } from "../../../src/cli/screens/explain.ts";
import { foldMinutes, renderHistory } from "../../../src/cli/screens/history.ts";
import { plainTerminal } from "../../../src/cli/screens/terminal.ts";
import { sinceSecs } from "../../../src/cli/verbs/history.ts";
import { endReasons } from "../../../src/core/reason.ts";
import { historyStatus, memcgStatus, target } from "../api/fake-control.ts";

const wet = { dry_run: false };

describe("explain says in one sentence", () => {
  const disabled = { ...target("/a").settings, disabled: true };
  const rows: readonly [what: string, changes: Partial<TargetStatus>, part: string][] = [
    ["that a rule disables it", { settings: disabled, rule: "/a" }, "the rule /a disables it"],
    ["that memcg is off", { settings: disabled, rule: null }, "memcg is disabled"],
    ["that it was not run", { runs: 0 }, "not been run yet; its next run is in 2 min."],
    ["how much it stalled", { last_end: "pressure", pressure_percent: 2.3 }, "2.3 % in its waiting period (limit 1 %"],
    ["how long it sits out", { last_end: "refaults", sit_out: 4 }, "sits out 4 evictions"],
    ["that it is too young", { last_end: "not_ready", agings: 1 }, "1 aging of 3, and 4 of 4 generations"],
    ["what failed", { last_end: "error", last_error: "EIO" }, "failed: EIO"],
    ["what is cold", { last_end: "protected" }, "64.0 MiB are cold now"],
  ];
  test.each(rows)("%s", (_, changes, part) => {
    expect(explained(target("/a", changes), wet)).toContain(part);
  });

  test.each(endReasons.map((reason) => [reason] as const))("something for %s", (reason) => {
    expect(explained(target("/a", { last_end: reason }), wet)).toEndWith(".");
    expect(explained(target("/a", { last_end: reason }), { dry_run: true })).toContain("dry run");
  });
});

test("explain shows each guard beside its limit", () => {
  const lines = renderExplanation(target("/a"), memcgStatus(), plainTerminal).join("\n");
  expect(lines).toContain(
    "Stalled       0.50 % of 1 % in the waiting period, read from /a; at most 1 % while it is evicted",
  );
  expect(lines).toContain("Came back     2.0 MiB (3.1 % of what was evicted); limit 0.2 % of the cgroup a minute");
});

test("a day's history folds into steps", () => {
  const [first, second] = historyStatus().minutes;
  if (first === undefined || second === undefined) throw new Error("the fake has two minutes");
  const near = { ...second, start: "2026-01-02T03:05:00.000Z" };
  expect(foldMinutes([first, near, second], 60)).toEqual([
    {
      ...second,
      start: first.start,
      runs: 9,
      evicted_bytes: 3 * 2 ** 26,
      refaulted_bytes: 3 * 2 ** 21,
      compactions: 2,
      held_back: "refaults",
    },
  ]);
  expect(foldMinutes([first, near, second], 1)).toHaveLength(3);
});

test("history says how much is away, and that nothing ran", () => {
  const nowMs = Date.parse("2026-01-02T04:00:00Z");
  expect(renderHistory(historyStatus(), 7200, nowMs, plainTerminal)[0]).toBe(
    "Saved now     62.0 MiB; in the last 2 h: evicted 128 MiB, came back 4.0 MiB",
  );
  expect(renderHistory({ minutes: [] }, 7200, nowMs, plainTerminal)).toEqual(["Nothing ran in the last 2 h."]);
});

test.each([
  [null, 86_400],
  ["90", 90],
  ["30m", 1800],
  ["2h", 7200],
  ["1d", 86_400],
])("--since %s", (text, secs) => {
  expect(sinceSecs(text)).toBe(secs);
});

test.each(["", "0", "2d", "1w", "-5m", "25h"])("--since %s is refused", (text) => {
  expect(() => sinceSecs(text)).toThrow("a span of at most a day");
});
