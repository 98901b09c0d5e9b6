/** Ended units: what cgroups that were removed left behind goes, and what lives beside them stays. */
import { expect } from "bun:test";
import type { EndedStatus } from "../../src/agent/status.ts";
import { agentFiles, coldCache, GuestAgent, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const cgroups = "/sys/fs/cgroup";
const unitMiB = 60;
const units = 10;
const living = ["a", "b"] as const;
/** Nothing of the living is evicted for itself, so that all they lose is lost to the units beside them. */
const flags = "--memcg-period-secs 10 --memcg-period-min-secs 10 --memcg-eviction-run-aging-count-min 1000";

/** Below a slice, two units that live and ten that ended, each with a file of its own in the cache. */
async function endUnits(guest: Guest, count: number): Promise<void> {
  const control = `echo +memory >${cgroups}/cgroup.subtree_control; echo +memory >${cgroups}/slice/cgroup.subtree_control`;
  await guest.sh(`mkdir ${cgroups}/slice; ${control}`);
  for (const name of living) await coldCache(guest, `slice/${name}`, unitMiB, { file: name });
  for (let unit = 0; unit < count; unit++) {
    await coldCache(guest, `slice/unit${unit % 2}`, unitMiB, { file: `unit${unit}` });
    await guest.sh(`rmdir ${cgroups}/slice/unit${unit % 2}`);
  }
}

async function endedBelow(agent: GuestAgent, path: string): Promise<EndedStatus | null> {
  return (await agent.memcg()).ended.find((candidate) => candidate.path === path) ?? null;
}

guestTest(
  "the cache of ten ended units goes, and two living ones beside them keep theirs",
  { memoryMiB: 1536, diskMiB: 1000, timeoutMs: 400_000 },
  async (guest) => {
    await endUnits(guest, units);
    await using agent = await GuestAgent.serve(guest, flags);
    const before = await usageBytes(guest, "slice");
    const first = await guest.until(async () => ((await agent.memcg()).runs > 0 ? { is: true } : null), {
      deadlineMs: 60_000,
      what: "a run",
    });
    expect(first.is).toBe(true);
    const found = await endedBelow(agent, "/slice");
    if (found === null) {
      // From Linux 7.x on the parent has such pages: they are cold like its own.
      expect(guest.kernel).toBe("7.2");
      const parent = await agent.target("/slice");
      expect(parent.size_bytes).toBeGreaterThan(0.9 * units * unitMiB * mib);
      await guest.sh("mem-agent memcgset --memcg-add path=/slice,no-subdir=true,eviction-run-aging-count-min=3");
      const after = await agent.untilTarget("/slice", ({ size_bytes }) => size_bytes < 0.1 * units * unitMiB * mib, {
        deadlineMs: 150_000,
        what: "the parent's own pages evicted",
        intervalMs: 2000,
      });
      const kept = await Promise.all(living.map((name) => usageBytes(guest, `slice/${name}`)));
      console.log(
        `7.2: nothing ends apart; /slice itself had ${(parent.size_bytes / mib).toFixed(0)} MiB and has ` +
          `${(after.size_bytes / mib).toFixed(1)}; living ones have ${kept.map((bytes) => (bytes / mib).toFixed(1)).join(" and ")}`,
      );
      for (const bytes of kept) expect(bytes).toBeGreaterThan(0.94 * unitMiB * mib);
      expect(await agent.stop()).toBe(0);
      return;
    }
    expect(found.file_bytes).toBeGreaterThan(0.95 * units * unitMiB * mib);
    const gone = await guest.until(
      async () => {
        const now = await endedBelow(agent, "/slice");
        return now !== null && now.file_bytes < 0.02 * units * unitMiB * mib ? now : null;
      },
      { deadlineMs: 150_000, what: "the ended units' cache evicted", intervalMs: 2000 },
    );
    const kept = await Promise.all(living.map((name) => usageBytes(guest, `slice/${name}`)));
    const after = await usageBytes(guest, "slice");
    console.log(
      `${guest.kernel}: of ${(before / mib).toFixed(0)} MiB below the slice ${(after / mib).toFixed(0)} are left; ` +
        `evicted ${(gone.evicted_bytes / mib).toFixed(1)} MiB in ${gone.evictions} runs (${gone.last_end}), ` +
        `living ones lost ${(gone.lost_bytes / mib).toFixed(1)} MiB and have ${kept.map((bytes) => (bytes / mib).toFixed(1)).join(" and ")}`,
    );
    for (const bytes of kept) expect(bytes).toBeGreaterThan(0.94 * unitMiB * mib);
    expect(gone.evicted_bytes).toBeGreaterThan(0.9 * units * unitMiB * mib);
    expect(gone.lost_bytes).toBeLessThan(gone.evicted_bytes / 16);
    expect(await guest.sh("mem-agent memcgstatus")).toContain("of /slice: ");
    expect(await guest.sh("mem-agent metrics")).toContain('mem_agent_ended_evicted_bytes_total{cgroup="/slice"} ');
    expect(await agent.stop()).toBe(0);
  },
  agentFiles,
);

guestTest(
  "with swap, ended units are left where the kernel cannot be asked for file pages alone, and status says so",
  { memoryMiB: 1024, diskMiB: 300, swapMiB: 64, kernels: ["6.1"] },
  async (guest) => {
    await endUnits(guest, 2);
    await using agent = await GuestAgent.serve(guest, flags);
    const left = await guest.until(async () => await endedBelow(agent, "/slice"), {
      deadlineMs: 60_000,
      what: "the ended units in status",
    });
    expect(left).toMatchObject({ last_end: "swap", evictions: 0 });
    expect(left.file_bytes).toBeGreaterThan(0.9 * 2 * unitMiB * mib);
    expect(await guest.sh("mem-agent status")).toContain("this kernel cannot be asked for file pages alone");
    expect(await agent.stop()).toBe(0);
  },
  agentFiles,
);
