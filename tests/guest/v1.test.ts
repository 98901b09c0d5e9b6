/** A hybrid machine: the memory controller in a hierarchy of version 1, pressure in the tree of version 2. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const cacheMiB = 128;
const hierarchy = "/sys/fs/cgroup/memory";

guestTest(
  "cold page cache leaves cgroups of version 1, with the pressure source shown",
  { memoryMiB: 768, diskMiB: 320, cgroup: "v1" },
  coldGoes,
  agentFiles,
);

async function coldGoes(guest: Guest): Promise<void> {
  // The one is known to version 2 as well and has its own pressure there; the other is judged by a parent's.
  await guest.sh("mkdir /sys/fs/cgroup/unified/known");
  for (const name of ["known", "unknown"]) await coldCache(guest, name, cacheMiB, { hierarchy });
  // Without a price there are no samples: whether a cgroup that only version 1 knows is idle cannot be known.
  const flags =
    "--memcg-period-secs 1 --memcg-spread-percent 0 --memcg-refault-percent-limit 0 --compact-disabled true";
  await using agent = await GuestAgent.serve(guest, flags);
  expect((await agent.status()).kernel.cgroup_version).toBe(1);

  for (const [name, source] of [
    ["known", "/known"],
    ["unknown", "/"],
  ] as const) {
    await guest.until(async () => (await usedMiB(guest, name)) < cacheMiB * 0.1, {
      deadlineMs: 60_000,
      what: `the cache of ${name} leave`,
    });
    const target = await agent.untilTarget(`/${name}`, ({ evicted_bytes }) => evicted_bytes.file_bytes > 0, {
      deadlineMs: 10_000,
      what: "the eviction told",
    });
    expect(target.pressure_source).toBe(source);
    expect(target.pressure_percent).not.toBeNull();
    expect(target.evicted_bytes.file_bytes).toBeGreaterThan(cacheMiB * 0.9 * mib);
  }
  expect(await guest.sh("mem-agent memcgstatus --long")).toContain("/known");
  expect(await agent.stop()).toBe(0);
}

async function usedMiB(guest: Guest, name: string): Promise<number> {
  return Number(await guest.read(`${hierarchy}/${name}/memory.usage_in_bytes`)) / mib;
}
