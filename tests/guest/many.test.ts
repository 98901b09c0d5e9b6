/** Many cgroups, each with something cold: the agent goes on answering, and ends at once when it is told to. */
import { expect } from "bun:test";
import { agentFiles, firstKernel, GuestAgent, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";
import { swarmFiles } from "./harness/workload.ts";

const count = 2000;
const coldKib = 256;
const coldBytes = count * coldKib * 1024;
const flags =
  "--memcg-period-secs 8 --memcg-period-min-secs 8 --memcg-spread-percent 0 --memcg-refault-percent-limit 0 " +
  "--memcg-period-psi-percent-limit 100 --memcg-eviction-psi-percent-limit 100 --compact-disabled true";

guestTest(
  `${count} cgroups with something cold`,
  { kernels: firstKernel, memoryMiB: 1536, diskMiB: 768, timeoutMs: 400_000 },
  answered,
  async () => ({ ...(await agentFiles()), ...(await swarmFiles()) }),
);

async function answered(guest: Guest): Promise<void> {
  const filled = await guest.sh(`swarm fill /sys/fs/cgroup/many ${count} ${coldKib} /data/cold`, {
    timeoutMs: 180_000,
  });
  expect(filled).toContain(`filled ${count}`);
  await using agent = await GuestAgent.serve(guest, flags);
  const asking = await guest.spawn("exec probe ask /run/mem-agent.sock /healthz");
  await guest.until(async () => (await usageBytes(guest, "many")) < coldBytes / 2, {
    deadlineMs: 180_000,
    what: "half of it evicted",
    intervalMs: 100,
  });

  const waitsMs = (await asking.stdout()).match(/\d+/g)?.map((us) => Number(us) / 1000) ?? [];

  // In the middle of a run.
  const startMs = performance.now();
  expect(await agent.stop()).toBe(0);
  const stopMs = performance.now() - startMs;
  const worstMs = waitsMs.toSorted((left, right) => right - left).slice(0, 5);
  console.log(
    `${waitsMs.length} answers, the slowest after ${worstMs.map(Math.round).join(", ")} ms; stopped in ${Math.round(stopMs)} ms`,
  );
  expect(waitsMs.length).toBeGreaterThan(100);
  // A hundredth part of it on an idle machine; a busy one holds the guest's processors up.
  expect(worstMs[0]).toBeLessThan(1500);
  expect(stopMs).toBeLessThan(3000);
  expect(await usageBytes(guest, "many")).toBeGreaterThan(coldBytes / 20);
}
