import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemcgRegistry, type CgroupState } from "../../../src/agent/memcg/registry.ts";
import { RefaultAccounts } from "../../../src/agent/memcg/refaults.ts";
import { compileRules } from "../../../src/config/rules.ts";
import { defaultSettings } from "../../../src/config/schema.ts";
import { refaultSourceOf, type RefaultSource } from "../../../src/core/refault.ts";
import { readCgroupTree } from "../../../src/kernel/cgroup.ts";

const pageBytes = 4096;
const minuteMs = 60_000;
const limitPercent = 0.2;

const sources: readonly (readonly [release: string, lruGenOn: boolean, source: RefaultSource])[] = [
  ["6.1.0", true, "io_stall"],
  ["6.11.9", true, "io_stall"],
  ["6.12.0", true, "refaults"],
  ["7.2.0", true, "refaults"],
  ["5.19.0", false, "refaults"],
  ["6.1.0", false, "refaults"],
];

test.each(sources)("%s with lru_gen %p: %s", (release, lruGenOn, source) => {
  const [major = 0, minor = 0] = release.split(".").map(Number);
  expect(refaultSourceOf({ release, major, minor }, lruGenOn)).toBe(source);
});

interface Counters {
  readonly residentPages: number;
  readonly refaultedPages?: number;
  readonly stolenPages?: number;
  readonly ioStallMs?: number;
}

/** One cgroup's counters as files, and the keeper on them. */
class Trial implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "mem-agent-refaults-"));
  readonly registry = new MemcgRegistry(compileRules(defaultSettings.memcg));
  readonly cgroup: CgroupState;
  readonly keeper: RefaultAccounts;
  nowMs = 0;

  constructor(source: RefaultSource) {
    this.cgroup = this.registry.seeCgroup("/a", "1", 1);
    this.registry.seeTarget(this.cgroup, 0);
    mkdirSync(join(this.root, "proc/self"), { recursive: true });
    mkdirSync(join(this.root, "sys/fs/cgroup/a"), { recursive: true });
    writeFileSync(
      join(this.root, "proc/self/mountinfo"),
      "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n",
    );
    writeFileSync(join(this.root, "sys/fs/cgroup/cgroup.controllers"), "memory\n");
    this.keeper = new RefaultAccounts(this.root, readCgroupTree(this.root), pageBytes, source, () => this.nowMs);
  }

  show({ residentPages, refaultedPages = 0, stolenPages = 0, ioStallMs = 0 }: Counters): void {
    const zeros =
      "file_mapped shmem inactive_anon active_anon inactive_file active_file unevictable workingset_refault_anon";
    const lines = [
      "anon 0",
      `file ${residentPages * pageBytes}`,
      `pgsteal ${stolenPages}`,
      `workingset_refault_file ${refaultedPages}`,
      ...zeros.split(" ").map((name) => `${name} 0`),
    ];
    const folder = join(this.root, "sys/fs/cgroup/a");
    writeFileSync(join(folder, "memory.stat"), `${lines.join("\n")}\n`);
    writeFileSync(join(folder, "io.pressure"), `some avg10=0.00 avg60=0.00 avg300=0.00 total=${ioStallMs * 1000}\n`);
  }

  /** A run that finds something cold: evicts so many pages, unless the cgroup sits out. */
  run(pages: number, counting = true): "evicted" | "sat out" {
    this.keeper.forget();
    const before = this.keeper.judge(this.cgroup, limitPercent, true);
    if (this.keeper.sitOut(this.cgroup, limitPercent, counting) > 0) return "sat out";
    this.keeper.evicted(this.cgroup, before, pages);
    return "evicted";
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}

describe("the price of what came back", () => {
  test("all of it: the cgroup sits out 32 evictions, and is tried again", () => {
    using trial = new Trial("refaults");
    trial.show({ residentPages: 10_000 });
    expect(trial.run(8_000)).toBe("evicted");
    trial.nowMs = minuteMs;
    trial.show({ residentPages: 10_000, refaultedPages: 8_000, stolenPages: 8_000 });
    for (let run = 0; run < 32; run++) expect(trial.run(8_000)).toBe("sat out");
    expect(trial.registry.totals.refaultedPages).toBe(8_000);
    expect(trial.run(8_000)).toBe("evicted");
  });

  test("a dry run shows that it sits out, and takes nothing off", () => {
    using trial = new Trial("refaults");
    trial.show({ residentPages: 10_000 });
    trial.run(8_000);
    trial.show({ residentPages: 10_000, refaultedPages: 8_000, stolenPages: 8_000 });
    for (let run = 0; run < 100; run++) expect(trial.run(8_000, false)).toBe("sat out");
  });

  test("little: it goes on", () => {
    using trial = new Trial("refaults");
    trial.show({ residentPages: 100_000 });
    trial.run(50_000);
    trial.nowMs = 10 * minuteMs;
    trial.show({ residentPages: 50_100, refaultedPages: 100, stolenPages: 50_000 });
    expect(trial.run(1_000)).toBe("evicted");
    expect(trial.registry.totals.refaultedPages).toBe(100);
  });

  test("uncounted: what a cgroup grew by while it waited for its disk stands in", () => {
    for (const [source, expected] of [
      ["io_stall", "sat out"],
      ["refaults", "evicted"],
    ] as const) {
      using trial = new Trial(source);
      trial.show({ residentPages: 10_000 });
      trial.run(8_000);
      trial.nowMs = minuteMs;
      trial.show({ residentPages: 10_000, refaultedPages: 2, stolenPages: 8_000, ioStallMs: 600 });
      expect(trial.run(8_000)).toBe(expected);
    }
  });

  test("counters that cannot be read cost nothing", () => {
    using trial = new Trial("refaults");
    expect(trial.run(8_000)).toBe("evicted");
    expect(trial.cgroup.refault.account).toBeNull();
  });
});
