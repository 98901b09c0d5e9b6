/** The two timers on a stepped clock, with features that take as long as a test says. */
import { beforeEach, describe, expect, test } from "bun:test";
import { Schedule, type FeatureName, type ScheduledFeature } from "../../../src/agent/schedule.ts";
import { SteppedClock } from "./stepped-clock.ts";

let clock: SteppedClock;
/** What began and ended, in order. */
let told: string[];

beforeEach(() => {
  clock = new SteppedClock();
  told = [];
});

class Feature implements ScheduledFeature {
  readonly #name: FeatureName;
  periodSecs: number;
  disabled = false;
  /** How long a run takes. */
  takesMs = 0;
  /** How often the schedule asked when it is due: a busy loop asks without end. */
  asks = 0;
  #ranMs = clock.monotonicMs();
  #running = false;

  constructor(name: FeatureName, periodSecs: number) {
    this.#name = name;
    this.periodSecs = periodSecs;
  }

  dueMs(): number | null {
    this.asks++;
    return this.disabled ? null : this.#ranMs + this.periodMs();
  }

  running(): boolean {
    return this.#running;
  }

  periodMs(): number {
    return this.periodSecs * 1000;
  }

  async run(): Promise<void> {
    this.#running = true;
    told.push(`${this.#name} begins`);
    if (this.takesMs > 0) await new Promise<void>((resolve) => clock.after(this.takesMs, resolve));
    this.#running = false;
    this.#ranMs = clock.monotonicMs();
    told.push(`${this.#name} ends`);
  }
}

function scheduled(
  memcgSecs: number,
  compactSecs: number,
): { readonly memcg: Feature; readonly compact: Feature; readonly schedule: Schedule } {
  const memcg = new Feature("memcg", memcgSecs);
  const compact = new Feature("compact", compactSecs);
  const schedule = new Schedule(clock, { memcg, compact });
  schedule.refresh();
  return { memcg, compact, schedule };
}

async function passSecs(secs: number): Promise<void> {
  for (let left = secs; left > 0; left -= 1) await clock.pass(1000);
}

function count(line: string): number {
  return told.filter((one) => one === line).length;
}

describe("two timers", () => {
  test("neither feature waits for a run of the other", async () => {
    const { compact } = scheduled(10, 15);
    compact.takesMs = 300_000;
    await passSecs(65);
    expect(told).toContain("compact begins");
    expect(told).not.toContain("compact ends");
    expect(count("memcg ends")).toBe(6);
  });

  test("a long memcg run holds up no compaction", async () => {
    const { memcg } = scheduled(10, 16);
    memcg.takesMs = 300_000;
    await passSecs(20);
    expect(told).toEqual(["memcg begins", "compact begins", "compact ends"]);
  });

  test.each([
    ["the same time", 60, 60],
    ["within the compaction's tolerance", 58, 60],
  ])("due at %s memcg goes first, and compaction right after it", async (_name, memcgSecs, compactSecs) => {
    const { memcg } = scheduled(memcgSecs, compactSecs);
    memcg.takesMs = 2500;
    await passSecs(63);
    expect(told).toEqual(["memcg begins", "memcg ends", "compact begins", "compact ends"]);
  });

  test("one wakeup serves both", async () => {
    scheduled(60, 60);
    await passSecs(60);
    expect(told).toHaveLength(4);
    expect(clock.timers).toBe(2);
    expect(clock.nextMs).toBe(60_000);
  });
});

describe("a run that somebody asked for", () => {
  test.each(["memcg", "compact"] as const)("is under way while %s falls due: no loop, no second run", async (name) => {
    const all = scheduled(10, 10);
    const other = name === "memcg" ? all.compact : all.memcg;
    other.disabled = true;
    all.schedule.refresh();
    all[name].takesMs = 30_000;
    await clock.pass(9000);
    const asked = all[name].run().finally(() => all.schedule.refresh());
    all[name].asks = 0;
    for (let ms = 0; ms < 2000; ms += 10) await clock.pass(10);
    expect(all[name].asks).toBeLessThan(5);
    expect(clock.timers).toBe(1);
    await clock.pass(28_000);
    await asked;
    expect(told).toEqual([`${name} begins`, `${name} ends`]);
    await clock.pass(0);
    expect(clock.nextMs).toBe(10_000);
  });

  test("asked for and due at once is one run", async () => {
    const { memcg, schedule } = scheduled(10, 1000);
    clock.advance(10_000);
    memcg.takesMs = 1;
    const asked = memcg.run().finally(() => schedule.refresh());
    await clock.pass(0);
    await clock.pass(1);
    await asked;
    expect(count("memcg begins")).toBe(1);
  });

  test("a compaction asked for while one waits behind memcg is the only one", async () => {
    const { memcg, compact, schedule } = scheduled(10, 10);
    memcg.takesMs = 5000;
    await passSecs(12);
    await compact.run().finally(() => schedule.refresh());
    await passSecs(4);
    expect(count("compact begins")).toBe(1);
  });
});

describe("settings that change", () => {
  test.each([
    ["a shorter period", 5, 5000],
    ["a longer period", 90, 90_000],
  ])("%s moves the timer", (_name, secs, expectedMs) => {
    const { memcg, schedule } = scheduled(60, 1000);
    memcg.periodSecs = secs;
    schedule.refresh();
    expect(clock.nextMs).toBe(expectedMs);
    expect(clock.timers).toBe(2);
  });

  test("a period that is over already begins at once", async () => {
    const { compact, schedule } = scheduled(1000, 1000);
    await clock.pass(20_000);
    compact.periodSecs = 10;
    schedule.refresh();
    await clock.pass(0);
    expect(told).toEqual(["compact begins", "compact ends"]);
  });

  test("disabled has no timer, and enabled one again", () => {
    const { memcg, compact, schedule } = scheduled(60, 60);
    memcg.disabled = true;
    schedule.refresh();
    expect(clock.timers).toBe(1);
    compact.disabled = true;
    schedule.refresh();
    expect(clock.timers).toBe(0);
    memcg.disabled = false;
    schedule.refresh();
    expect(clock.nextMs).toBe(60_000);
  });

  test("compaction disabled while it waits behind memcg does not run", async () => {
    const { memcg, compact } = scheduled(10, 10);
    memcg.takesMs = 5000;
    await passSecs(11);
    compact.disabled = true;
    await passSecs(5);
    expect(told).toEqual(["memcg begins", "memcg ends"]);
  });

  test("during a run change nothing but what comes after it", async () => {
    const { memcg, schedule } = scheduled(10, 1000);
    memcg.takesMs = 5000;
    await passSecs(11);
    memcg.periodSecs = 3;
    schedule.refresh();
    await passSecs(4);
    expect(told).toEqual(["memcg begins", "memcg ends"]);
    expect(clock.nextMs).toBe(3000);
  });
});

describe("stop", () => {
  test("leaves no timer and resolves when the run has ended", async () => {
    const { memcg, schedule } = scheduled(10, 10);
    memcg.takesMs = 5000;
    await passSecs(12);
    let stopped = false;
    const stopping = schedule.stop().then(() => (stopped = true));
    await passSecs(2);
    expect(stopped).toBe(false);
    await passSecs(2);
    await stopping;
    expect(told).toEqual(["memcg begins", "memcg ends"]);
    schedule.refresh();
    expect(clock.timers).toBe(0);
  });

  test("with nothing under way is over at once", async () => {
    const { schedule } = scheduled(10, 10);
    await schedule.stop();
    expect(clock.timers).toBe(0);
  });
});
