import { describe, expect, test } from "bun:test";
import { defaultSettings, type CompactSettings } from "../../../src/config/schema.ts";
import {
  compactDecisions,
  compactDecisionTexts,
  compactEnds,
  compactEndTexts,
  countsAsCompaction,
  decideCompaction,
  evictionNote,
  movableBlocks,
  pagesBelow,
  pagesFrom,
  type CompactDecision,
  type CompactEnd,
  type CompactionQuestion,
  type FreeBlocks,
} from "../../../src/core/compaction.ts";

const settings: CompactSettings = defaultSettings.compact;

/** Free memory with so many movable pages in single pages, and so many in blocks of order 9. */
function free(single: number, wholeBlocks: number, freePages = single + wholeBlocks * 512): FreeBlocks {
  const blocks = [single, 0, 0, 0, 0, 0, 0, 0, 0, wholeBlocks, 0];
  return { freePages, blocks, movableBlocks: blocks };
}

const quiet: CompactionQuestion = {
  settings,
  pressurePercent: 0,
  free: free(1000, 10),
  reference: free(1000, 10),
  compactedBefore: true,
  runsSince: 0,
  asked: false,
};

interface Row {
  readonly name: string;
  readonly change: Omit<Partial<CompactionQuestion>, "settings"> & { readonly settings?: Partial<CompactSettings> };
  readonly decision: CompactDecision;
  readonly why?: string;
}

const rows: readonly Row[] = [
  {
    name: "nothing changed",
    change: {},
    decision: "below_threshold",
    why:
      "free movable pages in blocks smaller than order 9 did not change and free memory did not change " +
      "since the last compaction (threshold 1,024)",
  },
  {
    name: "grew by just the threshold",
    change: { free: free(2024, 10) },
    decision: "below_threshold",
    why:
      "free movable pages in blocks smaller than order 9 grew by 1,024 pages and free memory grew by 1,024 pages " +
      "since the last compaction (threshold 1,024)",
  },
  {
    name: "grew by one more",
    change: { free: free(2025, 10) },
    decision: "fragmented",
    why: "free movable pages in blocks smaller than order 9 grew by 1,025 pages since the last compaction (threshold 1,024)",
  },
  {
    name: "the first one is held against the start",
    change: { free: free(6321, 10), compactedBefore: false },
    decision: "fragmented",
    why: "free movable pages in blocks smaller than order 9 grew by 5,321 pages since the agent's start (threshold 1,024)",
  },
  {
    name: "free memory fell by just the threshold",
    change: { free: free(1000, 8) },
    decision: "below_threshold",
  },
  {
    name: "free memory fell by more",
    change: { free: free(999, 8) },
    decision: "free_fell",
    why: "free memory fell by 1,025 pages since the last compaction (threshold 1,024)",
  },
  {
    name: "threshold 0, one page",
    change: { settings: { threshold: 0 }, free: free(1001, 10) },
    decision: "fragmented",
  },
  { name: "threshold 0, nothing", change: { settings: { threshold: 0 } }, decision: "below_threshold" },
  {
    name: "order 0: no block is smaller",
    change: { settings: { order: 0 }, free: free(9000, 10) },
    decision: "below_threshold",
    why:
      "free movable pages in blocks smaller than order 0 did not change and free memory grew by 8,000 pages " +
      "since the last compaction (threshold 1,024)",
  },
  { name: "order 0: free memory counts", change: { settings: { order: 0 }, free: free(0, 0) }, decision: "free_fell" },
  {
    name: "order 10: blocks of order 9 are small",
    change: { settings: { order: 10 }, free: free(0, 15) },
    decision: "fragmented",
  },
  { name: "order 9: they are not", change: { free: free(0, 15) }, decision: "below_threshold" },
  {
    name: "only movable blocks count",
    change: { free: { ...free(1000, 10), blocks: [90_000, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0] } },
    decision: "below_threshold",
  },
  { name: "force_times 0: each run", change: { settings: { force_times: 0 } }, decision: "forced" },
  {
    name: "force_times 2, one run went by",
    change: { settings: { force_times: 2 }, runsSince: 1 },
    decision: "below_threshold",
  },
  {
    name: "force_times 2, two runs went by",
    change: { settings: { force_times: 2 }, runsSince: 2 },
    decision: "forced",
    why: "2 runs went by without a compaction (force_times 2)",
  },
  { name: "force_times never", change: { runsSince: 1_000_000 }, decision: "below_threshold" },
  { name: "asked", change: { asked: true }, decision: "asked", why: "somebody asked for it" },
  {
    name: "pressure",
    change: { pressurePercent: 1.234, free: free(9000, 10) },
    decision: "pressure",
    why: "the system stalled 1.2 % of the waiting period (period_psi_percent_limit 1.0 %)",
  },
  { name: "pressure at the limit", change: { pressurePercent: 1, free: free(9000, 10) }, decision: "fragmented" },
  { name: "pressure goes before a wish", change: { pressurePercent: 2, asked: true }, decision: "pressure" },
  {
    name: "pressure goes before force",
    change: { pressurePercent: 2, settings: { force_times: 0 } },
    decision: "pressure",
  },
  { name: "no pressure files", change: { pressurePercent: null, free: free(9000, 10) }, decision: "fragmented" },
  {
    name: "disabled goes before everything",
    change: { settings: { disabled: true, force_times: 0 }, asked: true, pressurePercent: 50, free: free(9000, 10) },
    decision: "disabled",
    why: "compaction is disabled (compact.disabled)",
  },
];

describe("decideCompaction", () => {
  test.each(rows.map((row) => [row.name, row] as const))("%s", (_name, row) => {
    const answer = decideCompaction({ ...quiet, ...row.change, settings: { ...settings, ...row.change.settings } });
    expect(answer.decision).toBe(row.decision);
    if (row.why !== undefined) expect(answer.why).toBe(row.why);
    expect(answer.compact).toBe(["forced", "fragmented", "free_fell", "asked"].includes(row.decision));
  });

  test("every decision but that of a process in the way has a row, and each has a text", () => {
    expect(new Set([...rows.map((row) => row.decision), "busy"])).toEqual(new Set(compactDecisions));
    expect(Object.keys(compactDecisionTexts)).toEqual([...compactDecisions]);
  });
});

describe("countsAsCompaction", () => {
  const ends: Readonly<Record<CompactEnd, boolean>> = {
    done: true,
    timeout: true,
    pressure: false,
    stopped: false,
    failed: false,
  };

  test.each(compactEnds.map((end) => [end] as const))("%s", (end) => {
    expect(countsAsCompaction(end)).toBe(ends[end]);
    expect(compactEndTexts[end]).not.toBe("");
  });
});

describe("evictionNote", () => {
  const mib = 2 ** 20;

  test("says how little of what was evicted reaches the host", () => {
    expect(evictionNote({ evictedBytes: 900 * mib, freeBytes: 950 * mib, reportableBytes: 20 * mib })).toBe(
      "900 MiB were evicted since then, and only 20.0 MiB of 950 MiB free can be reported to the host",
    );
  });

  test.each([
    ["nothing was evicted", 0, 1000, 20],
    ["half of it is reportable", 900, 1000, 500],
    ["nothing reports", 900, 1000, null],
  ] as const)("no note where %s", (_name, evictedBytes, freeBytes, reportableBytes) => {
    expect(evictionNote({ evictedBytes, freeBytes, reportableBytes })).toBeNull();
  });
});

describe("free blocks", () => {
  const blocks = [1, 1, 1, 0, 0, 0, 0, 0, 0, 2, 1];

  test.each([
    [0, 0, 2055],
    [1, 1, 2054],
    [3, 7, 2048],
    [9, 7, 2048],
    [10, 1031, 1024],
    [11, 2055, 0],
  ])("order %i: %i pages below, %i from it", (order, below, from) => {
    expect(pagesBelow(blocks, order)).toBe(below);
    expect(pagesFrom(blocks, order)).toBe(from);
  });

  test("a list that the kernel stopped counting is filled up from the zone's counter", () => {
    const others = [
      { count: 5, atLeast: false },
      { count: 20, atLeast: false },
    ];
    expect(movableBlocks({ count: 7, atLeast: false }, 150_000, others)).toBe(7);
    expect(movableBlocks({ count: 100_000, atLeast: true }, 150_000, others)).toBe(149_975);
    expect(movableBlocks({ count: 100_000, atLeast: true }, 100_010, others)).toBe(100_000);
  });
});
