/** The main proof: memory that nobody touches leaves the cgroup, and the host has it back. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent, hotCache, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;

guestTest(
  "cold page cache goes back to the host, a hot file stays",
  { memoryMiB: 1536, diskMiB: 900 },
  coldGoesHotStays,
  agentFiles,
);

async function coldGoesHotStays(guest: Guest): Promise<void> {
  await hotCache(guest, "hot", 128);
  await coldCache(guest, "cold", 512);
  const coldBefore = await usageBytes(guest, "cold");
  const hotBefore = await usageBytes(guest, "hot");
  expect(coldBefore).toBeGreaterThan(512 * mib);
  const hostWithout = guest.hostMiB();

  await using agent = await GuestAgent.serve(guest, "--memcg-period-secs 5 --memcg-spread-percent 0");
  // What the agent itself takes is printed, and not held against what it gives back.
  const hostBefore = guest.hostMiB();
  await guest.until(async () => (await usageBytes(guest, "cold")) < coldBefore * 0.1, {
    deadlineMs: 60_000,
    what: "nine tenths of the cold cache leave",
  });
  let hostLeast = hostBefore;
  await guest
    .until(
      () => {
        hostLeast = Math.min(hostLeast, guest.hostMiB());
        return hostBefore - hostLeast > 512 * 0.7;
      },
      { deadlineMs: 60_000, what: "seven tenths of it go back to the host" },
    )
    .finally(() => console.log(`${guest.kernel}: host ${hostBefore.toFixed(0)} to ${hostLeast.toFixed(0)} MiB`));
  expect(await usageBytes(guest, "hot")).toBeGreaterThan(hotBefore * 0.9);

  const { memcg, own } = await agent.status();
  const target = await agent.target("/cold");
  expect(target.evicted_bytes.file_bytes).toBeGreaterThan(512 * 0.9 * mib);
  expect(target.evicted_bytes.file_bytes).toBeLessThan(512 * 1.1 * mib);
  console.log(
    `${guest.kernel}: host ${hostWithout.toFixed(0)}, with agent ${hostBefore.toFixed(0)} to ${guest.hostMiB().toFixed(0)} MiB, ` +
      `evicted ${(memcg.evicted_bytes.file_bytes / mib).toFixed(0)} MiB, ` +
      `agent ${(own.cpu_user_secs + own.cpu_system_secs).toFixed(2)} s CPU, ` +
      `${((own.private_bytes ?? 0) / mib).toFixed(1)} MiB private`,
  );
  expect(await agent.stop()).toBe(0);
}
