/** What evictions freed and what came back: counted once, as the kernel counts it, whoever else is at work. */
import { describe, expect, test } from "bun:test";
import { MemcgKernel, pageBytes } from "./memcg-kernel.ts";
import { atFirst, periodMs, Serving } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };
const rule = { path: "/a", no_subdir: false };

/** At each batch. */
function atEach(kernel: MemcgKernel, act: () => void): void {
  kernel.meets = (command) => {
    if (command.startsWith("-")) act();
    return null;
  };
}

describe("what was evicted", () => {
  test("is what the kernel freed, while the cgroup reads", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    atEach(kernel, () => kernel.read("/a", 5_000));
    await serving.run();
    expect(serving.target("/a").evicted_bytes).toEqual({ anon_bytes: 0, file_bytes: 10_000 * pageBytes });
  });

  test("is not what the kernel took by itself", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.add("/a/child", cold);
    const serving = new Serving(kernel, { cgroups: [{ ...rule, path: "/a/child", disabled: true }] });
    await serving.ripen();
    kernel.read("/a/child", 100_000);
    atEach(kernel, () => kernel.reclaimBySelf("/a/child", 3_000));
    await serving.run();
    expect(serving.target("/a").evicted_bytes.file_bytes).toBe(10_000 * pageBytes);
  });

  test("of a parent is not what its child lost to us", async () => {
    using kernel = new MemcgKernel();
    kernel.commandMs = 20;
    kernel.add("/a", cold);
    kernel.add("/a/child", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    await serving.run();
    for (const path of ["/a", "/a/child"])
      expect(serving.target(path).evicted_bytes.file_bytes).toBe(10_000 * pageBytes);
  });

  test("is file alone without swap, whatever left the generations", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 5_000, filePages: 10_000 });
    const serving = new Serving(kernel);
    await serving.ripen();
    // Touched: they go to the youngest generation.
    atFirst(serving, "-", () => {
      kernel.touchAnon("/a");
      return null;
    });
    await serving.run();
    expect(serving.target("/a").evicted_bytes).toEqual({ anon_bytes: 0, file_bytes: 10_000 * pageBytes });
  });

  test("is in the totals while the run goes on", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    const seen: (readonly [evicted: number, saved: number])[] = [];
    atEach(kernel, () => {
      const { evicted_bytes, saved_bytes } = serving.service.summary();
      seen.push([evicted_bytes.file_bytes / pageBytes, saved_bytes / pageBytes]);
    });
    await serving.run();
    expect(seen.slice(0, 3)).toEqual([
      [0, 0],
      [1024, 1024],
      [3072, 3072],
    ]);
  });
});

describe("nodes of one cgroup with periods of their own", () => {
  test("an eviction is booked once for what may come back", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold, cold);
    const serving = new Serving(kernel, { refault_percent_limit: 0.2 });
    await serving.ripen();
    await serving.run();
    // A sample went; it stayed away, and so does the rest go.
    await serving.next();
    kernel.read("/a", 100_000);
    const limit = { refault_percent_limit: 0.2 };
    serving.apply({ ...limit, cgroups: [{ ...rule, numa_id: [1], period_secs: 6_000 }] });
    await serving.next();
    // More than was evicted.
    kernel.touchBack("/a", 60_000);
    await serving.next();
    expect(serving.service.summary().refaulted_bytes).toBe(20_000 * pageBytes);
  });

  test("what came back is told once, and outlives the cgroup", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold, cold);
    const serving = new Serving(kernel, { refault_percent_limit: 0.2 });
    await serving.ripen();
    await serving.run();
    await serving.next();
    kernel.touchBack("/a", 5_001);
    await serving.next();
    const sum = [0, 1].reduce((all, node) => all + (serving.target("/a", node).refaulted_bytes ?? 0), 0);
    expect(sum).toBe(5_001 * pageBytes);
    expect(serving.service.summary().refaulted_bytes).toBe(sum);
    kernel.remove("/a");
    await serving.next();
    expect(serving.service.summary()).toMatchObject({
      targets_count: 1,
      refaulted_bytes: sum,
      evicted_bytes: { anon_bytes: 0, file_bytes: 20_000 * pageBytes },
    });
  });
});

test("a parent is not blamed for what came back to its child", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", cold);
  kernel.add("/a/child", cold);
  const serving = new Serving(kernel, {
    refault_percent_limit: 0.2,
    cgroups: [{ ...rule, path: "/a/child", disabled: true }],
  });
  await serving.ripen();
  await serving.run();
  kernel.touchBack("/a/child", 10_000);
  await serving.next();
  expect(serving.target("/a")).toMatchObject({ refaulted_bytes: 0, sit_out: 0 });
});

test("a dry run that somebody asked for is not the last run", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", cold);
  const serving = new Serving(kernel);
  await serving.ripen();
  const report = await serving.run();
  await serving.service.run(true, true);
  expect(serving.service.summary().last_run).toEqual(report);
});

describe("a cgroup that one snapshot lacks", () => {
  test("keeps its history while it is there", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.add("/a/child", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    kernel.hide("/a");
    expect((await serving.run()).targets).toBe(2);
    kernel.hide("/a", false);
    kernel.clock.advance(periodMs);
    await serving.run();
    expect(serving.target("/a")).toMatchObject({ agings: 3, last_end: "evicted" });
  });

  test("is gone once it was removed", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    kernel.remove("/a");
    await serving.run();
    expect(serving.service.summary().targets_count).toBe(1);
  });
});

test("a target whose turn is far off stops soon after its stall", async () => {
  using kernel = new MemcgKernel();
  const paths = Array.from({ length: 20 }, (_, index) => `/a${index}`);
  for (const path of paths) kernel.add(path, { anonPages: 0, filePages: 3_000 });
  kernel.commandMs = 20;
  const serving = new Serving(kernel);
  await serving.ripen();
  let stalledMs = 0;
  let endedMs = 0;
  serving.events.on((told) => {
    if (told.event === "target_end" && told.path === "/a0") endedMs = kernel.clock.monotonicMs();
  });
  atEach(kernel, () => {
    // Others have their turn: the first was /a0's.
    if (serving.commands("-").length !== 5) return;
    stalledMs = kernel.clock.monotonicMs();
    kernel.stall("/a0", { memoryMs: 300 });
  });
  await serving.run();
  expect(serving.target("/a0").last_end).toBe("pressure");
  expect(endedMs - stalledMs).toBeWithin(0, 400);
});
