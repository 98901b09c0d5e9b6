import { expect, test } from "bun:test";
import type { TimedEvent } from "../../../src/agent/events.ts";
import type { EndedStatus } from "../../../src/agent/status.ts";
import { MemcgKernel } from "./memcg-kernel.ts";
import { Serving, type MemcgChoice } from "./memcg-serving.ts";

const mib = 2 ** 20;
const unitPages = (60 * mib) / 4096;
const paced: MemcgChoice = { period_secs: 600, period_min_secs: 20, refault_percent_limit: 0.2 };

/** A slice with two living units and ten that ended. */
function slice(kernel: MemcgKernel): void {
  kernel.add("/system.slice", { anonPages: 0, filePages: 0 });
  for (const name of ["a", "b"]) kernel.add(`/system.slice/${name}`, { anonPages: 0, filePages: unitPages });
  for (let unit = 0; unit < 10; unit++) {
    // Two names, used again and again.
    const path = `/system.slice/d${unit % 2}`;
    kernel.add(path, { anonPages: 0, filePages: unitPages });
    kernel.endUnit(path);
  }
}

function ended(serving: Serving, path = "/system.slice"): EndedStatus {
  const units = serving.service.status().ended.find((candidate) => candidate.path === path);
  if (units === undefined) throw new Error(`nothing is known of what ended below ${path}`);
  return units;
}

async function runFor(serving: Serving, secs: number): Promise<void> {
  for (let at = 0; at < secs; at += 20) {
    serving.kernel.clock.advance(20_000);
    await serving.run();
  }
}

const reclaims = ({ commands }: MemcgKernel): number => commands.filter((text) => text.startsWith("reclaim")).length;

test("what ended below a slice goes through it at once, and is counted", async () => {
  using kernel = new MemcgKernel();
  slice(kernel);
  const serving = new Serving(kernel, paced);
  const told: TimedEvent[] = [];
  serving.events.on((event) => void (event.event === "ended_units" && told.push(event)));
  await serving.run();
  expect(ended(serving)).toMatchObject({ cgroups: 10, file_bytes: 600 * mib, last_end: "fresh", evicted_bytes: 0 });
  await runFor(serving, 100);
  expect(ended(serving)).toMatchObject({ cgroups: 0, file_bytes: 0, last_end: "evicted", evicted_bytes: 600 * mib });
  const { evicted_bytes, saved_bytes } = serving.service.status();
  expect(evicted_bytes.file_bytes).toBeGreaterThanOrEqual(600 * mib);
  expect(saved_bytes).toBe(evicted_bytes.file_bytes);
  expect(told).toMatchObject([{ path: "/system.slice", end: "evicted", evicted_bytes: 600 * mib }]);
  // Ten steps and the look at what is left, not one a mebibyte.
  expect(reclaims(kernel)).toBeLessThan(50);
});

test("it ends when the living beside it lose pages, and waits longer each time", async () => {
  using kernel = new MemcgKernel();
  slice(kernel);
  const serving = new Serving(kernel, paced);
  // The living lost as much as the ended gave.
  kernel.livingLoss = 4096;
  await runFor(serving, 120);
  expect(ended(serving)).toMatchObject({ last_end: "living_lost", evictions: 1 });
  expect(ended(serving).lost_bytes).toBeGreaterThan(0);
  const before = reclaims(kernel);
  await runFor(serving, 40);
  expect(reclaims(kernel)).toBe(before);
  await runFor(serving, 40);
  expect(reclaims(kernel)).toBeGreaterThan(before);
});

test("a cgroup that a rule disables is left alone, and so is all that ended beside it", async () => {
  using kernel = new MemcgKernel();
  slice(kernel);
  const rule = { path: "/system.slice/a", no_subdir: false, disabled: true };
  const serving = new Serving(kernel, { ...paced, cgroups: [rule] });
  await runFor(serving, 300);
  expect(ended(serving)).toMatchObject({ last_end: "spared", file_bytes: 600 * mib, evicted_bytes: 0 });
  expect(reclaims(kernel)).toBe(0);
});

test("what ended below the root is only shown", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/job", { anonPages: 0, filePages: unitPages });
  const serving = new Serving(kernel, paced);
  await serving.run();
  kernel.leaveDead("/job", "0");
  await runFor(serving, 200);
  expect(ended(serving, "/")).toMatchObject({ last_end: "no_file", file_bytes: 60 * mib, evicted_bytes: 0 });
});

test("a dry run evicts nothing of it, and says how much it would", async () => {
  using kernel = new MemcgKernel();
  slice(kernel);
  const serving = new Serving(kernel, { ...paced, refault_percent_limit: 0 }, true);
  await runFor(serving, 120);
  const report = await serving.service.run(true, true);
  expect(report.would_evict_bytes?.file_bytes).toBeGreaterThanOrEqual(600 * mib);
  expect(reclaims(kernel)).toBe(0);
});

test("what the living read again while they wait for the disk is its price", async () => {
  using kernel = new MemcgKernel();
  slice(kernel);
  const serving = new Serving(kernel, paced);
  await runFor(serving, 120);
  expect(ended(serving)).toMatchObject({ last_end: "evicted" });
  kernel.add("/system.slice/d", { anonPages: 0, filePages: unitPages });
  kernel.endUnit("/system.slice/d");
  kernel.read("/system.slice/a", 4096);
  kernel.stall("/system.slice/a", { ioMs: 5_000 });
  await runFor(serving, 20);
  // What the new unit read counts too: nobody tells them apart.
  expect(ended(serving).refaulted_bytes).toBe(76 * mib);
  await runFor(serving, 100);
  expect(ended(serving)).toMatchObject({ last_end: "refaults", evictions: 1 });
});
