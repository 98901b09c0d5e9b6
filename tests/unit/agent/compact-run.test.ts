import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Compactor } from "../../../src/agent/compact/run.ts";
import type { CompactRunReport } from "../../../src/agent/status.ts";
import { messageOf } from "../../../src/base/fault.ts";
import { defaultSettings, type CompactSettings } from "../../../src/config/schema.ts";
import { CompactKernel, FakeChildren, ManualClock } from "./compact-kernel.ts";

const settings: CompactSettings = defaultSettings.compact;
const pageBytes = 4096;

let kernel: CompactKernel;
let clock: ManualClock;
let children: FakeChildren;
let raised: string[];
let cleared: string[];
let compactor: Compactor;

beforeEach(() => {
  kernel = new CompactKernel();
  clock = new ManualClock();
  children = new FakeChildren(kernel);
  raised = [];
  cleared = [];
  compactor = new Compactor({
    root: kernel.root,
    ownCgroup: "/own",
    clock,
    command: ["/bin/compact", "now"],
    spawn: children.spawn,
    warnings: {
      raise: (key, message) => void raised.push(`${key}: ${message}`),
      clear: (key) => void cleared.push(key),
    },
  });
});

afterEach(() => {
  kernel[Symbol.dispose]();
});

/** Runs and lets the compaction, if there is one, take 200 ms. */
async function run(change: Partial<CompactSettings> = {}, asked = false): Promise<CompactRunReport> {
  const started = children.started.length;
  const running = compactor.run({ ...settings, ...change }, { asked });
  await clock.pass(200);
  if (children.started.length > started) {
    kernel.setFree({ 0: 10, 9: 20 });
    kernel.setWork({ migrateScanned: 1100, freeScanned: 2200, isolated: 510 });
    children.last.end(null);
  }
  return running;
}

/** The message that the run is refused with. */
async function refusal(running: Promise<unknown>): Promise<string> {
  return running.then(() => "not refused", messageOf);
}

describe("a run", () => {
  test("compacts when small blocks grew since the start, and says what came of it", async () => {
    compactor.begin(settings);
    kernel.setFree({ 0: 6000, 8: 3, 9: 10, 10: 1 });
    const report = await run();
    expect(report).toMatchObject({
      kind: "compact",
      run: 1,
      decision: "fragmented",
      compacted: true,
      end: "done",
      error: null,
      wall_secs: 0.2,
      work: { scanned_bytes: 3000 * pageBytes, isolated_bytes: 500 * pageBytes },
      before: {
        free_bytes: (6000 + 3 * 256 + 10 * 512 + 1024) * pageBytes,
        order_bytes: (10 * 512 + 1024) * pageBytes,
        reportable_bytes: (10 * 512 + 1024) * pageBytes,
      },
      after: {
        free_bytes: (10 + 20 * 512) * pageBytes,
        order_bytes: 20 * 512 * pageBytes,
        reportable_bytes: 20 * 512 * pageBytes,
      },
      pressure_percent: 0,
    });
    expect(children.last.command).toEqual(["/bin/compact", "now", kernel.root]);
    expect(clock.armed).toBe(0);
  });

  test("does not compact again without a new reason", async () => {
    compactor.begin(settings);
    kernel.setFree({ 0: 6000 });
    const decisions: string[] = [];
    for (let at = 0; at < 5; at++) {
      decisions.push((await run()).decision);
      await clock.pass(1000);
    }
    expect(decisions).toEqual(["fragmented", ...Array.from({ length: 4 }, () => "below_threshold")]);
    expect(compactor.status(settings, null)).toMatchObject({
      runs: 5,
      compactions: 1,
      runs_since_compaction: 4,
      decisions: { fragmented: 1, below_threshold: 4, forced: 0 },
      ends: { done: 1, failed: 0 },
      last_run: { run: 5, decision: "below_threshold" },
      last_compaction: { run: 1, end: "done" },
    });
  });

  test.each([
    [0, ["forced", "forced", "forced"]],
    [2, ["below_threshold", "below_threshold", "forced", "below_threshold", "below_threshold", "forced"]],
    ["never", ["below_threshold", "below_threshold", "below_threshold"]],
  ] as const)("force_times %p", async (forceTimes, expected) => {
    compactor.begin(settings);
    kernel.setFree({ 0: 10, 9: 20 });
    const decisions: string[] = [];
    for (const _ of expected) decisions.push((await run({ force_times: forceTimes, threshold: 100_000 })).decision);
    expect(decisions).toEqual([...expected]);
  });

  test("without begin, the first run is the start", async () => {
    kernel.setFree({ 0: 6000 });
    expect((await run()).decision).toBe("below_threshold");
    kernel.setFree({ 0: 12_000 });
    expect((await run()).why).toContain("grew by 6,000 pages since the agent's start");
  });

  test("that is asked for compacts at once", async () => {
    expect(await run({}, true)).toMatchObject({ decision: "asked", end: "done" });
  });

  test("reads nothing while disabled", async () => {
    for (const path of ["proc", "sys"]) kernel.remove(path);
    compactor.begin({ ...settings, disabled: true });
    expect(await run({ disabled: true }, true)).toMatchObject({
      decision: "disabled",
      compacted: false,
      work: null,
      before: null,
      pressure_percent: null,
    });
    expect(compactor.status({ ...settings, disabled: true }, null)).toMatchObject({ free: null, wanted: null });
  });

  test("says which file it lacks", async () => {
    kernel.remove("proc/pagetypeinfo");
    expect(await refusal(compactor.run(settings, { asked: true }))).toContain("pagetypeinfo");
    expect(() => compactor.begin(settings)).toThrow("pagetypeinfo");
    expect(compactor.running).toBe(false);
    expect(children.started).toHaveLength(0);
  });

  test("is refused while one is on", async () => {
    const running = compactor.run(settings, { asked: true });
    await clock.pass(50);
    expect(await refusal(compactor.run(settings, { asked: true }))).toContain("a compaction is under way");
    expect(compactor.status(settings, null)).toMatchObject({ running: true, child_pid: 100 });
    children.last.end(null);
    expect((await running).end).toBe("done");
    expect(compactor.status(settings, null)).toMatchObject({ running: false, child_pid: null });
  });
});

describe("pressure of the waiting period", () => {
  test("skips, and the period goes on until the share is below the limit", async () => {
    compactor.begin(settings);
    kernel.setFree({ 0: 6000 });
    await clock.pass(1000);
    kernel.stall(20);
    const first = await run();
    expect(first).toMatchObject({ decision: "pressure", compacted: false, pressure_percent: 2 });
    await clock.pass(800);
    expect(await run({ period_psi_percent_limit: 0.99 })).toMatchObject({ decision: "pressure", pressure_percent: 1 });
    expect(await run()).toMatchObject({ decision: "fragmented" });
    expect((await run()).pressure_percent).toBe(0);
  });

  test("of the compaction itself is not part of the next", async () => {
    compactor.begin(settings);
    const running = compactor.run({ ...settings, psi_percent_limit: 100 }, { asked: true });
    await clock.pass(300);
    kernel.stall(300);
    children.last.end(null);
    await running;
    await clock.pass(1000);
    expect((await run()).pressure_percent).toBe(0);
  });
});

describe("a compaction is stopped", () => {
  test("by pressure above psi_percent_limit, and tried again in the next run", async () => {
    compactor.begin(settings);
    kernel.setFree({ 0: 6000 });
    const running = compactor.run(settings, { asked: false });
    await clock.pass(100);
    kernel.stall(60);
    await clock.pass(600);
    const report = await running;
    expect(report).toMatchObject({ decision: "fragmented", end: "pressure", error: null });
    expect(report.stall).toBe("/proc/pressure/memory: 12.0 % of the last 500 ms and more (psi_percent_limit 5.0 %)");
    expect(children.last.kills).toBe(1);
    expect(compactor.status(settings, null)).toMatchObject({ ends: { pressure: 1 }, child_pid: null });
    expect((await run()).decision).toBe("fragmented");
  });

  test("not by what the process stalls for until it is ready", async () => {
    const ready = Promise.withResolvers<void>();
    children.ready = ready.promise;
    const running = compactor.run(settings, { asked: true });
    await clock.pass(100);
    kernel.stall(600);
    await clock.pass(900);
    ready.resolve();
    await clock.pass(1000);
    expect(children.last.kills).toBe(0);
    kernel.stall(60);
    await clock.pass(600);
    expect(await running).toMatchObject({ end: "pressure" });
  });

  test("not by what the agent itself stalls for, in a cgroup of its own, but by what others do", async () => {
    kernel.makeOwnCgroup("/own");
    const running = compactor.run(settings, { asked: true });
    await clock.pass(100);
    kernel.stallOwn(400);
    await clock.pass(900);
    expect(children.last.kills).toBe(0);
    kernel.stallOwn(100);
    kernel.stall(60);
    await clock.pass(600);
    const report = await running;
    expect(report).toMatchObject({ end: "pressure" });
    expect(report.stall).toStartWith("/proc/pressure/memory: 12.0 % of the last 500 ms");
  });

  test("not by pressure at the limit", async () => {
    const running = compactor.run(settings, { asked: true });
    await clock.pass(100);
    kernel.stall(25);
    await clock.pass(2000);
    expect(children.last.kills).toBe(0);
    children.last.end(null);
    expect((await running).end).toBe("done");
  });

  test("after sec_max, and then counts as one", async () => {
    compactor.begin(settings);
    kernel.setFree({ 0: 6000 });
    const running = compactor.run({ ...settings, sec_max: 1 }, { asked: false });
    await clock.pass(990);
    expect(children.last.kills).toBe(0);
    await clock.pass(10);
    expect(await running).toMatchObject({ end: "timeout", wall_secs: 1 });
    expect((await run()).decision).toBe("below_threshold");
  });

  test("by stop()", async () => {
    const running = compactor.run(settings, { asked: true });
    await clock.pass(20);
    await compactor.stop();
    expect((await running).end).toBe("stopped");
    expect(children.last.kills).toBe(1);
    await compactor.stop();
  });

  test("where its watch breaks", async () => {
    const running = compactor.run(settings, { asked: true });
    await clock.pass(20);
    kernel.remove("proc/pressure/io");
    await clock.pass(600);
    expect(await running).toMatchObject({ end: "failed" });
    expect((await running).error).toContain("proc/pressure/io");
    expect(children.last.kills).toBe(1);
  });
});

const hourMs = 3_600_000;

async function cutOff(): Promise<void> {
  const running = compactor.run(settings, { asked: true });
  await clock.pass(100);
  kernel.stall(600);
  await clock.pass(600);
  expect((await running).end).toBe("pressure");
}

describe("a compaction that never finishes", () => {
  test("is a warning after a day, until one does", async () => {
    await cutOff();
    clock.advance(23 * hourMs);
    await cutOff();
    expect(raised).toEqual([]);
    clock.advance(hourMs);
    await cutOff();
    expect(raised).toEqual([
      expect.stringMatching(
        /^compact_unfinished: no compaction has finished for a day: the last of 3 ended with pressure \(\/proc\/pressure\/memory: /,
      ),
    ]);
    expect(cleared).not.toContain("compact_unfinished");
    await run({}, true);
    expect(cleared).toContain("compact_unfinished");
  });
});

describe("a process that fails", () => {
  test("is told with its own words", async () => {
    const running = compactor.run(settings, { asked: true });
    children.last.end("exit 1: cannot write /proc/sys/vm/compact_memory: EPERM");
    expect(await running).toMatchObject({
      end: "failed",
      error: "exit 1: cannot write /proc/sys/vm/compact_memory: EPERM",
    });
  });

  test("is a warning until a compaction does not fail", async () => {
    const running = compactor.run(settings, { asked: true });
    children.last.end("exit 1");
    await running;
    expect(raised).toEqual(["compact_failed: cannot compact memory: exit 1; it will be tried again when one is due"]);
    expect(cleared).not.toContain("compact_failed");
    await run({}, true);
    expect(cleared).toContain("compact_failed");
  });

  test("is told when it does not start", async () => {
    const broken = new Compactor({
      root: kernel.root,
      clock,
      command: ["/no/such/program"],
      warnings: { raise: () => {}, clear: () => {} },
      spawn: () => {
        kernel.stall(0);
        throw new Error("ENOENT: /no/such/program");
      },
    });
    expect(await broken.run(settings, { asked: true })).toMatchObject({
      end: "failed",
      error: "cannot start the process: ENOENT: /no/such/program",
    });
    expect(broken.running).toBe(false);
  });
});

test("a process that does not die is reported, waited for, and never doubled", async () => {
  const running = compactor.run({ ...settings, sec_max: 1 }, { asked: true });
  children.last.mortal = false;
  await clock.pass(1500);
  expect(await running).toMatchObject({ end: "timeout" });
  expect(raised).toHaveLength(1);
  expect(raised[0]).toContain("cannot end process 100 of a compaction");

  expect(await run({}, true)).toMatchObject({ decision: "busy", compacted: false });
  expect(compactor.status(settings, null)).toMatchObject({ running: false, child_pid: 100, decisions: { busy: 1 } });
  expect(children.started).toHaveLength(1);
  expect(cleared).not.toContain("compact_child");

  children.last.end("killed by SIGKILL");
  await clock.pass(10);
  expect(cleared).toContain("compact_child");
  expect(await run({}, true)).toMatchObject({ decision: "asked", end: "done" });
});

describe("status", () => {
  test("says after an eviction that left little to report why the next run compacts", async () => {
    compactor.begin(settings);
    kernel.setFree({ 0: 200_000, 9: 10 });
    compactor.noteEviction(750 * 2 ** 20);
    const why =
      "free movable pages in blocks smaller than order 9 grew by 199,000 pages since the agent's start (threshold 1,024); " +
      "750 MiB were evicted since then, and only 20.0 MiB of 801 MiB free can be reported to the host";
    expect(compactor.status(settings, 12)).toMatchObject({
      wanted: why,
      evicted_since_compaction_bytes: 750 * 2 ** 20,
      reporting_order: 9,
      next_run_secs: 12,
      free: { free_bytes: 205_120 * pageBytes, reportable_bytes: 5120 * pageBytes },
    });
    expect((await run()).why).toBe(why);
    expect(compactor.status(settings, 12)).toMatchObject({ wanted: null, evicted_since_compaction_bytes: 0 });
  });

  test("knows no reportable memory where nothing reports", () => {
    kernel.remove("sys/module/page_reporting");
    expect(compactor.status(settings, null)).toMatchObject({ reporting_order: null, free: { reportable_bytes: null } });
  });

  test("does not fail where the kernel hides its lists", () => {
    compactor.begin(settings);
    kernel.remove("proc/buddyinfo");
    kernel.remove("proc/pagetypeinfo");
    expect(compactor.status(settings, null)).toMatchObject({ free: null, wanted: null });
  });
});
