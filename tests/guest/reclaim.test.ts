/** Where lru_gen is not to be had, memory.reclaim does the work; and the way changes while the daemon runs. */
import { expect } from "bun:test";
import type { MemcgRunReport } from "../../src/agent/status.ts";
import { agentFiles, coldCache, GuestAgent, hotCache, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const idleMiB = 400;
const hotMiB = 100;

/** Switched off, and not to be switched on: a file system that may only be read. */
const switchedOffForGood =
  "echo 0 >/sys/kernel/mm/lru_gen/enabled && " +
  "mount --bind /sys/kernel/mm/lru_gen /sys/kernel/mm/lru_gen && " +
  "mount -o remount,ro,bind /sys/kernel/mm/lru_gen";

guestTest(
  "without lru_gen and debugfs an idle cgroup is emptied, and what is in use or stalls is left alone",
  { memoryMiB: 1280, diskMiB: 720, append: "debugfs=off", on: "6.12" },
  async (guest) => {
    await guest.sh(switchedOffForGood);
    await coldCache(guest, "idle", idleMiB);
    const hot = await hotCache(guest, "hot", hotMiB);
    await guest.sh("mkdir /sys/fs/cgroup/thrash && echo 16M >/sys/fs/cgroup/thrash/memory.max");
    const thrash = await hotCache(guest, "thrash", 64);
    const idleBefore = await usageBytes(guest, "idle");
    const hotBefore = await usageBytes(guest, "hot");

    await using agent = await GuestAgent.serve(guest, "--memcg-period-secs 5 --compact-disabled true");
    const startMs = performance.now();
    await saysWhatItKnows(guest, agent);
    let hotLeast = hotBefore;
    await guest.until(
      async () => {
        hotLeast = Math.min(hotLeast, await usageBytes(guest, "hot"));
        return (await usageBytes(guest, "idle")) <= idleBefore * 0.4;
      },
      { deadlineMs: 180_000, what: "six tenths of the idle cgroup gone", intervalMs: 500 },
    );
    const tookSecs = (performance.now() - startMs) / 1000;
    const idle = await agent.target("/idle");
    expect(idle.evicted_bytes.file_bytes).toBeWithin(idleBefore * 0.55, idleBefore);
    expect(hotLeast).toBeGreaterThan(hotBefore * 0.9);
    const stalled = await agent.target("/thrash");
    expect(stalled).toMatchObject({ evictions: 0, last_end: "pressure" });
    expect(stalled.skips).toBeGreaterThan(0);
    console.log(
      `${guest.kernel}: idle ${(idleBefore / mib).toFixed(0)} to ${((await usageBytes(guest, "idle")) / mib).toFixed(0)} MiB ` +
        `in ${tookSecs.toFixed(0)} s and ${idle.evictions} evictions, hot ${(hotBefore / mib).toFixed(0)}, ` +
        `at least ${(hotLeast / mib).toFixed(0)} MiB, ${stalled.skips} runs of the stalling one skipped`,
    );
    await hot.kill("KILL");
    await thrash.kill("KILL");
    expect(await agent.stop()).toBe(0);
  },
  agentFiles,
);

/** What cannot be known is unknown, in every place that shows it. */
async function saysWhatItKnows(guest: Guest, agent: GuestAgent): Promise<void> {
  const { memcg } = await agent.status();
  expect(memcg).toMatchObject({ backend: "memory_reclaim", refault_source: "refaults" });
  expect(memcg.backend_why).toBe("the kernel has no debugfs; memory.reclaim is there");
  expect(await agent.process.stderr()).toContain("cold memory is found by memory_reclaim");
  expect(
    await agent.untilTarget("/idle", ({ size_bytes }) => size_bytes > 300 * mib, seen("the idle cgroup")),
  ).toMatchObject({ id: null, generations: null });
  expect(((await agent.run("memcg", "--dry-run")) as MemcgRunReport).cold_by_age).toBeNull();
  expect(await guest.sh("mem-agent memcgstatus --long")).toContain("not known to this backend");
  expect(await guest.sh("mem-agent metrics")).not.toMatch(/^mem_agent_idle_bytes/m);
  expect((await guest.run("mem-agent doctor")).stdout).toContain("cold memory is found by memory_reclaim");
}

function seen(what: string): { readonly deadlineMs: number; readonly what: string } {
  return { deadlineMs: 20_000, what };
}

guestTest(
  "the way to evict changes when somebody says so, or takes lru_gen away and gives it back",
  { on: "7.2" },
  async (guest) => {
    await coldCache(guest, "some", 32);
    await using agent = await GuestAgent.serve(
      guest,
      "--memcg-period-secs 2 --memcg-spread-percent 0 --compact-disabled true",
    );
    await untilBackend(agent, "lru_gen");
    await guest.sh("mem-agent memcgset --memcg-backend memory_reclaim");
    await untilBackend(agent, "memory_reclaim");
    expect((await agent.target("/some")).generations).toBeNull();
    await guest.sh("mem-agent memcgset --memcg-backend auto");
    await untilBackend(agent, "lru_gen");
    expect((await agent.target("/some")).generations?.length).toBeGreaterThanOrEqual(2);

    await guest.sh("echo 0 >/sys/kernel/mm/lru_gen/enabled");
    await guest.until(
      async () => (await agent.status()).warnings.some(({ key }) => key === "memcg"),
      seen("a warning"),
    );
    await untilBackend(agent, "memory_reclaim");
    expect(await agent.status()).toMatchObject({ health: "ok", warnings: [] });
    // It is not ours to switch on again.
    expect((await guest.read("/sys/kernel/mm/lru_gen/enabled")).trim()).toBe("0x0000");
    await guest.sh("echo 7 >/sys/kernel/mm/lru_gen/enabled");
    await untilBackend(agent, "lru_gen");
    const told = (await agent.process.stderr()).split("\n").filter((line) => line.includes("was switched off;"));
    expect(told.filter((line) => !line.includes("over: "))).toHaveLength(1);
    expect(await agent.stop()).toBe(0);
  },
  agentFiles,
);

async function untilBackend(agent: GuestAgent, backend: string): Promise<void> {
  await agent.guest.until(async () => (await agent.status()).memcg.backend === backend, seen(backend));
}
