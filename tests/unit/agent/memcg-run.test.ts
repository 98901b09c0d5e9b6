import { describe, expect, test } from "bun:test";
import { Fault } from "../../../src/base/fault.ts";
import type { EndReason } from "../../../src/core/reason.ts";
import { MemcgKernel, pageBytes, refusal } from "./memcg-kernel.ts";
import { atFirst, memcgSettings, Serving } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };

describe("a run", () => {
  test("goes on with the others when one target fails", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.add("/b", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    atFirst(serving, "-", () => new Fault("io", "cannot command lru_gen: EIO"));
    const report = await serving.run();
    expect(report.ends).toMatchObject({ error: 1, evicted: 1, nothing_cold: 1 });
    expect(kernel.usagePages("/b")).toBe(0);
    expect(kernel.usagePages("/a")).toBe(10_000);
    await serving.next();
    expect(serving.target("/a")).toMatchObject({ last_end: "evicted", last_error: null });
  });

  test("says how many targets were aged just before, and so are not aged again", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel, { period_secs: 20 });
    expect((await serving.run()).aged_before).toEqual({ targets: 0, within_secs: null });
    kernel.clock.advance(5_000);
    const report = await serving.service.run(true, false);
    expect(report).toMatchObject({ aged: 0, aged_before: { targets: 2, within_secs: 20 } });
  });

  test("ages the rest when one command of the write is refused", async () => {
    using kernel = new MemcgKernel();
    for (const path of ["/a", "/b", "/c"]) kernel.add(path, cold);
    const serving = new Serving(kernel);
    // The second of four: the root's went before it.
    kernel.meets = (command) => (command.startsWith("+ 2 ") ? new Fault("io", "cannot command lru_gen: EIO") : null);
    const report = await serving.run();
    expect(report.aged).toBe(3);
    expect(serving.target("/a")).toMatchObject({ agings: 0, last_end: "error" });
    for (const path of ["/", "/b", "/c"]) {
      expect(kernel.generations(path)).toHaveLength(3);
      expect(serving.target(path).agings).toBe(1);
    }
  });

  test("ages the rest when a signal cut the write short", async () => {
    using kernel = new MemcgKernel();
    for (const path of ["/a", "/b", "/c"]) kernel.add(path, cold);
    const serving = new Serving(kernel);
    atFirst(serving, "+", () => "interrupted");
    const report = await serving.run();
    expect(report).toMatchObject({ aged: 4, ends: { error: 0 } });
    for (const path of ["/", "/a", "/b", "/c"]) expect(kernel.generations(path)).toHaveLength(3);
  });

  test("goes on evicting when a signal cut a batch short", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    atFirst(serving, "-", () => "interrupted");
    expect((await serving.run()).ends).toMatchObject({ evicted: 1, nothing_cold: 1, error: 0 });
    expect(kernel.usagePages("/a")).toBe(0);
    expect(serving.target("/a").evicted_bytes.file_bytes).toBe(10_000 * pageBytes);
  });

  test("takes one refusal for a race with somebody who evicted the same", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    atFirst(serving, "-", () => refusal());
    expect((await serving.run()).ends).toMatchObject({ evicted: 1, nothing_cold: 1, error: 0 });
    expect(kernel.usagePages("/a")).toBe(0);
  });

  test("does not count as evicted what went with a cgroup", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    kernel.meets = (command) => {
      if (command.startsWith("-") && serving.commands("-").length === 2) kernel.remove("/a");
      return null;
    };
    const report = await serving.run();
    expect(report.ends.vanished).toBe(1);
    expect(report.evicted_bytes.file_bytes).toBe(1024 * pageBytes);
  });

  test("takes batches of all targets in turn", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.add("/b", cold);
    // Slow enough that batches stay small.
    kernel.commandMs = 20;
    const serving = new Serving(kernel);
    await serving.ripen();
    await serving.run();
    const ids = serving.commands("-").map((command) => command.split(" ")[1]);
    expect(ids.length).toBeGreaterThan(10);
    for (const [index, id] of ids.slice(0, 10).entries()) expect(id).toBe(index % 2 === 0 ? "2" : "3");
  });

  test("makes batches no larger for a root that frees nothing, whose usage nobody tells", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/", cold);
    kernel.commandMs = 0;
    kernel.frees = 0;
    const serving = new Serving(kernel);
    await serving.ripen();
    for (let run = 0; run < 5; run++) await serving.next();
    expect(new Set(serving.commands("-").map((command) => command.split(" ")[5]))).toEqual(new Set(["1024"]));
    kernel.frees = Number.POSITIVE_INFINITY;
    await serving.next();
    expect(
      serving
        .commands("-")
        .slice(-4)
        .map((command) => command.split(" ")[5]),
    ).toEqual(["1024", "2048", "4096", "2832"]);
    expect(serving.target("/").evicted_bytes.file_bytes).toBe(10_000 * pageBytes);
  });

  test("uses the swappiness that the cold pages ask for, and ages with swap", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 1_000, filePages: 9_000 });
    kernel.setSwapFree(100_000);
    const serving = new Serving(kernel, { swap: true, swappiness_max: 15 });
    await serving.ripen();
    await serving.run();
    expect(serving.commands("+").find((command) => command.startsWith("+ 2 "))).toBe("+ 2 0 3 1");
    expect(serving.commands("-")[0]).toBe("- 2 0 1 15 1024");
    expect(serving.target("/a").evicted_bytes).toEqual({
      anon_bytes: 1_000 * pageBytes,
      file_bytes: 9_000 * pageBytes,
    });
  });

  test("stops every node of a cgroup that stalls", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold, cold);
    kernel.commandMs = 20;
    const serving = new Serving(kernel);
    await serving.ripen();
    atFirst(serving, "-", () => {
      kernel.stall("/a", { memoryMs: 50 });
      return null;
    });
    expect((await serving.run()).ends.pressure).toBe(2);
    expect(kernel.usagePages("/a")).toBeGreaterThan(15_000);
  });

  test.each([
    ["the nodes of a cgroup", "/p", ["/p"]],
    ["the cgroups below it", "/p", ["/p", "/p/one", "/p/two"]],
  ])("keeps what is protected, whatever %s lose together", async (_, protectedPath, paths) => {
    using kernel = new MemcgKernel();
    for (const path of paths) kernel.add(path, cold, cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    const low = kernel.usagePages(protectedPath) - 6_000;
    kernel.protect(protectedPath, { low });
    await serving.run();
    expect(kernel.usagePages(protectedPath)).toBeGreaterThanOrEqual(low);
    expect(kernel.usagePages(protectedPath)).toBeLessThan(low + 6_000);
  });

  test("adds waiting periods up until the share is below the limit", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.run();
    kernel.stall("/a", { memoryMs: 1_500 });
    const ends: (EndReason | null)[] = [];
    const skipped: boolean[] = [];
    serving.events.on((told) => told.event === "target_end" && told.path === "/a" && skipped.push(told.skipped));
    for (let run = 0; run < 4; run++) {
      await serving.next();
      ends.push(serving.target("/a").last_end);
    }
    expect(skipped).toEqual([true, true, false, false]);
    // 1.5 s of 1, 2 and 3 minutes; then a new waiting period begins.
    expect(ends).toEqual(["pressure", "pressure", "not_ready", "evicted"]);
    expect(serving.target("/a")).toMatchObject({ skips: 2, agings: 3, pressure_percent: 0 });
  });

  test("judges a cgroup without what its children stalled", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.add("/a/b", cold);
    const serving = new Serving(kernel);
    await serving.run();
    kernel.stall("/a/b", { memoryMs: 5_000 });
    await serving.next();
    expect(serving.target("/a/b").last_end).toBe("pressure");
    expect(serving.target("/a")).toMatchObject({ skips: 0, agings: 2 });
  });

  test("forgets a cgroup that came back under the same name", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    expect(serving.target("/a").agings).toBe(2);
    kernel.replace("/a");
    await serving.run();
    expect(serving.target("/a")).toMatchObject({ agings: 1, runs: 1, last_end: "not_ready" });
  });

  test.each([
    ["without an id", "0"],
    ["under its inode", "987654321"],
  ])("tells a cgroup from a dead one of its name, which is listed %s", async (_, deadId) => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 0, filePages: 77 });
    kernel.leaveDead("/a", deadId);
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    for (let run = 0; run < 3; run++) await serving.next();
    expect(serving.target("/a")).toMatchObject({ id: kernel.id("/a"), agings: 3, size_bytes: 0 });
    expect(serving.target("/a").evicted_bytes.file_bytes).toBe(10_000 * pageBytes);
    expect(serving.commands("+").some((command) => command.startsWith(`+ ${deadId} `))).toBe(false);
  });

  test("says what a dry run would evict, and evicts nothing", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    const report = await serving.service.run(true, true);
    expect(report).toMatchObject({
      dry_run: true,
      evicted_bytes: { anon_bytes: 0, file_bytes: 0 },
      would_evict_bytes: { anon_bytes: 0, file_bytes: 10_000 * pageBytes },
      ends: { evicted: 1, nothing_cold: 1 },
    });
    expect(serving.commands("-")).toEqual([]);
    expect(kernel.usagePages("/a")).toBe(10_000);
  });

  test("ends under the settings that it began with", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    atFirst(serving, "-", () => {
      serving.apply({ period_secs: 7, eviction_psi_percent_limit: 0 });
      kernel.stall("/a", { memoryMs: 4 });
      return null;
    });
    const run = serving.run();
    expect((await run).ends).toMatchObject({ evicted: 1, nothing_cold: 1, pressure: 0 });
    expect(serving.target("/a").settings).toEqual(
      expect.objectContaining({ period_secs: 7, eviction_psi_percent_limit: 0 }),
    );
    expect(memcgSettings().memcg.period_secs).toBe(60);
  });
});
