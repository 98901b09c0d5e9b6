/** The agent at rest: ten runs over 1,000 idle cgroups, time to settle, and then a minute in which nothing is due. */
import { GuestAgent } from "../guest/harness/agent.ts";
import type { KernelName } from "../guest/harness/kernels.ts";
import type { MemcgRunReport } from "../../src/agent/status.ts";
import { bootBench, makeIdle, snapshot } from "./bench-guest.ts";
import type { Figure } from "./figures.ts";
import type { Bench } from "./programs.ts";

const runs = 10;
/** Trimming, and two of the looks that come once a minute: the first ones read from the disk what the start dropped. */
const settleMs = 150_000;
const watchMs = 60_000;

export async function restFigures(bench: Bench, kernel: KernelName): Promise<Figure[]> {
  await using guest = await bootBench(bench, { kernel, memoryMiB: 1024 });
  await makeIdle(guest, 1000);
  await using agent = await GuestAgent.serve(
    guest,
    "--memcg-period-secs 86400 --memcg-period-min-secs 86400 --compact-period-secs 86400",
  );
  const reports: MemcgRunReport[] = [];
  for (let index = 0; index < runs; index++) reports.push((await agent.run("memcg")) as MemcgRunReport);
  const busy = await snapshot(guest, agent.process.pid);
  await Bun.sleep(settleMs);
  const before = await snapshot(guest, agent.process.pid);
  await Bun.sleep(watchMs);
  const after = await snapshot(guest, agent.process.pid);
  return [
    {
      part: "rest",
      name: "run over 1,000 idle cgroups in the guest: CPU",
      unit: "s",
      runs: reports.map((r) => r.cpu_secs),
    },
    figure("RssAnon right after ten runs", "MiB", busy.rssAnonMib),
    figure("RssFile right after ten runs", "MiB", busy.rssFileMib),
    figure("RssAnon at rest", "MiB", after.rssAnonMib, 4),
    figure("RssFile at rest", "MiB", after.rssFileMib),
    figure("resident at rest", "MiB", after.rssAnonMib + after.rssFileMib, 16),
    figure("Pss at rest", "MiB", after.pssMib),
    figure("threads", "count", after.threads),
    figure("wakeups in 60 s", "count", after.wakeups - before.wakeups, 2),
    figure("reads and writes in 60 s", "count", after.reads + after.writes - before.reads - before.writes),
    figure("CPU in 60 s", "ms", (after.cpuSecs - before.cpuSecs) * 1000),
  ];
}

function figure(name: string, unit: Figure["unit"], value: number, max: number | null = null): Figure {
  return { part: "rest", name, unit, runs: [value], ...(max === null ? {} : { limit: { of: "value", max } }) };
}
