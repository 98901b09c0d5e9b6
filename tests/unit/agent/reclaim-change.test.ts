import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { offRunsMax } from "../../../src/agent/memcg/readiness.ts";
import { isFault } from "../../../src/base/fault.ts";
import { MemcgKernel } from "./memcg-kernel.ts";
import { periodMs, Serving, type MemcgChoice } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };
const rootStat =
  "anon 0\nfile 0\nfile_mapped 0\nshmem 0\ninactive_anon 0\nactive_anon 0\ninactive_file 0\nactive_file 0\nunevictable 0\n";

/** A machine with lru_gen and memory.reclaim, and one cgroup on two nodes. */
function machine(): MemcgKernel {
  const kernel = new MemcgKernel();
  kernel.add("/a", cold, cold);
  const cgroups = join(kernel.root, "sys/fs/cgroup");
  for (const folder of [cgroups, join(cgroups, "a")]) writeFileSync(join(folder, "memory.reclaim"), "");
  writeFileSync(join(cgroups, "memory.stat"), rootStat);
  return kernel;
}

function mask({ root }: MemcgKernel): string {
  return readFileSync(join(root, "sys/kernel/mm/lru_gen/enabled"), "utf8").trim();
}

/** A run a period later: the backend that made it, or the kind of the fault that kept it from being made. */
async function ran(serving: Serving): Promise<string> {
  try {
    await serving.next();
    return serving.service.summary().backend ?? "none";
  } catch (error) {
    if (!isFault(error)) throw error;
    return error.kind;
  }
}

describe("lru_gen switched off under the agent", () => {
  test("auto waits, goes on through memory.reclaim, and returns when it is on again", async () => {
    using kernel = machine();
    const serving = new Serving(kernel);
    expect(await ran(serving)).toBe("lru_gen");
    expect(serving.service.status().targets.map(({ node }) => node)).toEqual([0, 0, 1]);
    kernel.switchLruGen(0);
    for (let run = 1; run < offRunsMax; run++) {
      expect(await ran(serving)).toBe("missing");
      expect(serving.warnings.list).toHaveLength(1);
    }
    expect(await ran(serving)).toBe("memory_reclaim");
    expect(serving.warnings.list).toEqual([]);
    expect(serving.service.summary().backend_why).toBe(
      "lru_gen was switched off while it was in use; memory.reclaim is there",
    );
    expect(await ran(serving)).toBe("memory_reclaim");
    expect(mask(kernel)).toBe("0x0000");
    const [, target, ...others] = serving.service.status().targets;
    expect(target).toMatchObject({ path: "/a", node: 0, id: null, generations: null, agings: 0 });
    expect(others).toEqual([]);

    kernel.switchLruGen(7);
    expect(await ran(serving)).toBe("lru_gen");
    expect(serving.target("/a").generations).not.toBeNull();
    // The pages were sorted anew: three periods must pass before any of them is old.
    expect(serving.target("/a").agings).toBe(1);
    expect(serving.log.entries.filter(({ level }) => level === "warn")).toHaveLength(1);
  });

  test("backend lru_gen waits for it however long that takes, and switches nothing on", async () => {
    using kernel = machine();
    const serving = new Serving(kernel, { backend: "lru_gen" });
    await ran(serving);
    kernel.switchLruGen(0);
    for (let run = 0; run < 3 * offRunsMax; run++) expect(await ran(serving)).toBe("missing");
    expect(mask(kernel)).toBe("0x0000");
    expect(serving.log.entries.filter(({ level }) => level === "warn")).toHaveLength(1);
    kernel.switchLruGen(1);
    expect(await ran(serving)).toBe("lru_gen");
    expect(mask(kernel)).toBe("0x0001");
  });

  const asked: readonly (readonly [name: string, steps: readonly MemcgChoice[]])[] = [
    ["the backend is chosen", [{ backend: "memory_reclaim" }, { backend: "auto" }]],
    ["memcg is enabled", [{ disabled: true }, { disabled: false }]],
  ];
  test.each(asked)("is switched on once more when %s", async (_, steps) => {
    using kernel = machine();
    const serving = new Serving(kernel);
    await ran(serving);
    kernel.switchLruGen(0);
    for (const step of steps) {
      serving.apply(step);
      if (step.disabled !== true) await ran(serving);
    }
    await ran(serving);
    // A plain file keeps what was written, where the kernel would show it as a mask.
    expect(mask(kernel)).toBe("7");
  });
});

test("the backend changes at once when another is chosen", async () => {
  using kernel = machine();
  const serving = new Serving(kernel);
  await serving.run();
  for (const backend of ["memory_reclaim", "lru_gen", "auto"] as const) {
    serving.apply({ backend });
    expect(serving.service.nextDueMs()).toBe(Number.NEGATIVE_INFINITY);
    await serving.run();
    expect(serving.service.summary().backend).toBe(backend === "auto" ? "lru_gen" : backend);
    expect(serving.service.nextDueMs()).toBe(kernel.clock.monotonicMs() + periodMs);
  }
  expect(kernel.opened).toBe(1);
});

test("another backend that is chosen while a run is under way begins right after it", async () => {
  using kernel = machine();
  const serving = new Serving(kernel);
  kernel.meets = () => {
    serving.apply({ backend: "memory_reclaim" });
    return null;
  };
  await serving.run();
  expect(serving.service.nextDueMs()).toBe(Number.NEGATIVE_INFINITY);
  await serving.run();
  expect(serving.service.summary().backend).toBe("memory_reclaim");
});

test("a dry run shows no ages where none are known", async () => {
  using kernel = machine();
  const serving = new Serving(kernel, { backend: "memory_reclaim" });
  expect((await serving.service.run(true, true)).cold_by_age).toBeNull();
  serving.apply({ backend: "lru_gen" });
  expect((await serving.service.run(true, true)).cold_by_age).not.toBeNull();
});

/** Times of the first five runs of a guest, relative to the first. */
async function runTimes(machineId: string, askedBetween: boolean): Promise<readonly number[]> {
  using kernel = machine();
  mkdirSync(join(kernel.root, "etc"));
  writeFileSync(join(kernel.root, "etc/machine-id"), `${machineId}\n`);
  const serving = new Serving(kernel, { spread_percent: 10 });
  const startMs = kernel.clock.monotonicMs();
  const times: number[] = [];
  kernel.commandMs = 0;
  for (let run = 0; run < 5; run++) {
    await serving.run();
    // Who only looks shifts nothing.
    if (askedBetween) await serving.service.run(true, true);
    times.push(kernel.clock.monotonicMs() - startMs);
    kernel.clock.advance((serving.service.nextDueMs() ?? 0) - kernel.clock.monotonicMs());
  }
  return times;
}

describe("the spread of runs", () => {
  const [one, other] = ["0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdee"] as const;

  test("differs from guest to guest, and is the same after a restart", async () => {
    expect(await runTimes(one, false)).toEqual(await runTimes(one, false));
    const [mine, theirs] = [await runTimes(one, false), await runTimes(other, false)];
    for (const [run, time] of mine.entries()) if (run > 0) expect(time).not.toBe(theirs[run] ?? 0);
  });

  test("is not moved by dry runs that somebody asks for", async () => {
    expect(await runTimes(one, true)).toEqual(await runTimes(one, false));
  });

  test("of one target is not moved by the runs of others, nor its order by runs that were asked for", async () => {
    using kernel = machine();
    const rule = { path: "/a", no_subdir: false, period_secs: 3600 };
    const serving = new Serving(kernel, { spread_percent: 50, cgroups: [rule] });
    kernel.commandMs = 0;
    await serving.run();
    const endMs = kernel.clock.monotonicMs() + (serving.target("/a").next_run_secs ?? 0) * 1000;
    for (let run = 0; run < 10; run++) {
      kernel.clock.advance(periodMs * 1.5);
      await serving.run();
      expect(kernel.clock.monotonicMs() + (serving.target("/a").next_run_secs ?? 0) * 1000).toBeCloseTo(endMs, 3);
    }
    const before = serving.target("/").next_run_secs;
    await serving.service.run(true, false);
    expect(serving.target("/").next_run_secs).toBeCloseTo(before ?? 0, 3);
  });
});

test.each([
  [0, [], null],
  [0.2, [], "refaults"],
  [0, [{ path: "/a", no_subdir: false, refault_percent_limit: 1 }], "refaults"],
] as const)("a limit of %p with rules %p: what came back comes from %p", async (limit, cgroups, source) => {
  using kernel = machine();
  const serving = new Serving(kernel, { refault_percent_limit: limit, cgroups });
  await serving.run();
  expect(serving.service.summary().refault_source).toBe(source);
});
