/** Anonymous memory: left alone unless swap is allowed, and the same as before when it comes back from there. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent, HeldMemory, joining, swapBytes, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const heldMiB = 64;
const busyMiB = 24;
const remadeMiB = 32;

guestTest(
  "anonymous memory stays without swap; with it the cold part goes there and comes back intact",
  { memoryMiB: 640, swapMiB: 192, diskMiB: 128 },
  coldAnonymousMemory,
  agentFiles,
);

async function coldAnonymousMemory(guest: Guest): Promise<void> {
  await remade(guest);
  const held = await HeldMemory.hold(guest, "held", heldMiB);
  await guest.spawn(`${joining("busy")} && exec workload touch ${busyMiB} 0 >/dev/null`);
  const flags = "--memcg-period-secs 1 --memcg-spread-percent 0 --compact-disabled true";
  await using agent = await GuestAgent.serve(guest, flags);

  const without = await agent.untilTarget("/held", ({ agings }) => agings >= 6, {
    deadlineMs: 60_000,
    what: "six agings without swap",
  });
  expect(without.evicted_bytes.anon_bytes).toBe(0);
  expect(await swapBytes(guest, "held")).toBe(0);
  expect(await usageBytes(guest, "held")).toBeGreaterThan(heldMiB * mib);

  const again = await agent.target("/remade");
  expect(again.evicted_bytes.file_bytes).toBeGreaterThan(remadeMiB * 0.9 * mib);
  expect(again.evicted_bytes.file_bytes).toBeLessThan(remadeMiB * 1.1 * mib);

  await guest.sh("mem-agent memcgset --memcg-swap true");
  await guest.until(async () => (await swapBytes(guest, "held")) > heldMiB * 0.9 * mib, {
    deadlineMs: 60_000,
    what: "nine tenths of the held memory go to swap",
  });
  const evicted = await agent.untilTarget("/held", ({ ends }) => ends.evicted > without.ends.evicted, {
    deadlineMs: 30_000,
    what: "the eviction end",
  });
  expect(evicted.evicted_bytes.anon_bytes).toBeGreaterThan(heldMiB * 0.9 * mib);
  expect(evicted.evicted_bytes.anon_bytes).toBeLessThan(heldMiB * 1.1 * mib);
  expect(await swapBytes(guest, "busy")).toBeLessThan(busyMiB * 0.1 * mib);

  expect(await held.verify()).toBe("verified");
  expect(await swapBytes(guest, "held")).toBeLessThan(heldMiB * 0.5 * mib);
  expect(await agent.stop()).toBe(0);
}

/** A cgroup beside a dead one of its name, whose page cache the kernel still lists. */
async function remade(guest: Guest): Promise<void> {
  await coldCache(guest, "remade", remadeMiB, { file: "before" });
  await guest.sh("rmdir /sys/fs/cgroup/remade");
  await coldCache(guest, "remade", remadeMiB, { file: "after" });
}
