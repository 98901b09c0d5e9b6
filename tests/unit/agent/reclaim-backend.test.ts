import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { evictTargets, Pace, type EvictionEnd } from "../../../src/agent/memcg/evict.ts";
import { EvictionGuards, PressureReader } from "../../../src/agent/memcg/pressure.ts";
import { MemcgRegistry, type TargetState } from "../../../src/agent/memcg/registry.ts";
import { MemoryReclaimBackend } from "../../../src/agent/memcg/memory-reclaim.ts";
import { atOnce, Turns } from "../../../src/base/turns.ts";
import { compileRules } from "../../../src/config/rules.ts";
import { readCgroupTree } from "../../../src/kernel/cgroup.ts";
import { SteppedClock } from "./stepped-clock.ts";
import { memcgSettings, periodMs, type MemcgChoice } from "./memcg-serving.ts";

const pageBytes = 4096;
const mount = "sys/fs/cgroup";

/** Cgroups as files, and the backend on them. */
class Trial implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "mem-agent-reclaim-"));
  readonly clock = new SteppedClock();
  readonly registry: MemcgRegistry;
  readonly backend: MemoryReclaimBackend;

  constructor(memcg: MemcgChoice = {}) {
    this.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n");
    this.write(`${mount}/cgroup.controllers`, "memory\n");
    this.registry = new MemcgRegistry(compileRules(memcgSettings(memcg).memcg));
    const { root, registry, clock } = this;
    this.backend = new MemoryReclaimBackend({
      root,
      tree: readCgroupTree(root),
      pageBytes,
      registry,
      clock,
    });
  }

  write(path: string, text: string): void {
    mkdirSync(join(this.root, path, ".."), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  /** A cgroup with so many inactive file pages, all below it included. */
  set(path: string, inactivePages: number, activePages = 0): void {
    const folder = path === "/" ? mount : `${mount}${path}`;
    const lines = [
      "anon 0",
      `file ${(inactivePages + activePages) * pageBytes}`,
      `inactive_file ${inactivePages * pageBytes}`,
      `active_file ${activePages * pageBytes}`,
      ...["inactive_anon", "active_anon", "file_mapped", "shmem", "unevictable"].map((name) => `${name} 0`),
    ];
    this.write(`${folder}/memory.stat`, `${lines.join("\n")}\n`);
    this.write(`${folder}/memory.current`, `${(inactivePages + activePages) * pageBytes}\n`);
    this.write(`${folder}/memory.reclaim`, "");
  }

  target(path: string): TargetState {
    const target = this.registry.cgroups.get(path)?.targets[0];
    if (target === undefined) throw new Error(`the backend did not see ${path}`);
    return target;
  }

  plan(path: string): ReturnType<MemoryReclaimBackend["plan"]> {
    return this.backend.plan(this.target(path), { swapFreePages: 0, swapRoomPages: null, unprotectedPages: null });
  }

  /** Runs in which nothing was evicted, a period apart. */
  pass(runs: number): void {
    for (let run = 0; run < runs; run++) {
      atOnce(this.backend.looking(true));
      for (const target of this.registry.targets()) this.backend.ran(target, 0);
      this.clock.advance(periodMs);
    }
    atOnce(this.backend.looking(true));
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}

function sizes(trial: Trial): Record<string, number> {
  return Object.fromEntries(
    [...trial.registry.targets()].map((target) => [target.cgroup.path, target.pagesUpTo(Infinity, "file")]),
  );
}

describe("what is seen", () => {
  test("every cgroup with a memory.stat, each with its own pages", () => {
    using trial = new Trial();
    trial.set("/", 1_000);
    trial.set("/a", 900);
    trial.set("/a/b", 600);
    trial.set("/a/b/c", 600);
    trial.set("/d", 100);
    mkdirSync(join(trial.root, mount, "uncounted/deeper"), { recursive: true });
    atOnce(trial.backend.looking(true));
    expect(sizes(trial)).toEqual({ "/": 0, "/a": 300, "/a/b": 0, "/a/b/c": 600, "/d": 100 });
    expect(trial.target("/a").inactive).toEqual({ anonPages: 0, filePages: 300 });
  });

  test("one that is gone is forgotten", () => {
    using trial = new Trial();
    for (const path of ["/", "/a"]) trial.set(path, 10);
    atOnce(trial.backend.looking(true));
    rmSync(join(trial.root, mount, "a"), { recursive: true });
    atOnce(trial.backend.looking(true));
    expect(Object.keys(sizes(trial))).toEqual(["/"]);
  });
});

describe("what is planned", () => {
  test("nothing of the root, nor of cgroups above others that hold memory", () => {
    using trial = new Trial();
    trial.set("/", 30_000);
    trial.set("/a", 20_000);
    trial.set("/a/b", 15_000);
    trial.set("/empty", 10_000);
    trial.set("/empty/below", 0);
    trial.pass(3);
    const plans = ["/", "/a", "/a/b", "/empty"].map((path) => trial.plan(path).do);
    expect(plans).toEqual(["end", "end", "evict", "evict"]);
  });

  test("nothing before enough periods have passed, however many runs were asked for", () => {
    using trial = new Trial();
    for (const path of ["/", "/a"]) trial.set(path, 10_000);
    for (let run = 0; run < 10; run++) {
      atOnce(trial.backend.looking(true));
      trial.backend.ran(trial.target("/a"), 0);
      trial.clock.advance(1_000);
    }
    expect(trial.plan("/a")).toEqual({ do: "end", why: "not_ready" });
    trial.clock.advance(periodMs);
    trial.pass(1);
    expect(trial.plan("/a").do).toBe("end");
    trial.pass(1);
    expect(trial.plan("/a").do).toBe("evict");
    trial.backend.ran(trial.target("/a"), 0);
    // The next step has a period's time too.
    expect(trial.plan("/a").do).toBe("end");
  });
});

test("the kernel is asked for bytes without swapping, and what went is taken off", async () => {
  using trial = new Trial();
  for (const path of ["/", "/a"]) trial.set(path, 10_000);
  trial.pass(3);
  const plan = trial.plan("/a");
  if (plan.do === "end") throw new Error(plan.why);
  expect(plan).toMatchObject({ swappiness: 0, anonPages: 0, endsWith: "evicted" });
  await trial.backend.evict(trial.target("/a"), plan, 256);
  trial.backend.freed(trial.target("/a"), { filePages: 200, anonPages: 0 });
  expect(readFileSync(join(trial.root, mount, "a/memory.reclaim"), "utf8")).toStartWith("1048576 swappiness=0");
  // As with lru_gen it is the next look that shows it.
  expect(trial.target("/a").pagesUpTo(Infinity, "file")).toBe(10_000);
  atOnce(trial.backend.looking(false));
  expect(trial.target("/a").pagesUpTo(Infinity, "file")).toBe(9_800);
});

test("what went in an eviction is booked, and ends it when it is as much as was planned", async () => {
  using trial = new Trial({ eviction_psi_percent_limit: 100 });
  for (const path of ["/", "/a"]) trial.set(path, 100_000);
  trial.pass(3);
  const target = trial.target("/a");
  const plan = trial.plan("/a");
  if (plan.do === "end") throw new Error(plan.why);
  let leftPages = 100_000;
  const tree = readCgroupTree(trial.root);
  using guards = new EvictionGuards(new PressureReader(trial.root, tree, trial.clock));
  const ends: EvictionEnd[] = [];
  for await (const end of evictTargets([{ target, plan }], {
    root: trial.root,
    tree,
    clock: trial.clock,
    backend: trial.backend,
    guards,
    pace: new Pace(),
    counter: {
      read: () => {
        // While a write is under way, the kernel takes 1,000 pages.
        queueMicrotask(() => (leftPages -= 1_000));
        return { stolenPages: 100_000 - leftPages, apart: true, machine: null };
      },
    },
    mustStop: () => false,
    turns: new Turns(trial.clock),
    leaveOut: () => null,
  })) {
    ends.push(end);
  }
  expect(ends).toMatchObject([{ target, why: "evicted", filePages: target.lastEvictedFilePages, anonPages: 0 }]);
  expect(target.lastEvictedFilePages).toBeWithin(plan.pages, plan.pages + 1_000);
});
