/** The main proof: memory that nobody touches leaves the cgroup, and the host has it back. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent, hotCache, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";
import type { KernelName } from "./harness/kernels.ts";

const mib = 2 ** 20;
/** The host gets a free block about two seconds after it came free, and a part of them at a time. */
const reportedMs = 10_000;
/**
 * Parts of what was evicted that the host has by then. Where the page cache is made of single pages (6.1, 6.12) some of what
 * comes free lies in blocks smaller than the host takes, and a compaction makes them whole.
 */
const atOnce: Readonly<Record<KernelName, number>> = { "6.1": 0.55, "6.12": 0.55, "7.2": 0.9 };
const flags =
  "--memcg-period-secs 5 --memcg-spread-percent 0 " +
  "--compact-period-psi-percent-limit 100 --compact-psi-percent-limit 100 --compact-period-secs 3600";
const compacted = 0.9;

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

  await using agent = await GuestAgent.serve(guest, flags);
  // What the agent itself takes is printed, and not held against what it gives back.
  const hostBefore = guest.hostMiB();
  await guest.until(async () => (await usageBytes(guest, "cold")) < coldBefore * 0.1, {
    deadlineMs: 60_000,
    what: "nine tenths of the cold cache leave",
  });
  const free = async (): Promise<number> =>
    Number(/MemFree: +(\d+)/.exec(await guest.read("/proc/meminfo"))?.[1]) / 1024;
  const freeAfter = await free();
  // What the commands of this test take from now on is no part of it.
  const back = async (): Promise<number> => hostBefore - guest.hostMiB() + Math.max(0, freeAfter - (await free()));
  const untilBack = async (share: number, when: string): Promise<void> => {
    const wanted = async (): Promise<boolean> => (await back()) >= 512 * share;
    try {
      await guest.until(wanted, { deadlineMs: reportedMs, what: `${share * 100} % with the host ${when}` });
    } finally {
      console.log(`${guest.kernel}: ${when} ${(await back()).toFixed(0)} of 512 MiB are with the host`);
    }
  };
  await untilBack(atOnce[guest.kernel], "at once");
  if (atOnce[guest.kernel] < compacted) {
    for (let pass = 0; pass < 3; pass++) await agent.run("compact");
    await untilBack(compacted, "after compactions");
  }
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
