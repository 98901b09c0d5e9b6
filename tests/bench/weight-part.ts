/**
 * What the guest pays for the agent: alone in a cgroup, started as after a boot. Beside ten cgroups a minute after the
 * start and after ten runs, then beside 1,000, and what a control command leaves.
 */
import type { KernelName } from "../guest/harness/kernels.ts";
import { bootBench, makeIdle } from "./bench-guest.ts";
import type { Figure } from "./figures.ts";
import { agentCgroup, askAside, chargeOf, commandCost, peakMib, prepareAlone, serveAlone } from "./guest-charge.ts";
import type { Bench } from "./programs.ts";

const starts = 3;
const runs = 10;
/** Longer than the agent waits before it gives back. */
const quietMs = 45_000;

export async function weightFigures(bench: Bench, kernel: KernelName): Promise<Figure[]> {
  const rows = new Map<string, { readonly max: number | null; readonly runs: number[] }>();
  const note = (name: string, mib: number, max: number | null = null): void => {
    const row = rows.get(name) ?? { max, runs: [] };
    row.runs.push(mib);
    rows.set(name, row);
  };
  for (let start = 0; start < starts; start++) await weighOnce(bench, kernel, note);
  return [...rows].map(([name, row]): Figure => {
    const limit = row.max === null ? {} : { limit: { of: "value" as const, max: row.max } };
    return { part: "weight", name: `${kernel}: ${name}`, unit: "MiB", runs: row.runs, ...limit };
  });
}

type Note = (name: string, mib: number, max?: number) => void;

/** Notes each figure with what SPEC 9 allows. */
async function weighOnce(bench: Bench, kernel: KernelName, note: Note): Promise<void> {
  await using guest = await bootBench(bench, { kernel, memoryMiB: 768 });
  await makeIdle(guest, 10);
  await prepareAlone(guest);
  const freeMib = (await chargeOf(guest, agentCgroup)).memFreeMib;
  const { pid } = await serveAlone(guest, "--memcg-period-secs 86400 --compact-period-secs 86400");
  const startMs = performance.now();
  const at = async (ms: number): Promise<ReturnType<typeof chargeOf>> => {
    await Bun.sleep(Math.max(0, ms - (performance.now() - startMs)));
    return await chargeOf(guest, agentCgroup, pid);
  };
  note("5 s after the start", (await at(5000)).currentMib, 32);
  note("the highest until then", await peakMib(guest));
  const rest = await at(60_000);
  note("a minute after the start", rest.currentMib, 12);
  note("of that anonymous", rest.anonMib);
  note("of that files", rest.fileMib);
  note("what MemFree fell by until then", freeMib - rest.memFreeMib);
  note("read from the disk until then", rest.readMib);
  for (let run = 0; run < runs; run++) await askAside(guest, "run memcg --json");
  note("right after ten runs", (await chargeOf(guest, agentCgroup)).currentMib, 14);
  const command = await commandCost(guest, "status", quietMs);
  note("left by status", command.leftMib, 8);
  note("read from the disk by status", command.readMib);
  await makeIdle(guest, 1000);
  await askAside(guest, "run memcg --json");
  await Bun.sleep(quietMs);
  note("beside 1,000 cgroups", (await chargeOf(guest, agentCgroup)).currentMib, 17);
}
