/**
 * Eviction of 1 GiB of cold page cache, alone and beside 1,000 idle cgroups, against one unguarded write of everything,
 * in turn and in the same guest; and against the strategy of evicting one step and reading everything again, for a
 * part of the amount.
 */
import { coldCache, GuestAgent } from "../guest/harness/agent.ts";
import type { Guest } from "../guest/harness/guest.ts";
import type { KernelName } from "../guest/harness/kernels.ts";
import type { MemcgRunReport } from "../../src/agent/status.ts";
import { bootBench, makeIdle, snapshot } from "./bench-guest.ts";
import type { Figure } from "./figures.ts";
import type { Bench } from "./programs.ts";
import type { ReferenceRun } from "./reference.ts";

const coldMib = 1024;
const rounds = 3;
/** Stepping through all of it beside 1,000 cgroups takes minutes: this share is measured, and multiplied. */
const stepShare = 1 / 32;
const pagesPerMib = 256;
const agings = 4;
/** The agent trims itself in it, whatever else took time before. */
const quietMs = 25_000;
/** As in reference.ts. */
const poolWrites = 200;

interface Eviction {
  readonly wallSecs: number;
  readonly cpuSecs: number;
  readonly writes: number;
  readonly readBytes: number;
}

export async function evictFigures(bench: Bench, kernel: KernelName): Promise<Figure[]> {
  await using guest = await bootBench(bench, { kernel, memoryMiB: 2048, diskMiB: coldMib + 100 });
  await coldCache(guest, "cold", coldMib);
  // Aged from outside, so that its first run evicts and every run has the same to do.
  const flags =
    "--memcg-period-secs 86400 --memcg-period-min-secs 86400 --memcg-eviction-run-aging-count-min 0 --memcg-refault-percent-limit 0 " +
    "--memcg-period-psi-percent-limit 100 --memcg-eviction-psi-percent-limit 99 " +
    "--memcg-disabled true --memcg-cgroups path=/cold,disabled=false path=/idle/**,disabled=false";
  await using agent = await GuestAgent.serve(guest, flags);
  const alone = await evictions(guest, agent, "alone");
  await makeIdle(guest, 1000);
  await agent.run("memcg");
  return [...alone, ...(await evictions(guest, agent, "beside 1,000 idle"))];
}

async function evictions(guest: Guest, agent: GuestAgent, where: string): Promise<Figure[]> {
  const [agents, rested, floors, batches]: [Eviction[], Eviction[], Eviction[], Eviction[]] = [[], [], [], []];
  for (let round = 0; round < rounds; round++) {
    await makeCold(guest);
    floors.push(await byReference(guest, "unguarded"));
    await makeCold(guest);
    batches.push(await byReference(guest, "batches"));
    await makeCold(guest);
    await Bun.sleep(quietMs);
    rested.push(await byAgent(guest, agent));
    await makeCold(guest);
    agents.push(await byAgent(guest, agent));
  }
  await makeCold(guest);
  const stepPages = coldMib * pagesPerMib * stepShare;
  const stepped = await byReference(guest, "step", stepPages);
  const figure = (
    name: string,
    unit: Figure["unit"],
    of: keyof Eviction,
    limited: boolean,
    by: readonly Eviction[] = agents,
  ): Figure => ({
    part: "evict",
    name: `1 GiB ${where}: ${name}`,
    unit,
    runs: by.map((run) => run[of]),
    reference: { name: "one write", runs: floors.map((run) => run[of]) },
    ...(limited ? { limit: { of: "ratio", max: 1.2 } } : {}),
  });
  const against = (name: string, unit: Figure["unit"], of: keyof Eviction): Figure => ({
    part: "evict",
    name: `1 GiB ${where}: ${name}`,
    unit,
    runs: agents.map((run) => run[of]),
    reference: {
      name: `step by step, ${Math.round(1 / stepShare)} x 1/${Math.round(1 / stepShare)}`,
      runs: [stepped[of] / stepShare],
    },
  });
  const pool = await byReference(guest, "pool");
  const woken = await byReference(guest, "wakes");
  return [
    {
      part: "evict",
      name: `${where}: a write on the pool that does nothing, wall`,
      unit: "ms",
      runs: [(pool.wallSecs * 1000) / poolWrites],
    },
    { part: "evict", name: `${where}: 30 wake-ups that do nothing, CPU`, unit: "s", runs: [woken.cpuSecs] },
    figure("wall", "s", "wallSecs", true),
    figure("CPU", "s", "cpuSecs", true),
    figure("wall, first run after a quiet", "s", "wallSecs", true, rested),
    figure("CPU, first run after a quiet", "s", "cpuSecs", true, rested),
    figure("wall, batches with nothing between", "s", "wallSecs", false, batches),
    figure("CPU, batches with nothing between", "s", "cpuSecs", false, batches),
    figure("writes", "count", "writes", false),
    against("wall", "s", "wallSecs"),
    against("CPU", "s", "cpuSecs"),
    against("writes", "count", "writes"),
    against("bytes read", "bytes", "readBytes"),
  ];
}

/** Brings the file back into the page cache and ages it into the oldest generation. */
async function makeCold(guest: Guest): Promise<void> {
  await guest.sh(
    "sh -c 'echo $$ >/sys/fs/cgroup/cold/cgroup.procs && exec dd if=/data/cold of=/dev/null bs=1M 2>/dev/null'",
    { timeoutMs: 180_000 },
  );
  const generations = JSON.parse(await guest.sh(`reference age /cold ${agings}`)) as { filePages: number }[];
  const coldPages = generations[0]?.filePages ?? 0;
  if (generations.length < 4 || coldPages < coldMib * pagesPerMib * 0.95) {
    throw new Error(`the cold file is not cold: ${JSON.stringify(generations)}`);
  }
}

async function byAgent(guest: Guest, agent: GuestAgent): Promise<Eviction> {
  const before = await snapshot(guest, agent.process.pid);
  const report = (await agent.run("memcg")) as MemcgRunReport;
  const after = await snapshot(guest, agent.process.pid);
  const evictedMib = report.evicted_bytes.file_bytes / 2 ** 20;
  if (evictedMib < coldMib * 0.95)
    throw new Error(`the agent evicted ${evictedMib} MiB only: ${JSON.stringify(report)}`);
  return {
    wallSecs: report.wall_secs,
    cpuSecs: report.cpu_secs,
    writes: after.writes - before.writes,
    readBytes: after.readBytes - before.readBytes,
  };
}

async function byReference(
  guest: Guest,
  how: "unguarded" | "batches" | "step" | "pool" | "wakes",
  pages = 0,
): Promise<Eviction> {
  const text = await guest.sh(`reference ${how} /cold ${pages}`, { timeoutMs: 180_000 });
  const run = JSON.parse(text) as ReferenceRun;
  return { wallSecs: run.wall_secs, cpuSecs: run.cpu_secs, writes: run.writes, readBytes: run.read_bytes };
}
