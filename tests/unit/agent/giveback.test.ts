/** Giving back by a deadline, on the model of the kernel and a stepped clock. */
import { describe, expect, test } from "bun:test";
import type { MemcgGivebackOutcome, MemcgGivebackRequest } from "../../../src/agent/memcg/giveback.ts";
import { messageOf } from "../../../src/base/fault.ts";
import { MemcgKernel } from "./memcg-kernel.ts";
import { atFirst, Serving } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };

function giveback(
  { service, kernel }: Serving,
  withinMs: number,
  change: Partial<MemcgGivebackRequest> = {},
): Promise<MemcgGivebackOutcome> {
  const deadlineMs = kernel.clock.monotonicMs() + withinMs;
  return service.giveback({ deadlineMs, targetPages: null, minAgeMs: 0, ignorePressure: false, ...change });
}

/** Pages that were left, by the reason. */
function leftPages({ left }: MemcgGivebackOutcome): Readonly<Record<string, number>> {
  return Object.fromEntries([...left].map(([why, { pages }]) => [why, pages]));
}

describe("giving back", () => {
  test("takes all of a fresh machine, aging what it must", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.add("/b", { anonPages: 500, filePages: 5000 });
    const serving = new Serving(kernel);
    const outcome = await giveback(serving, 60_000);
    expect(outcome).toMatchObject({ filePages: 15_000, anonPages: 0, agings: 4 });
    expect(leftPages(outcome)).toEqual({ swap_off: 500 });
    expect(serving.service.summary().evicted_bytes.file_bytes).toBe(15_000 * 4096);
  });

  test("begins with what ended, as far as it is reached, and says what is left of it", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/slice", { anonPages: 0, filePages: 0 });
    for (const path of ["/slice/a", "/slice/b", "/job"]) kernel.add(path, cold);
    const serving = new Serving(kernel);
    await serving.run();
    kernel.endUnit("/slice/b");
    kernel.leaveDead("/job", "0");
    kernel.commands.length = 0;
    const outcome = await giveback(serving, 60_000);
    expect(outcome.filePages).toBe(20_000);
    expect(kernel.commands[0]).toStartWith("reclaim /slice ");
    expect(leftPages(outcome)).toEqual({ out_of_reach: 10_000 });
    expect(serving.service.status().ended).toMatchObject([
      { path: "/", last_end: "no_file" },
      { path: "/slice", last_end: "evicted", evicted_bytes: 10_000 * 4096 },
    ]);
  });

  test("takes of what ended no more than it is asked for, and nothing that is too young", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/slice", { anonPages: 0, filePages: 0 });
    for (let unit = 0; unit < 3; unit++) {
      kernel.add("/slice/a", cold);
      kernel.endUnit("/slice/a");
    }
    const serving = new Serving(kernel);
    await serving.run();
    const young = await giveback(serving, 60_000, { minAgeMs: 60_000 });
    expect(young.filePages).toBe(0);
    expect(leftPages(young)).toEqual({ young: 30_000 });
    kernel.clock.advance(60_000);
    const outcome = await giveback(serving, 60_000, { minAgeMs: 60_000, targetPages: 4000 });
    // The kernel takes all that it comes across of one that ended.
    expect(outcome.filePages).toBeGreaterThanOrEqual(4000);
    expect(outcome.filePages).toBeLessThan(10_000);
    expect(leftPages(outcome)).toEqual({ amount: 30_000 - outcome.filePages });
  });

  test("begins with the coldest", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/old", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    kernel.add("/new", cold);
    kernel.commands.length = 0;
    await giveback(serving, 60_000);
    const evictions = serving.commands("-");
    const ofOld = serving.commands("-", "/old").length;
    expect(ofOld).toBeGreaterThan(0);
    expect(evictions.slice(0, ofOld)).toEqual([...serving.commands("-", "/old")]);
  });

  test("frees no more than it is asked for, but for a batch's rounding", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    const outcome = await giveback(serving, 60_000, { targetPages: 3000 });
    expect(outcome.filePages).toBe(3000);
    expect(leftPages(outcome)).toEqual({ amount: 7000 });
  });

  test("leaves what is too young", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    kernel.commands.length = 0;
    const outcome = await giveback(serving, 60_000, { minAgeMs: 10 * 3_600_000 });
    expect(outcome).toMatchObject({ filePages: 0, agings: 0 });
    expect(leftPages(outcome)).toEqual({ young: 10_000 });
    expect(kernel.commands).toEqual([]);
  });

  test("leaves what is protected and what is disabled", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.add("/b", cold);
    kernel.protect("/a", { low: 20_000 });
    const serving = new Serving(kernel, { cgroups: [{ path: "/b", no_subdir: false, disabled: true }] });
    const outcome = await giveback(serving, 60_000);
    expect(leftPages(outcome)).toEqual({ protected: 10_000, disabled: 10_000 });
    expect(serving.commands("-")).toEqual([]);
  });

  test("heeds pressure, unless told not to", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.run();
    kernel.clock.advance(10_000);
    kernel.stall("/a", { memoryMs: 1000 });
    expect(leftPages(await giveback(serving, 60_000))).toEqual({ pressure: 10_000 });
    expect((await giveback(serving, 60_000, { ignorePressure: true })).filePages).toBe(10_000);
  });

  test.each([100, 500, 2000])("is never more than a batch late: %d ms", async (withinMs) => {
    using kernel = new MemcgKernel();
    for (let index = 0; index < 8; index++) kernel.add(`/a${index}`, { anonPages: 0, filePages: 200_000 });
    const serving = new Serving(kernel);
    await serving.ripen();
    // A page takes as long as under emulation, whatever the size of the batch.
    kernel.meets = (command) => {
      if (command.startsWith("-")) kernel.clock.advance(Number(command.split(" ").at(-1)) / 100);
      return null;
    };
    const startMs = kernel.clock.monotonicMs();
    const outcome = await giveback(serving, withinMs);
    const tookMs = kernel.clock.monotonicMs() - startMs;
    expect(tookMs).toBeLessThanOrEqual(withinMs + 50);
    expect(tookMs).toBeGreaterThan(withinMs / 2);
    expect(leftPages(outcome)["deadline"]).toBeGreaterThan(0);
  });

  test("a batch that takes longer than it should leaves time for another like it", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 0, filePages: 200_000 });
    const serving = new Serving(kernel);
    await serving.ripen();
    kernel.meets = (command) => {
      if (command.startsWith("-")) kernel.clock.advance(140);
      return null;
    };
    const startMs = kernel.clock.monotonicMs();
    await giveback(serving, 1000);
    expect(kernel.clock.monotonicMs() - startMs).toBeLessThanOrEqual(1000);
  });

  test("what holds it up comes after all others", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/busy", { anonPages: 0, filePages: 100_000 });
    kernel.add("/cold", { anonPages: 0, filePages: 50_000 });
    const serving = new Serving(kernel);
    await serving.ripen();
    const busy = `- ${kernel.id("/busy")} `;
    kernel.meets = (command) => {
      if (command.startsWith(busy)) kernel.clock.advance(600);
      return null;
    };
    await giveback(serving, 2000);
    expect(kernel.usagePages("/cold")).toBe(0);
  });

  test("answers at the deadline though the kernel holds a write, and is over when that ends", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 0, filePages: 200_000 });
    const serving = new Serving(kernel);
    await serving.ripen();
    const write = Promise.withResolvers<void>();
    kernel.holds = () => write.promise;
    const answer = giveback(serving, 1000);
    await kernel.clock.pass(0);
    await kernel.clock.pass(1000);
    const outcome = await answer;
    expect(outcome.filePages).toBe(0);
    expect(leftPages(outcome)).toEqual({ deadline: 200_000 });
    expect(serving.service.running).toBe(true);
    expect(await giveback(serving, 1000).then(() => "", messageOf)).toContain("already under way");
    write.resolve();
    await serving.service.givenBack();
    expect(serving.service.running).toBe(false);
    expect(serving.commands("-")).toHaveLength(1);
  });

  test("an aging that takes longer than it was thought to is not tried again without the time", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 0, filePages: 100_000 });
    const serving = new Serving(kernel);
    kernel.meets = (command) => {
      if (command.startsWith("+")) kernel.clock.advance(900);
      return null;
    };
    const outcome = await giveback(serving, 1000);
    expect(outcome).toMatchObject({ agings: 1, filePages: 0 });
    expect(leftPages(outcome)).toEqual({ deadline: 100_000 });
  });

  test("takes over a run that is under way", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 0, filePages: 100_000 });
    const serving = new Serving(kernel);
    await serving.ripen();
    let outcome: Promise<MemcgGivebackOutcome> | null = null;
    atFirst(serving, "-", () => {
      outcome = giveback(serving, 60_000);
      return null;
    });
    const report = await serving.run();
    expect(report.ends.stopped).toBeGreaterThan(0);
    expect(outcome).not.toBeNull();
    const { filePages } = await (outcome as unknown as Promise<MemcgGivebackOutcome>);
    expect(filePages + report.evicted_bytes.file_bytes / 4096).toBe(100_000);
  });

  test("is refused while another is on, and where memcg is disabled", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    const first = giveback(serving, 60_000);
    expect(await giveback(serving, 60_000).then(() => "", messageOf)).toContain("already under way");
    await first;
    serving.apply({ disabled: true });
    expect(await giveback(serving, 60_000).then(() => "", messageOf)).toContain("memcg is disabled");
  });

  test("what gives nothing does not keep it going", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    kernel.frees = 0;
    expect(leftPages(await giveback(serving, 60_000))).toEqual({ no_progress: 10_000 });
  });
});
