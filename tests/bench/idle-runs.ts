/**
 * Runs over idle cgroups on this machine, as a process of its own so that its CPU time and system calls can be counted:
 *
 *     bun tests/bench/idle-runs.ts ROOT RUNS
 *
 * Prints the CPU milliseconds of each run as JSON.
 */
import { MemAgent } from "../../src/agent/mem-agent.ts";

const [root = "", runs = "10"] = process.argv.slice(2);
const agent = new MemAgent({
  kernelRoot: root,
  settings: { memcg: { period_secs: 86_400, period_psi_percent_limit: 100 }, compact: { disabled: true } },
});
const cpuMs: number[] = [];
agent.start();
for (let index = 0; index < Number(runs); index++) {
  const before = process.cpuUsage();
  const report = await agent.run("memcg");
  const { user, system } = process.cpuUsage(before);
  if (report.kind !== "memcg" || report.aged !== report.targets)
    throw new Error(`an odd run: ${JSON.stringify(report)}`);
  cpuMs.push((user + system) / 1000);
}
await agent.stop();
console.log(JSON.stringify(cpuMs));
