/**
 * Runs over cgroups that all have something cold, as a process of its own, and how long each holds the event loop:
 *
 *     bun tests/bench/cold-runs.ts ROOT RUNS
 *
 * The tree's cold pages stay when they are evicted: all that a run reads and decides is in it, and none of the kernel's work.
 * Prints the longest time of each run that nobody else had a turn, in milliseconds, as a JSON array.
 */
import { MemAgent } from "../../src/agent/mem-agent.ts";

const [root = "", count = "10"] = process.argv.slice(2);
const agent = new MemAgent({
  kernelRoot: root,
  settings: {
    memcg: {
      period_secs: 86_400,
      period_min_secs: 86_400,
      period_psi_percent_limit: 100,
      eviction_psi_percent_limit: 100,
      eviction_run_aging_count_min: 0,
    },
    compact: { disabled: true },
  },
});
const holdsMs: number[] = [];
agent.start();
for (let index = 0; index < Number(count); index++) {
  let [lastMs, longestMs] = [performance.now(), 0];
  const turn = setInterval(() => {
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  }, 1);
  const report = await agent.run("memcg");
  clearInterval(turn);
  if (report.kind !== "memcg" || report.batches === 0) throw new Error(`an odd run: ${JSON.stringify(report)}`);
  holdsMs.push(Math.max(longestMs, performance.now() - lastMs));
}
await agent.stop();
console.log(JSON.stringify(holdsMs));
