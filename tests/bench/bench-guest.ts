/** What the parts in a guest share: idle cgroups, and the agent's counters as the guest's kernel keeps them. */
import { binary as builtBinary, agentFiles } from "../guest/harness/agent.ts";
import { Guest, type GuestOptions } from "../guest/harness/guest.ts";
import { parseCpuSecs, parseMib, parseProcessIo, sumOf, type ProcessIo } from "./process-cost.ts";
import type { Bench } from "./programs.ts";

export async function bootBench(bench: Bench, options: GuestOptions): Promise<Guest> {
  const files =
    bench.binary === builtBinary ? await agentFiles() : { ...(await agentFiles()), "/usr/bin/mem-agent": bench.binary };
  return Guest.boot({ ...options, files: { ...files, "/usr/bin/reference": bench.reference } });
}

/** Makes sure that so many idle cgroups are there. */
export async function makeIdle(guest: Guest, count: number): Promise<void> {
  await guest.sh(
    `cd /sys/fs/cgroup && mkdir -p idle && echo +memory >idle/cgroup.subtree_control && cd idle && ` +
      `seq 1 ${count} | sed s,^,pod, | xargs mkdir -p`,
    { timeoutMs: 240_000 },
  );
}

export interface Snapshot extends ProcessIo {
  readonly cpuSecs: number;
  readonly rssAnonMib: number;
  readonly rssFileMib: number;
  readonly pssMib: number;
  readonly threads: number;
  /** Times that any of its threads woke up and slept again. */
  readonly wakeups: number;
}

export async function snapshot(guest: Guest, pid: number): Promise<Snapshot> {
  const [io = "", stat = "", status = "", rollup = "", tasks = ""] = (
    await guest.sh(
      `cd /proc/${pid} && for file in io stat status smaps_rollup; do cat $file; echo ======; done; cat task/*/status`,
    )
  ).split("======\n");
  return {
    ...parseProcessIo(io),
    cpuSecs: parseCpuSecs(stat),
    rssAnonMib: parseMib(status, "RssAnon"),
    rssFileMib: parseMib(status, "RssFile"),
    pssMib: parseMib(rollup, "Pss"),
    threads: sumOf(status, "Threads"),
    wakeups: sumOf(tasks, "voluntary_ctxt_switches"),
  };
}
