import { describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EvictionGuards, PressureReader, waitingPercent } from "../../../src/agent/memcg/pressure.ts";
import { MemcgRegistry, type CgroupState, type TargetState } from "../../../src/agent/memcg/registry.ts";
import { compileRules } from "../../../src/config/rules.ts";
import type { MemcgSettings } from "../../../src/config/schema.ts";
import { readCgroupTree } from "../../../src/kernel/cgroup.ts";
import { MemcgKernel } from "./memcg-kernel.ts";
import { memcgSettings } from "./memcg-serving.ts";

/** Cgroups of the small kernel, known to a registry and a reader. */
class Watched {
  readonly kernel: MemcgKernel;
  readonly reader: PressureReader;
  readonly #registry: MemcgRegistry;

  constructor(kernel: MemcgKernel, paths: readonly string[], memcg: Partial<MemcgSettings> = {}) {
    this.kernel = kernel;
    this.reader = new PressureReader(kernel.root, readCgroupTree(kernel.root), kernel.clock);
    this.#registry = new MemcgRegistry(compileRules(memcgSettings(memcg).memcg));
    this.#registry.beginScan();
    for (const [index, path] of ["/", ...paths].entries()) {
      if (path !== "/") kernel.add(path, { anonPages: 0, filePages: 0 });
      const cgroup = this.#registry.seeCgroup(path, String(index), index);
      this.#registry.seeTarget(cgroup, 0);
    }
    this.#registry.endScan(() => true);
  }

  cgroup(path: string): CgroupState {
    const cgroup = this.#registry.cgroups.get(path);
    if (cgroup === undefined) throw new Error(`no cgroup ${path}`);
    return cgroup;
  }

  target(path: string): TargetState {
    const target = this.cgroup(path).targets[0];
    if (target === undefined) throw new Error(`no target ${path}`);
    return target;
  }

  /** Takes a cgroup's own pressure files away, or the system's. */
  hide(path: string): void {
    const folder = path === "system" ? "proc/pressure" : `sys/fs/cgroup${path}`;
    for (const resource of ["memory", "io"]) {
      const name = path === "system" ? resource : `${resource}.pressure`;
      rmSync(join(this.kernel.root, folder, name), { force: true });
    }
  }

  /** Percent of a second in which this happens. */
  percentOf(path: string, happens: () => void): number | null {
    const cgroup = this.cgroup(path);
    cgroup.windowStart = this.reader.fresh(cgroup);
    happens();
    this.kernel.clock.advance(1000);
    return waitingPercent(cgroup, this.reader.fresh(cgroup));
  }
}

function guardsOf({ reader }: Watched, targets: readonly TargetState[]): EvictionGuards {
  const guards = new EvictionGuards(reader);
  for (const target of targets) guards.watch(target);
  return guards;
}

describe("where a cgroup's pressure is read", () => {
  test.each([
    ["its own files", [], "/a/b"],
    ["a parent's, where it has none", ["/a/b"], "/a"],
    ["the system's, where no parent has any", ["/a/b", "/a"], "system"],
    ["nowhere", ["/a/b", "/a", "system"], null],
  ])("%s", (_, hidden, source) => {
    using kernel = new MemcgKernel();
    const watched = new Watched(kernel, ["/a", "/a/b"]);
    for (const path of hidden) watched.hide(path);
    const percent = watched.percentOf("/a/b", () => {
      // What is not the source stalls too, and must not be what is read.
      kernel.stall("system", { memoryMs: 1 });
      if (!hidden.includes("/a")) kernel.stall("/a", { memoryMs: 10 });
      if (!hidden.includes("/a/b")) kernel.stall("/a/b", { memoryMs: 100 });
      for (const path of hidden) watched.hide(path);
    });
    expect(watched.cgroup("/a/b").pressureSource).toBe(source);
    expect(percent).toBe({ "/a/b": 10, "/a": 1, system: 0.1, none: null }[source ?? "none"] ?? null);
  });
});

describe("what counts", () => {
  test("memory or io, whichever stalled longer", () => {
    using kernel = new MemcgKernel();
    const watched = new Watched(kernel, ["/a"]);
    expect(watched.percentOf("/a", () => kernel.stall("/a", { memoryMs: 30, ioMs: 50 }))).toBe(5);
  });

  test("not what children stalled, those with files of their own", () => {
    using kernel = new MemcgKernel();
    const watched = new Watched(kernel, ["/a", "/a/b", "/a/c"]);
    watched.hide("/a/c");
    const percent = watched.percentOf("/a", () => {
      kernel.stall("/a/b", { memoryMs: 200 });
      kernel.stall("/a", { memoryMs: 20 });
    });
    expect(percent).toBe(2);
  });

  test("one reading a source and run, until it is forgotten", () => {
    using kernel = new MemcgKernel();
    const watched = new Watched(kernel, ["/a"]);
    const memoryUs = (): number | null | undefined => watched.reader.cached(watched.cgroup("/a"))?.self.memoryUs;
    expect(memoryUs()).toBe(0);
    kernel.stall("/a", { memoryMs: 1 });
    expect(memoryUs()).toBe(0);
    watched.reader.forget();
    expect(memoryUs()).toBe(1_000);
  });
});

describe("while a cgroup is evicted", () => {
  test("a stall above the limit is noticed, one below it is not", () => {
    using kernel = new MemcgKernel();
    const watched = new Watched(kernel, ["/a"]);
    using guards = guardsOf(watched, [watched.target("/a")]);
    kernel.clock.advance(10);
    kernel.stall("/a", { ioMs: 5 });
    expect(guards.above(watched.target("/a"))).toBeNull();
    kernel.stall("/a", { ioMs: 1 });
    expect(guards.above(watched.target("/a"))).toBeCloseTo(1.2, 5);
  });

  test("a parent is not stopped for what only its child stalls", () => {
    using kernel = new MemcgKernel();
    const watched = new Watched(kernel, ["/a", "/a/b"]);
    const [parent, child] = [watched.target("/a"), watched.target("/a/b")];
    using guards = guardsOf(watched, [parent, child]);
    kernel.clock.advance(10);
    kernel.stall("/a/b", { memoryMs: 100 });
    expect(guards.above(child)).toBeCloseTo(20, 5);
    expect(guards.above(parent)).toBeNull();
    kernel.stall("/a", { memoryMs: 50 });
    expect(guards.above(parent)).toBeCloseTo(10, 5);
  });

  test("no limit can be exceeded at 100 percent, and none is armed", () => {
    using kernel = new MemcgKernel();
    const watched = new Watched(kernel, ["/a"], { eviction_psi_percent_limit: 100 });
    using guards = guardsOf(watched, [watched.target("/a")]);
    guards.arm(watched.target("/a"));
    kernel.clock.advance(500);
    kernel.stall("/a", { memoryMs: 500 });
    expect(guards.above(watched.target("/a"))).toBeNull();
    expect(guards.stalled()).toEqual([]);
  });

  test("the parent's files stand in for those that are gone or say nothing", () => {
    using kernel = new MemcgKernel();
    const watched = new Watched(kernel, ["/p", "/p/a", "/p/b"]);
    const targets = [watched.target("/p/a"), watched.target("/p/b")];
    using guards = guardsOf(watched, targets);
    watched.hide("/p/a");
    for (const name of ["memory", "io"]) {
      writeFileSync(join(kernel.root, `sys/fs/cgroup/p/b/${name}.pressure`), "nothing\n");
    }
    kernel.clock.advance(1000);
    for (const target of targets) expect(guards.above(target)).toBeNull();
    expect(watched.cgroup("/p/a").pressureSource).toBe("/p");
    kernel.stall("/p", { memoryMs: 50 });
    for (const target of targets) expect(guards.above(target)).toBeCloseTo(10, 5);
  });

  test("with no pressure file at all it stops", () => {
    using kernel = new MemcgKernel();
    const watched = new Watched(kernel, ["/a"]);
    using guards = guardsOf(watched, [watched.target("/a")]);
    watched.hide("/a");
    watched.hide("system");
    expect(guards.above(watched.target("/a"))).toBe(100);
  });

  test("also one whose turn is far off is noticed, once its last reading is old", () => {
    using kernel = new MemcgKernel();
    const paths = Array.from({ length: 16 }, (_, index) => `/a${index}`);
    const watched = new Watched(kernel, paths);
    using guards = guardsOf(
      watched,
      paths.map((path) => watched.target(path)),
    );
    kernel.stall("/a15", { memoryMs: 50 });
    kernel.clock.advance(100);
    expect(guards.stalled()).toEqual([]);
    kernel.clock.advance(100);
    expect(guards.stalled()).toEqual([watched.target("/a15")]);
  });
});
