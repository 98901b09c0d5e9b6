/**
 * What a run costs, counted where the machine's speed does not matter: reads, writes, bytes parsed, bytes kept. A limit
 * that is exceeded is a cost that was not there before.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { runIdle } from "../../bench/idle-process.ts";
import type { IdleReport } from "../../bench/idle-runs.ts";
import { IdleTree } from "../../bench/idle-tree.ts";

const [few, many] = [100, 1100] as const;

interface Cost {
  readonly textBytes: number;
  readonly report: IdleReport;
}

const costs = new Map<number, Cost>();

function costOf(cgroups: number): Cost {
  const cost = costs.get(cgroups);
  if (cost === undefined) throw new Error(`no runs over ${cgroups} cgroups`);
  return cost;
}

/** Of a run in which everything is known, and each target is aged and looked at again. */
function settledRun(cgroups: number): IdleReport["runs"][number] {
  const run = costOf(cgroups).report.runs.at(-1);
  if (run === undefined) throw new Error("no run");
  return run;
}

/** What each further cgroup adds. */
function perCgroup(of: (cgroups: number) => number): number {
  return (of(many) - of(few)) / (many - few);
}

describe("a run over idle cgroups", () => {
  beforeAll(() => {
    for (const cgroups of [few, many]) {
      using tree = new IdleTree(cgroups);
      costs.set(cgroups, { textBytes: tree.textBytes, report: runIdle(tree.root, 6).report });
    }
  }, 60_000);

  test("reads a cgroup's two pressure files, each once", () => {
    const reads = perCgroup((cgroups) => settledRun(cgroups).reads);
    expect(reads).toBeGreaterThan(1.9);
    // lru_gen twice, in reads of whole buffers.
    expect(reads).toBeLessThan(2.1);
  });

  test("and at first looks once more whether they are there", () => {
    const reads = perCgroup((cgroups) => costOf(cgroups).report.runs[0]?.reads ?? Number.NaN);
    expect(reads).toBeLessThan(3.1);
  });

  test("reads hardly anything beside", () => {
    expect(settledRun(few).reads - 2 * few).toBeLessThan(20);
    expect(settledRun(many).reads - 2 * many).toBeLessThan(25);
  });

  test("ages dozens of cgroups with one write", () => {
    // Each write on the pool is one to the file, and one that wakes the loop.
    expect(settledRun(many).writes).toBeLessThanOrEqual(2 * Math.ceil((many + 2) / 64));
  });

  test("parses lru_gen twice, whatever there is", () => {
    // Two pressure files of about a hundred bytes each; the tree's own room for commands is as large as twice the text.
    const bytes = perCgroup((cgroups) => settledRun(cgroups).readBytes);
    const textBytes = perCgroup((cgroups) => costOf(cgroups).textBytes);
    const roomBytes = IdleTree.roomBytesPerCgroup;
    expect(bytes).toBeGreaterThan(2 * textBytes);
    expect(bytes).toBeLessThan(2 * (textBytes + roomBytes) + 2 * 120 + 10);
  });

  test("keeps less than two kilobytes of each", () => {
    const bytes = perCgroup((cgroups) => costOf(cgroups).report.heapBytes);
    expect(bytes).toBeGreaterThan(200);
    expect(bytes).toBeLessThan(2000);
  });

  test("keeps nothing of a run for the next", () => {
    using tree = new IdleTree(few);
    const longer = runIdle(tree.root, 14).report.heapBytes;
    expect(longer - costOf(few).report.heapBytes).toBeLessThan(200_000);
  });
});
