/** The agent inside another program: nothing but what the package exports. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemAgent } from "mem-agent";
import { MemcgKernel } from "./memcg-kernel.ts";

const lruGenPath = "sys/kernel/debug/lru_gen";

/**
 * lru_gen as an ordinary file: what is written to it stands at its beginning, in room that no reader takes for a cgroup, and
 * nothing happens to the generations behind it.
 */
class RecordingKernel implements Disposable {
  readonly #kernel = new MemcgKernel();
  readonly root = this.#kernel.root;
  readonly clock = this.#kernel.clock;

  constructor() {
    this.#kernel.add("/a", { anonPages: 0, filePages: 0 });
    const room = "\n".repeat(65_536);
    const generations = [3, 4, 5, 6].map((seq) => ` ${seq} ${(7 - seq) * 600_000} 100 ${seq === 3 ? 10_000 : 0} \n`);
    writeFileSync(
      join(this.root, lruGenPath),
      `${room}memcg     1 /\n node 0\n${generations.join("")}memcg     2 /a\n node 0\n${generations.join("")}`,
    );
  }

  /** Commands in the order in which they were written. */
  get commands(): readonly string[] {
    const text = readFileSync(join(this.root, lruGenPath), "utf8");
    return text.slice(0, text.indexOf("memcg")).match(/[+-][ \d]+/g) ?? [];
  }

  [Symbol.dispose](): void {
    this.#kernel[Symbol.dispose]();
  }
}

const settings = {
  memcg: { period_secs: 60, period_min_secs: 60, spread_percent: 0, refault_percent_limit: 0 },
  compact: { disabled: true },
} as const;

function agentOn({ root, clock }: RecordingKernel, dryRun = false): MemAgent {
  return new MemAgent({ kernelRoot: root, clock, settings, dryRun });
}

/** Writes are made on a pool of threads: waits until so many runs are over. */
async function ran(agent: MemAgent, runs: number): Promise<void> {
  for (let turn = 0; turn < 1000 && agent.memcgStatus().runs < runs; turn++) await Bun.sleep(1);
}

/** What was thrown, as a person would read it. */
function thrown(act: () => unknown): { readonly kind: string; readonly problems: readonly string[] } | null {
  try {
    act();
    return null;
  } catch (error) {
    const { kind, problems } = error as { kind: string; problems: readonly string[] };
    return { kind, problems };
  }
}

/** What a promise was rejected with; null where it was not. */
async function refusalOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => null,
    (error: unknown) => error,
  );
}

describe("new MemAgent", () => {
  test("runs by itself, and says what it does", async () => {
    using kernel = new RecordingKernel();
    const agent = agentOn(kernel);
    const heard: string[] = [];
    const quiet = agent.onEvent(({ event }) => heard.push(event));
    agent.start();
    await kernel.clock.pass(0);
    await ran(agent, 1);
    expect(kernel.commands).toEqual(["+ 1 0 6 0", "+ 2 0 6 0"]);
    expect(heard).toEqual(["target_end", "target_end", "memcg_run"]);
    quiet();
    for (let run = 2; run <= 3; run++) {
      await kernel.clock.pass(60_000);
      await ran(agent, run);
    }
    expect(kernel.commands.filter((command) => command.startsWith("-"))).toContain("- 2 0 3 0 1024");
    const { targets, runs } = agent.memcgStatus();
    expect(runs).toBe(3);
    // The file does not change: nothing was freed.
    expect(targets.map(({ path, agings, last_end }) => ({ path, agings, last_end }))).toEqual([
      { path: "/", agings: 3, last_end: "no_progress" },
      { path: "/a", agings: 3, last_end: "no_progress" },
    ]);
    expect(heard).toHaveLength(3);
    await agent.stop();
    expect(kernel.clock.nextMs).toBeNull();
  });

  test("goes on where a listener throws, and the others hear it too", async () => {
    using kernel = new RecordingKernel();
    const agent = agentOn(kernel);
    const heard: string[] = [];
    agent.onEvent(() => {
      throw new Error("not ours");
    });
    agent.onEvent(({ event }) => heard.push(event));
    agent.start();
    const report = await agent.run("memcg");
    expect(report).toMatchObject({ kind: "memcg", targets: 2 });
    expect(heard).toEqual(["target_end", "target_end", "memcg_run"]);
    await agent.stop();
  });

  test("runs when it is asked to, and evicts nothing in a dry run", async () => {
    using kernel = new RecordingKernel();
    const agent = agentOn(kernel, true);
    agent.start();
    for (let run = 0; run < 3; run++) {
      await agent.run("memcg");
      kernel.clock.advance(60_000);
    }
    const report = await agent.run("memcg");
    if (report.kind !== "memcg") throw new Error("asked for memcg");
    expect(report).toMatchObject({ dry_run: true, targets: 2, aged: 2, ends: { evicted: 2 } });
    expect(report.would_evict_bytes?.file_bytes).toBe(20_000 * 4096);
    expect(report.evicted_bytes.file_bytes).toBe(0);
    expect(agent.compactStatus()).toMatchObject({ dry_run: true, next_run_secs: null });
    expect(kernel.commands.some((command) => command.startsWith("-"))).toBe(false);
    await agent.stop();
  });

  test("compacts nothing when a dry run is asked for", async () => {
    using kernel = new RecordingKernel();
    const agent = agentOn(kernel);
    agent.start();
    const refusal = expect.objectContaining({ kind: "invalid", message: expect.stringContaining("dry run") });
    expect(await refusalOf(agent.run("compact", { dryRun: true }))).toEqual(refusal);
    expect(agent.compactStatus().runs).toBe(0);
    await agent.stop();
  });

  test("takes changes while it runs, whole or not at all", async () => {
    using kernel = new RecordingKernel();
    const agent = agentOn(kernel);
    agent.start();
    await kernel.clock.pass(0);
    await ran(agent, 1);
    expect(kernel.clock.nextMs).toBe(60_000);
    expect(agent.memcgSet({ period_secs: 7, add: [{ path: "/a", swap: true }] }).changes).toEqual([
      { key: "memcg.period_secs", from: 60, to: 7, origin: "library" },
      expect.objectContaining({ key: expect.stringContaining("/a") }),
    ]);
    expect(kernel.clock.nextMs).toBe(7_000);
    expect(agent.memcgStatus().targets[1]?.settings).toMatchObject({ period_secs: 7, swap: true });

    const refused = thrown(() => agent.memcgSet({ period_secs: 0, swappiness_max: 201, colour: "red" }));
    expect(refused).toMatchObject({ kind: "invalid", problems: { length: 3 } });
    expect(agent.settings.memcg.period_secs).toBe(7);

    expect(agent.compactSet({ order: 4 }).changes).toHaveLength(1);
    expect(agent.compactStatus()).toMatchObject({ disabled: true, settings: { order: 4 } });
    await agent.stop();
  });

  test("is one agent: started once, and of no use before and after", async () => {
    using kernel = new RecordingKernel();
    const agent = agentOn(kernel);
    expect(await refusalOf(agent.run("memcg"))).toMatchObject({ kind: "missing" });
    agent.start();
    expect(thrown(() => agent.start())).toMatchObject({ kind: "busy" });
    expect(await refusalOf(agent.run("compact"))).toMatchObject({ kind: "invalid" });
    await agent.stop();
    expect(await refusalOf(agent.run("memcg"))).toMatchObject({ kind: "missing" });
    expect(thrown(() => agent.start())).toMatchObject({ kind: "busy" });
  });

  test("says everything that the machine lacks", () => {
    const root = mkdtempSync(join(tmpdir(), "mem-agent-nothing-"));
    const refused = thrown(() => new MemAgent({ kernelRoot: root }).start());
    rmSync(root, { recursive: true });
    expect(refused?.kind).toBe("missing");
    const text = refused?.problems.join("\n") ?? "";
    for (const what of ["privileges", "memory cgroups", "pressure", "multi-gen LRU"]) expect(text).toContain(what);
  });

  test("needs nothing for what is disabled", async () => {
    const root = mkdtempSync(join(tmpdir(), "mem-agent-nothing-"));
    const agent = new MemAgent({
      kernelRoot: root,
      settings: { memcg: { disabled: true }, compact: { disabled: true } },
    });
    agent.start();
    expect(agent.memcgStatus()).toMatchObject({ disabled: true, targets: [], next_run_secs: null });
    await agent.stop();
    rmSync(root, { recursive: true });
  });
});
