/** What the hot workload feels: its cgroup's stall, what came back to it, and how long it takes to read its file. */
import { scanSomeTotalUs } from "../../../src/kernel/pressure.ts";
import type { Guest, GuestProcess } from "../harness/guest.ts";

/** Counters of one moment. */
export interface Felt {
  readonly atSecs: number;
  readonly memoryStallUs: number;
  readonly ioStallUs: number;
  readonly refaultedPages: number;
  /** How many times the file was read so far. */
  readonly passes: number;
}

const folder = "/sys/fs/cgroup/hot";

/** Reads the counters. `passes` come from the workload's own output, so that they can be told apart by time later. */
export async function readFelt(guest: Guest, hot: GuestProcess, atSecs: number): Promise<Felt> {
  const [memory, io, stat, times] = await Promise.all([
    guest.read(`${folder}/memory.pressure`),
    guest.read(`${folder}/io.pressure`),
    guest.read(`${folder}/memory.stat`),
    passTimes(hot),
  ]);
  return {
    atSecs,
    memoryStallUs: stallUs(memory),
    ioStallUs: stallUs(io),
    refaultedPages: Number(/^workingset_refault_file (\d+)$/m.exec(stat)?.[1]),
    passes: times.length,
  };
}

/** Milliseconds that each reading of the file took, in order. */
export async function passTimes(hot: GuestProcess): Promise<readonly number[]> {
  return [...(await hot.stdout()).matchAll(/^pass \d+ (\d+)$/gm)].map(([, micros]) => Number(micros) / 1000);
}

function stallUs(pressure: string): number {
  const bytes = Buffer.from(`${pressure}\n`);
  return scanSomeTotalUs(bytes, bytes.length);
}
