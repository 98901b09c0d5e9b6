import { describe, expect, test } from "bun:test";
import type { TimedEvent } from "../../../src/agent/events.ts";
import { isFault } from "../../../src/base/fault.ts";
import type { MemcgRule } from "../../../src/config/schema.ts";
import { MemcgKernel, refusal } from "./memcg-kernel.ts";
import { periodMs, Serving } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };

function rule(path: string, values: Partial<MemcgRule>): MemcgRule {
  return { path, no_subdir: false, ...values };
}

/** Milliseconds until something is due; negative when it is overdue, null when nothing can be. */
function dueInMs({ service, kernel }: Serving): number | null {
  const due = service.nextDueMs();
  return due === null ? null : due - kernel.clock.monotonicMs();
}

/** What a run refused to be made for: the kind of its fault. */
async function faultOf(run: Promise<unknown>): Promise<string> {
  try {
    await run;
    return "none";
  } catch (error) {
    if (!isFault(error)) throw error;
    return error.kind;
  }
}

describe("when targets are due", () => {
  test("all are at the start, and a period after their last run", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    expect(dueInMs(serving)).toBe(Number.NEGATIVE_INFINITY);
    expect((await serving.run()).targets).toBe(2);
    expect(dueInMs(serving)).toBe(periodMs);
    expect(serving.target("/a").next_run_secs).toBe(60);
    kernel.clock.advance(periodMs / 2);
    expect((await serving.run()).targets).toBe(0);
    expect(serving.target("/a").next_run_secs).toBe(30);
  });

  test("what is due at nearly the same time runs together", async () => {
    using kernel = new MemcgKernel();
    for (const path of ["/a", "/b", "/c"]) kernel.add(path, cold);
    const cgroups = [
      rule("/a", { period_secs: 100 }),
      rule("/b", { period_secs: 104 }),
      rule("/c", { period_secs: 110 }),
    ];
    const serving = new Serving(kernel, { period_secs: 1000, cgroups });
    await serving.run();
    expect(dueInMs(serving)).toBe(100_000);
    kernel.clock.advance(100_000);
    const report = await serving.run();
    expect(report.targets).toBe(2);
    expect(["/a", "/b", "/c"].map((path) => serving.target(path).runs)).toEqual([2, 2, 1]);
    expect(dueInMs(serving)).toBeCloseTo(10_000, -2);
  });

  test("runs that were slept through are made up for by one", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.run();
    kernel.clock.advance(100 * periodMs);
    await serving.run();
    expect(serving.target("/a")).toMatchObject({ runs: 2, agings: 2 });
    expect(dueInMs(serving)).toBe(periodMs);
  });

  test("a new cgroup is found within the shortest period, and is due at once", async () => {
    using kernel = new MemcgKernel();
    const serving = new Serving(kernel);
    await serving.run();
    kernel.add("/new", cold);
    const report = await serving.next();
    expect(report.targets).toBe(2);
    expect(serving.target("/new").runs).toBe(1);
  });

  test("a new period counts from the last run", async () => {
    using kernel = new MemcgKernel();
    const serving = new Serving(kernel, { period_secs: 600 });
    await serving.run();
    kernel.clock.advance(100_000);
    serving.apply({ period_secs: 150 });
    expect(dueInMs(serving)).toBe(50_000);
    serving.apply({ period_secs: 60 });
    expect(dueInMs(serving)).toBe(-40_000);
  });

  test("nothing is while all are disabled", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel, { disabled: true });
    expect(serving.service.disabled).toBe(true);
    expect(dueInMs(serving)).toBeNull();
    expect(await faultOf(serving.run())).toBe("invalid");
    serving.apply({ disabled: true, cgroups: [rule("/a", { disabled: false, period_secs: 60 })] });
    expect(serving.service.disabled).toBe(false);
    expect((await serving.run()).ends).toMatchObject({ disabled: 1, not_ready: 1 });
    expect(serving.target("/").next_run_secs).toBeNull();
    expect(serving.target("/a").next_run_secs).toBe(60);
  });

  test("runs are spread differently before each", async () => {
    using kernel = new MemcgKernel();
    const serving = new Serving(kernel, { spread_percent: 50 });
    const waits: number[] = [];
    for (let run = 0; run < 4; run++) {
      await serving.run();
      const wait = dueInMs(serving) ?? 0;
      waits.push(wait);
      kernel.clock.advance(wait);
    }
    for (const wait of waits) expect(wait).toBeWithin(periodMs, periodMs * 1.5);
    expect(new Set(waits).size).toBe(4);
  });
});

describe("one run at a time", () => {
  test("a second is refused while one is under way", async () => {
    using kernel = new MemcgKernel();
    const serving = new Serving(kernel);
    const first = serving.run();
    expect(serving.service.running).toBe(true);
    expect(await faultOf(serving.run())).toBe("busy");
    await first;
    expect(serving.service.running).toBe(false);
  });

  test("who asks for a run gets one of every target, due or not", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.run();
    expect((await serving.service.run(true, false)).targets).toBe(2);
    // Too young to be aged again.
    expect(serving.target("/a")).toMatchObject({ runs: 2, agings: 1 });
  });

  test("stop waits for the end of the run, and closes lru_gen", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    expect(kernel.opened).toBe(1);
    const run = serving.run();
    let stopped = false;
    kernel.meets = (command) => {
      if (command.startsWith("-") && !stopped) {
        stopped = true;
        void serving.service.stop();
      }
      return null;
    };
    const report = await run;
    expect(report.ends.stopped).toBe(1);
    await serving.service.stop();
    expect(kernel.opened).toBe(0);
  });
});

describe("a run that lasts until the next period comes", () => {
  const names = Array.from({ length: 30 }, (_, index) => `/c${index}`);

  async function longRun(asked: boolean): Promise<{ readonly serving: Serving; readonly evicted: () => string[] }> {
    const kernel = new MemcgKernel();
    for (const name of names) kernel.add(name, { anonPages: 0, filePages: 64 });
    const serving = new Serving(kernel);
    await serving.ripen();
    kernel.commandMs = periodMs / 20;
    await serving.service.run(asked, false);
    const evicted = (): string[] => {
      const { targets } = serving.service.status();
      return targets.filter(({ evictions }) => evictions > 0).map(({ path }) => path);
    };
    return { serving, evicted };
  }

  test("leaves the others to the next one, which begins at once and with them", async () => {
    const { serving, evicted } = await longRun(false);
    using kernel = serving.kernel;
    const first = evicted();
    expect(first.length).toBeWithin(16, names.length - 1);
    const left = names.filter((name) => !first.includes(name));
    for (const name of left) expect(serving.target(name)).toMatchObject({ last_end: "unreached", evictions: 0 });
    expect(dueInMs(serving)).toBeLessThanOrEqual(0);
    expect(serving.log.entries.at(-1)?.fields).toMatchObject({ unreached: left.length });

    kernel.commands.length = 0;
    kernel.commandMs = 1;
    kernel.clock.advance(periodMs);
    const report = await serving.run();
    expect(report.ends.unreached).toBe(0);
    expect(evicted()).toEqual(names);
    const order = serving.commands("-").map((command) => command.split(" ")[1] ?? "");
    expect(order[0]).toBe(kernel.id(left[0] ?? ""));
    expect(dueInMs(serving)).toBe(periodMs);
  });

  test("goes on to its end where somebody asked for it", async () => {
    const { serving, evicted } = await longRun(true);
    using kernel = serving.kernel;
    expect(evicted()).toEqual(names);
    expect(kernel.usagePages(names[0] ?? "")).toBe(0);
  });
});

test("the agent's own cgroup is left alone, also when settings change, and a rule takes that back", async () => {
  using kernel = new MemcgKernel();
  for (const path of ["/own", "/other"]) kernel.add(path, cold);
  const serving = new Serving(kernel, {}, false, "/own");
  await serving.ripen();
  await serving.run();
  expect([serving.target("/own").last_end, serving.target("/other").last_end]).toEqual(["disabled", "evicted"]);
  expect(serving.commands("-", "/own")).toEqual([]);
  serving.apply({ cgroups: [rule("/own", { disabled: false })] });
  await serving.next();
  expect(serving.target("/own").last_end).toBe("not_ready");
  serving.apply({});
  await serving.next();
  expect(serving.target("/own").last_end).toBe("disabled");
});

describe("a stop", () => {
  test("is heard between any two targets, before anything is read of the others", async () => {
    using kernel = new MemcgKernel();
    const names = Array.from({ length: 40 }, (_, index) => `/c${index}`);
    for (const name of names) kernel.add(name, cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    // Each file of a cgroup takes its time, and the agent gives way: somebody stops it then.
    kernel.clock.ticksMs = 1;
    const run = serving.run();
    setImmediate(() => void serving.service.stop());
    const { ends } = await run;
    expect(ends.stopped).toBeGreaterThan(30);
    expect(serving.commands("-")).toEqual([]);
  });
});

describe("the cgroups' mount", () => {
  test("that goes away under us is told, and what is known of the cgroups stays until it is back", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.run();
    const mountAgain = kernel.unmount();
    kernel.clock.advance(periodMs);
    expect(await faultOf(serving.run())).toBe("missing");
    expect(serving.service.status().targets.map(({ path, runs }) => [path, runs])).toEqual([
      ["/", 1],
      ["/a", 1],
    ]);
    mountAgain();
    kernel.clock.advance(periodMs);
    await serving.run();
    expect(serving.target("/a")).toMatchObject({ runs: 2, agings: 2 });
  });

  test("under which a cgroup's name is another's is not believed, where ids are inodes", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.add("/b", cold);
    kernel.identify();
    kernel.replace("/b");
    const serving = new Serving(kernel);
    await serving.run();
    expect(serving.service.status().targets.map(({ path }) => path)).toEqual(["/", "/a"]);
  });
});

describe("what is told", () => {
  test("totals, events and the last run agree", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    const heard: TimedEvent[] = [];
    serving.events.on((event) => heard.push(event));
    const report = await serving.run();
    const status = serving.service.status();
    expect(status.evicted_bytes).toEqual({ anon_bytes: 0, file_bytes: 10_000 * 4096 });
    expect(status).toMatchObject({ runs: 3, targets_count: 2, backend: "lru_gen", running: false, last_run: report });
    expect(report.top).toEqual([
      { path: "/a", node: 0, evicted_bytes: status.evicted_bytes, would_evict_bytes: null, end: "evicted" },
    ]);
    expect(heard.map(({ event }) => event)).toEqual(["target_end", "target_end", "memcg_run"]);
    expect(heard.find((event) => event.event === "target_end" && event.path === "/a")).toMatchObject({
      end: "evicted",
      skipped: false,
      evicted_bytes: 10_000 * 4096,
    });
    expect(serving.log.entries.map(({ message }) => message)).toContain("memcg run");
  });

  test("an odd name is told as status shows it", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a\u001bb", cold);
    const serving = new Serving(kernel);
    const paths: string[] = [];
    serving.events.on((event) => event.event === "target_end" && paths.push(event.path));
    await serving.run();
    const shown = "/a\\x1bb";
    expect(paths).toContain(shown);
    expect(serving.target(shown).pressure_source).toBe(shown);
  });

  test("generations are read anew for a status, but not in every call", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.run();
    const { looks } = kernel;
    kernel.clock.advance(5_000);
    expect(serving.target("/a").generations?.at(-1)?.age_secs).toBeCloseTo(5, 1);
    serving.target("/a");
    expect(kernel.looks).toBe(looks + 1);
  });
});

describe("trouble", () => {
  test("lru_gen switched off: told once, tried again within a minute, over when it is on", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel, { period_secs: 600, backend: "lru_gen" });
    await serving.run();
    kernel.clock.advance(600_000);
    kernel.switchLruGen(0);
    expect(await faultOf(serving.run())).toBe("missing");
    expect(serving.warnings.list).toMatchObject([{ key: "memcg" }]);
    expect(dueInMs(serving)).toBe(60_000);
    kernel.clock.advance(60_000);
    kernel.switchLruGen(7);
    expect((await serving.run()).targets).toBe(2);
    expect(serving.warnings.list).toEqual([]);
    const told = serving.log.entries.filter(({ message }) => message.includes("switched off"));
    expect(told.map(({ level }) => level)).toEqual(["warn", "info"]);
  });

  test("a prerequisite that stays away is told once, however often it is tried", async () => {
    using kernel = new MemcgKernel();
    const serving = new Serving(kernel, { backend: "memory_reclaim" });
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await faultOf(serving.next())).toBe("missing");
    }
    expect(serving.warnings.list).toHaveLength(1);
    expect(serving.log.entries.filter(({ level }) => level === "warn")).toHaveLength(1);
  });

  test("a target that fails in each run is told once", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.ripen();
    const start = `+ ${kernel.id("/a")} `;
    kernel.meets = (command) => (command.startsWith(start) ? refusal() : null);
    for (let run = 0; run < 3; run++) await serving.next();
    expect(serving.target("/a").ends.error).toBe(3);
    const told = serving.log.entries.filter(({ message }) => message === "target failed");
    expect(told).toHaveLength(1);
    kernel.meets = () => null;
    await serving.next();
    expect(serving.target("/a").last_error).toBeNull();
  });
});

describe("a cgroup that only a status read has seen", () => {
  test("is due with the next run, which is scheduled, and begins with it", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    const serving = new Serving(kernel);
    await serving.run();
    kernel.clock.advance(periodMs / 2);
    kernel.add("/b", cold);
    expect(serving.target("/b").next_run_secs).toBe(30);
    expect(serving.service.summary().next_run_secs).toBe(30);
    expect(dueInMs(serving)).toBe(periodMs / 2);
    kernel.clock.advance(periodMs / 2);
    expect((await serving.run()).targets).toBe(3);
    expect(serving.target("/b").runs).toBe(1);
  });
});

test("why a backend was taken says so when lru_gen is switched off", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", cold);
  const serving = new Serving(kernel);
  await serving.run();
  expect(serving.service.summary().backend_why).toBe("lru_gen can be used, and it knows ages");
  kernel.switchLruGen(0);
  expect(await faultOf(serving.next())).toBe("missing");
  const { backend, backend_why: why } = serving.service.summary();
  expect({ backend, why }).toEqual({
    backend: null,
    why: "lru_gen was switched off while it was in use; waiting until it is on again",
  });
});

test("all targets that fail are a warning, and one that does not ends it", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", cold);
  kernel.add("/b", cold);
  const serving = new Serving(kernel);
  const keys = (): readonly string[] => serving.warnings.list.map(({ key }) => key);
  await serving.ripen();
  kernel.meets = () => refusal();
  await serving.next();
  expect(keys()).toEqual(["targets_fail"]);
  const start = `+ ${kernel.id("/b")} `;
  kernel.meets = (command) => (command.startsWith(start) ? refusal() : null);
  await serving.next();
  expect(keys()).toEqual([]);
});

describe("a rule that matches no cgroup", () => {
  const key = "rules_unmatched";
  const told = ({ warnings }: Serving): string | null =>
    warnings.list.find((warning) => warning.key === key)?.message ?? null;

  test("is a warning after a minute, and until it matches", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/postgresql.service", cold);
    const serving = new Serving(kernel, { cgroups: [rule("/postgres.service", { disabled: true })] });
    await serving.run();
    expect(told(serving)).toBeNull();
    await serving.next();
    expect(told(serving)).toBe(
      "a rule matches no cgroup: path=/postgres.service; nothing is protected or changed by it",
    );
    kernel.add("/postgres.service", cold);
    await serving.next();
    expect(told(serving)).toBeNull();
  });

  test("is none for a service that is restarted between two runs, nor once the rule is gone", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.add("/b", cold);
    const cgroups = [rule("/a", { swap: true }), rule("/b", { swap: true })];
    const serving = new Serving(kernel, { cgroups });
    await serving.run();
    kernel.remove("/a");
    await serving.next();
    kernel.add("/a", cold);
    await serving.next();
    expect(told(serving)).toBeNull();
    kernel.remove("/a");
    await serving.next();
    await serving.next();
    expect(told(serving)).toContain(": path=/a;");
    serving.apply({ cgroups: cgroups.slice(1) });
    expect(told(serving)).toBeNull();
  });
});

/** Lets an hour pass, each run when it is due; returns how many looks and agings that took. */
async function passHour(serving: Serving): Promise<{ readonly looks: number; readonly agings: number }> {
  const { clock } = serving.kernel;
  const endMs = clock.monotonicMs() + 3_600_000;
  let [looks, agings] = [0, 0];
  while (clock.monotonicMs() < endMs) {
    clock.advance(Math.max(0, dueInMs(serving) ?? 0));
    agings += (await serving.run()).aged;
    looks++;
  }
  return { looks, agings };
}

describe("with a pace of its own", () => {
  const paced = { period_secs: 600, period_min_secs: 20 };

  test("an hour of 20 idle cgroups takes three looks a minute and 16 agings of each", async () => {
    using kernel = new MemcgKernel();
    for (let index = 0; index < 20; index++) kernel.add(`/idle${index}`, { anonPages: 0, filePages: 0 });
    const serving = new Serving(kernel, paced);
    const { looks, agings } = await passHour(serving);
    expect(looks).toBeLessThanOrEqual(190);
    expect(agings).toBeLessThanOrEqual(21 * 16);
    expect(serving.target("/idle0").pace.period_secs).toBe(600);
  });

  test("the next look finds growth, and the short period is back", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", { anonPages: 0, filePages: 0 });
    const serving = new Serving(kernel, paced);
    await passHour(serving);
    const { runs } = serving.target("/a");
    kernel.read("/a", 4096);
    kernel.clock.advance(20_000);
    await serving.run();
    expect(serving.target("/a").runs).toBe(runs + 1);
    expect(serving.target("/a").pace.period_secs).toBe(20);
  });

  test("aging that takes half a second is done every 100 s at most", async () => {
    using kernel = new MemcgKernel();
    kernel.add("/a", cold);
    kernel.commandMs = 500;
    const serving = new Serving(kernel, paced);
    await serving.run();
    // Both targets were aged in one second, of which the one with pages took all.
    expect(serving.target("/a").pace.period_secs).toBe(200);
    expect(serving.target("/").pace.period_secs).toBe(20);
  });
});
