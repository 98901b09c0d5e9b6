import { expect, test } from "bun:test";
import { History, type HistoryNote } from "../../../src/agent/history.ts";
import { noEnds } from "../../../src/core/reason.ts";

const minuteMs = 60_000;
const wallMs = Date.parse("2026-01-02T04:00:00Z");

function note(changes: Partial<HistoryNote> = {}): HistoryNote {
  return { evictedBytes: 0, refaultedBytes: 0, savedBytes: 0, stallPercent: null, ends: noEnds(), ...changes };
}

test("runs of one minute are one row: sums, the last of what is away, the largest stall", () => {
  const history = new History();
  history.noteRun(10_000, note({ evictedBytes: 100, savedBytes: 100, stallPercent: 0.5 }));
  history.noteRun(50_000, note({ evictedBytes: 20, refaultedBytes: 30, savedBytes: 90, stallPercent: 0.25 }));
  history.noteCompaction(55_000);
  expect(history.status(minuteMs, wallMs).minutes).toEqual([
    {
      start: "2026-01-02T03:59:00.000Z",
      runs: 2,
      evicted_bytes: 120,
      refaulted_bytes: 30,
      saved_bytes: 90,
      stall_percent: 0.5,
      compactions: 1,
      held_back: null,
    },
  ]);
});

test("the last hour is the last sixty minutes", () => {
  const history = new History();
  for (const minute of [0, 1, 30, 60])
    history.noteRun(minute * minuteMs, note({ evictedBytes: 10, refaultedBytes: 1 }));
  expect(history.lastHour(60 * minuteMs)).toEqual({ evictedBytes: 30, refaultedBytes: 3 });
  expect(history.lastHour(25 * 60 * minuteMs)).toEqual({ evictedBytes: 0, refaultedBytes: 0 });
});

test("minutes in which nothing ran have no row, and only the last day's have one", () => {
  const history = new History();
  for (const minute of [0, 3, 1441]) history.noteRun(minute * minuteMs, note({ evictedBytes: minute }));
  const rows = history.status(1442 * minuteMs, wallMs).minutes;
  expect(rows.map(({ evicted_bytes: bytes }) => bytes)).toEqual([3, 1441]);
});

test("a row that is used again knows nothing of the day before", () => {
  const history = new History();
  history.noteRun(0, note({ evictedBytes: 5, stallPercent: 9, ends: { ...noEnds(), pressure: 1 } }));
  history.noteCompaction(1440 * minuteMs);
  expect(history.status(1440 * minuteMs, wallMs).minutes).toMatchObject([
    { runs: 0, evicted_bytes: 0, saved_bytes: null, stall_percent: null, compactions: 1, held_back: null },
  ]);
});

test("held back is what kept most targets, not what had nothing to give", () => {
  const history = new History();
  const ends = { ...noEnds(), nothing_cold: 9, pressure: 1, refaults: 2 };
  history.noteRun(0, note({ ends }));
  expect(history.status(0, wallMs).minutes[0]?.held_back).toBe("refaults");
});
