/** Where the cgroups are: a container's namespace, several mounts, and one that goes away under the agent. */
import { expect } from "bun:test";
import { agentFiles, coldCache, firstKernel, GuestAgent, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";
import { swarmFiles } from "./harness/workload.ts";

const mib = 2 ** 20;

async function files(): Promise<Readonly<Record<string, string>>> {
  return { ...(await agentFiles()), ...(await swarmFiles()) };
}

guestTest("in a container's cgroup namespace memcg is refused, and says why", { diskMiB: 128 }, refused, files);

async function refused(guest: Guest): Promise<void> {
  // The container has a cgroup of the same name as the machine's: protected, where the machine's is not.
  await coldCache(guest, "same", 32);
  await guest.sh("mkdir -p /sys/fs/cgroup/box/same && echo 64M >/sys/fs/cgroup/box/same/memory.low || true");
  await guest.sh("echo 0 >/sys/kernel/mm/lru_gen/enabled");
  const inside = "swarm namespaced /sys/fs/cgroup/box";
  const started = await guest.run(`${inside} mem-agent serve`);
  expect(started.status).toBe(1);
  expect(started.stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(started.stderr).toContain("memory cgroups: this process is in a container's cgroup namespace");
  expect(started.stderr).toContain("--cgroupns=host");
  const doctor = await guest.run(`${inside} mem-agent doctor`);
  expect(doctor.stdout).toContain("container's cgroup namespace");
  expect((await guest.read("/sys/kernel/mm/lru_gen/enabled")).trim()).toBe("0x0000");

  // What needs no cgroups works, and who switches memcg on there is told in status.
  await using agent = await GuestAgent.serve(guest, "--memcg-disabled true", inside);
  await guest.sh("mem-agent memcgset --memcg-disabled false --memcg-period-secs 1");
  const warning = await guest.until(
    async () => (await agent.status()).warnings.find(({ key }) => key === "memcg")?.message ?? null,
    { deadlineMs: 20_000, what: "a warning" },
  );
  expect(warning).toContain("container's cgroup namespace");
  expect((await agent.status()).health).toBe("warning");
  expect(await usageBytes(guest, "same")).toBeGreaterThan(30 * mib);
  expect(await agent.stop()).toBe(0);
}

guestTest(
  "the usual mount is taken of several, and one that goes away is noticed and healed",
  { kernels: firstKernel, diskMiB: 128 },
  healed,
  files,
);

async function healed(guest: Guest): Promise<void> {
  await coldCache(guest, "a", 16);
  await guest.sh("mkdir /run/later && mount -t cgroup2 cgroup2 /run/later");
  // In a cgroup of its own, which it leaves alone.
  const own = `sh -c 'mkdir /sys/fs/cgroup/own && echo $$ >/sys/fs/cgroup/own/cgroup.procs && exec "$@"' sh`;
  await using agent = await GuestAgent.serve(guest, "--memcg-period-secs 1 --memcg-spread-percent 0", own);
  await guest.sh("umount /run/later");
  const known = await agent.untilTarget("/a", ({ runs }) => runs > 1, { deadlineMs: 30_000, what: "two runs" });

  await guest.sh("umount -l /sys/fs/cgroup");
  await guest.until(async () => (await agent.status()).warnings.some(({ key }) => key === "memcg"), {
    deadlineMs: 20_000,
    what: "the warning",
  });
  expect(await agent.process.stderr()).toContain("the mount of the cgroups is gone");
  expect((await agent.target("/a")).runs).toBeGreaterThanOrEqual(known.runs);

  await guest.sh("mount -t cgroup2 cgroup2 /sys/fs/cgroup");
  await agent.untilTarget("/a", ({ runs }) => runs > known.runs + 2, { deadlineMs: 30_000, what: "runs again" });
  expect(await agent.target("/own")).toMatchObject({ last_end: "disabled", agings: 0, evictions: 0 });
  expect((await agent.status()).health).toBe("ok");
  expect(await agent.stop()).toBe(0);
}
