/** What a hot workload feels of the agent at its side: time for a pass over its file, stall, and pages that came back. */
import { GuestAgent, coldCache, hotCache } from "../guest/harness/agent.ts";
import type { Guest, GuestProcess } from "../guest/harness/guest.ts";
import type { KernelName } from "../guest/harness/kernels.ts";
import { bootBench } from "./bench-guest.ts";
import type { Figure } from "./figures.ts";
import type { Bench } from "./programs.ts";

const hotMib = 128;
const coldMib = 512;
const windowMs = 15_000;

interface Felt {
  readonly passMs: readonly number[];
  readonly stallMs: number;
  readonly refaults: number;
}

/** Once without and once with an agent that runs every second, evicts 512 MiB beside the workload and goes on running. */
export async function hotFigures(bench: Bench, kernel: KernelName): Promise<Figure[]> {
  await using guest = await bootBench(bench, { kernel, memoryMiB: 1280, diskMiB: hotMib + coldMib + 100 });
  const workload = await hotCache(guest, "hot", hotMib);
  await coldCache(guest, "cold", coldMib);
  const without = await feel(guest, workload);
  await using agent = await GuestAgent.serve(guest, "--memcg-period-secs 1 --memcg-spread-percent 0");
  const felt = await feel(guest, workload);
  const { memcg } = await agent.status();
  if (memcg.evicted_bytes.file_bytes < coldMib * 2 ** 19)
    throw new Error("the agent did not evict beside the workload");
  const name = "without the agent";
  const figure = (
    what: string,
    unit: Figure["unit"],
    runs: readonly number[],
    reference: readonly number[],
  ): Figure => ({
    part: "hot",
    name: `${what}, while 512 MiB beside it are evicted`,
    unit,
    runs,
    reference: { name, runs: reference },
  });
  return [
    figure(`a pass over a hot file of ${hotMib} MiB`, "ms", felt.passMs, without.passMs),
    figure("stall of the hot cgroup in 15 s", "ms", [felt.stallMs], [without.stallMs]),
    figure("refaults of the hot cgroup in 15 s", "count", [felt.refaults], [without.refaults]),
  ];
}

async function feel(guest: Guest, workload: GuestProcess): Promise<Felt> {
  const passes = async (): Promise<number[]> =>
    [...(await workload.stdout()).matchAll(/^pass \d+ (\d+)$/gm)].map((match) => Number(match[1]) / 1000);
  const before = await counters(guest);
  const passesBefore = (await passes()).length;
  await Bun.sleep(windowMs);
  const after = await counters(guest);
  return {
    passMs: (await passes()).slice(passesBefore),
    stallMs: after.stallMs - before.stallMs,
    refaults: after.refaults - before.refaults,
  };
}

async function counters(guest: Guest): Promise<{ stallMs: number; refaults: number }> {
  const text = await guest.sh("cd /sys/fs/cgroup/hot && cat memory.pressure io.pressure memory.stat");
  const totals = [...text.matchAll(/^some .*total=(\d+)$/gm)].map((match) => Number(match[1]) / 1000);
  return { stallMs: Math.max(...totals), refaults: Number(/^workingset_refault_file (\d+)$/m.exec(text)?.[1]) };
}
