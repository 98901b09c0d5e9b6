/** What an answer reads of the kernel: every file that is opened below a daemon's kernel root, counted. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSettings } from "../../../src/agent/daemon/config-file.ts";
import { Daemon } from "../../../src/agent/daemon/daemon.ts";
import { answers } from "../../../src/api/answers.ts";
import { MetricsText } from "../../../src/api/metrics.ts";
import { Log } from "../../../src/base/log.ts";
import { CompactKernel } from "./compact-kernel.ts";
import { MemcgKernel } from "./memcg-kernel.ts";

let kernel: MemcgKernel;
let daemon: Daemon;
let own: string;

beforeEach(async () => {
  own = mkdtempSync(join(tmpdir(), "mem-agent-answers-"));
  kernel = new MemcgKernel();
  using compact = new CompactKernel();
  for (const part of ["proc/buddyinfo", "proc/pagetypeinfo", "proc/sys/vm", "proc/vmstat", "sys/module"])
    cpSync(join(compact.root, part), join(kernel.root, part), { recursive: true });
  const { clock, root } = kernel;
  const live = await readSettings(join(own, "agent.toml"), { log: { file: join(own, "log") } });
  const log = new Log({ ...live.settings.log, descriptor: 2, journal: false, clock });
  const file = join(own, "agent.toml");
  daemon = new Daemon({ version: "1", file, dryRun: false, kernelRoot: root, clock, log }, live);
  daemon.start();
  await clock.pass(60_000);
  daemon.status();
});

afterEach(async () => {
  await daemon.stop();
  kernel[Symbol.dispose]();
  rmSync(own, { recursive: true });
});

/** What is opened, looked at or listed below the root while this is answered, in order. */
async function readsOf(answer: () => unknown): Promise<readonly string[]> {
  const reads: string[] = [];
  const watched = (["openSync", "readdirSync", "statSync", "lstatSync", "accessSync"] as const).map((name) => {
    const real = fs[name] as (...words: unknown[]) => unknown;
    return spyOn(fs, name).mockImplementation((...words: unknown[]) => {
      const path = String(words[0]);
      if (path.startsWith(`${kernel.root}/`)) reads.push(path.slice(kernel.root.length));
      return real(...words) as never;
    });
  });
  try {
    await answer();
  } finally {
    for (const spy of watched) spy.mockRestore();
  }
  return reads;
}

const question = { body: null, save: false, metrics: async () => new MetricsText() };

/** What only tells whether the machine offers what is needed. */
const prerequisites =
  /pagetypeinfo|lru_gen\/enabled|self\/status|mountinfo|filesystems|pressure|osrelease|lockdown|memory\.reclaim|compact_memory|config/;

describe("answers", () => {
  test("are recorded: a first look reads the prerequisites", async () => {
    const live = await readSettings(join(own, "agent.toml"), { log: { file: join(own, "log2") } });
    const { clock, root } = kernel;
    const log = new Log({ ...live.settings.log, descriptor: 2, journal: false, clock });
    const fresh = new Daemon(
      { version: "1", file: join(own, "x.toml"), dryRun: false, kernelRoot: root, clock, log },
      live,
    );
    expect((await readsOf(() => fresh.status())).filter((path) => prerequisites.test(path)).length).toBeGreaterThan(5);
  });

  test("/healthz reads nothing", async () => {
    expect(await readsOf(() => answers.health(daemon, question))).toEqual([]);
  });

  test("status reads what is free and what the machine is called, and no more", async () => {
    expect(await readsOf(() => answers.status(daemon, question))).toEqual([
      "/proc/buddyinfo",
      "/proc/sys/kernel/hostname",
    ]);
  });

  test("/metrics reads what is free and lru_gen, and no more", async () => {
    const reads = await readsOf(() => answers.metrics(daemon, question));
    expect(reads.filter((path) => prerequisites.test(path))).toEqual([]);
    expect(reads.length).toBeLessThan(6);
  });

  test("compactstatus, which a person asks for, counts by type", async () => {
    expect(await readsOf(() => answers.compactStatus(daemon, question))).toContain("/proc/pagetypeinfo");
  });

  test("the mask is as the last run found it", async () => {
    expect(daemon.status().kernel.lru_gen_mask).toBe("0x0007");
    kernel.switchLruGen(0);
    await daemon.run("memcg", { dryRun: true }).catch(() => null);
    expect(daemon.status().kernel.lru_gen_mask).toBe("0x0000");
  });
});
