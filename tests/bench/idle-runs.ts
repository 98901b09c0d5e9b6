/**
 * Runs over idle cgroups on this machine, as a process of its own so that what it costs can be counted:
 *
 *     bun tests/bench/idle-runs.ts ROOT RUNS [trimmed]      trimmed: the heap is shrunk before each, as after a quiet
 *
 * Prints an IdleReport as JSON.
 */
import { heapStats } from "bun:jsc";
import { readFileSync } from "node:fs";
import { MemAgent } from "../../src/agent/mem-agent.ts";
import { parseProcessIo } from "./process-cost.ts";

export interface IdleRun {
  readonly cpuMs: number;
  /** read(2) and write(2) and the like, and the bytes that were read. */
  readonly reads: number;
  readonly writes: number;
  readonly readBytes: number;
}

export interface IdleReport {
  readonly runs: readonly IdleRun[];
  /** Live bytes of the engine's heap after the last run, with what its objects hold outside it. */
  readonly heapBytes: number;
}

/** The counters, and what it takes to read them. */
function counters(): { cpuMs: number; io: ReturnType<typeof parseProcessIo> } {
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1000, io: parseProcessIo(readFileSync("/proc/self/io", "utf8")) };
}

const [root = "", count = "10", trimmed] = process.argv.slice(2);
/** Shrinking goes on in the background. */
const shrinkMs = 100;
const agent = new MemAgent({
  kernelRoot: root,
  settings: {
    memcg: { period_secs: 86_400, period_min_secs: 86_400, period_psi_percent_limit: 100 },
    compact: { disabled: true },
  },
});
const runs: IdleRun[] = [];
agent.start();
for (let index = 0; index < Number(count); index++) {
  // The first run is due at once: a pause would let it begin by itself.
  if (trimmed !== undefined && index > 0) {
    Bun.shrink();
    await Bun.sleep(shrinkMs);
  }
  const asking = counters();
  const before = counters();
  const report = await agent.run("memcg");
  const after = counters();
  if (report.kind !== "memcg" || report.aged !== report.targets)
    throw new Error(`an odd run: ${JSON.stringify(report)}`);
  runs.push({
    cpuMs: after.cpuMs - before.cpuMs,
    reads: after.io.reads - before.io.reads - (before.io.reads - asking.io.reads),
    writes: after.io.writes - before.io.writes,
    readBytes: after.io.readBytes - before.io.readBytes - (before.io.readBytes - asking.io.readBytes),
  });
}
Bun.gc(true);
const { heapSize } = heapStats();
await agent.stop();
console.log(JSON.stringify({ runs, heapBytes: heapSize } satisfies IdleReport));
