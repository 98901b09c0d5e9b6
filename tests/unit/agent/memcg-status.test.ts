import { describe, expect, test } from "bun:test";
import type { MemcgRule } from "../../../src/config/schema.ts";
import { MemcgKernel, pageBytes } from "./memcg-kernel.ts";
import { periodMs, Serving } from "./memcg-serving.ts";

const bytes = (pages: number): number => pages * pageBytes;

describe("the status of a target", () => {
  test("its generations, sizes and what is cold of it", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 100, filePages: 900 });
    const serving = new Serving(kernel, { eviction_run_aging_count_min: 100 });
    await serving.run();
    expect(serving.target("/a")).toMatchObject({
      id: "2",
      size_bytes: bytes(1_000),
      cold_bytes: { anon_bytes: 0, file_bytes: 0 },
      pressure_percent: null,
      last_end: "not_ready",
    });
    for (let run = 0; run < 3; run++) await serving.next();
    const { generations, cold_bytes, agings } = serving.target("/a");
    expect(cold_bytes).toEqual({ anon_bytes: bytes(100), file_bytes: bytes(900) });
    expect(agings).toBe(4);
    expect(generations?.map(({ seq, anon_bytes }) => [seq, anon_bytes])).toEqual([
      [2, bytes(100)],
      [3, 0],
      [4, 0],
      [5, 0],
    ]);
  });

  test("the rule that its settings come from", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 0, filePages: 0 });
    const rule: MemcgRule = { path: "/a", no_subdir: false, numa_id: [0], period_secs: 30 };
    const serving = new Serving(kernel, { cgroups: [rule] });
    await serving.run();
    expect(serving.target("/a")).toMatchObject({ rule: "path=/a,numa-id=0", next_run_secs: 30 });
    expect(serving.target("/")).toMatchObject({ rule: null, next_run_secs: 60 });
  });
});

describe("the report of a run", () => {
  test("largest first, with what each lost and why it ended", async () => {
    using kernel = new MemcgKernel();
    for (const [path, filePages] of [
      ["/small", 1_000],
      ["/large", 3_000],
      ["/idle", 0],
    ] as const) {
      kernel.add(path, { anonPages: 0, filePages });
    }
    const serving = new Serving(kernel);
    await serving.ripen();
    const report = await serving.run();
    expect(report.top.map(({ path, evicted_bytes, end }) => [path, evicted_bytes.file_bytes, end])).toEqual([
      ["/large", bytes(3_000), "evicted"],
      ["/small", bytes(1_000), "evicted"],
    ]);
    expect(report).toMatchObject({ targets: 4, aged: 4, skipped: 0, evicted_bytes: { file_bytes: bytes(4_000) } });
    expect(report.wall_secs).toBeGreaterThan(0);
    expect(report.batches).toBe(3);
  });

  test("in a dry run what would go, less what is protected, and how long all was left alone", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 1_000, filePages: 3_000 });
    kernel.setSwapFree(100_000);
    const serving = new Serving(kernel, { swap: true }, true);
    await serving.ripen();
    kernel.touchBack("/a", 40);
    kernel.protect("/a", { low: 4_040 - 512 - 2_000 });
    const report = await serving.run();
    expect(report.would_evict_bytes).toEqual({ anon_bytes: bytes(500), file_bytes: bytes(1_500) });
    expect(report.top).toMatchObject([{ path: "/a", end: "protected", evicted_bytes: { file_bytes: 0 } }]);
    // The oldest generation was last touched before the next younger one was made, two periods ago.
    const aged = new Map((report.cold_by_age ?? []).map(({ age_secs, bytes: left }) => [age_secs, left]));
    expect(aged.get((2 * periodMs) / 2000)).toBe(bytes(4_000));
    expect(aged.get(0)).toBe(bytes(40));
  });
});
