/** Least privilege: the agent works with three capabilities, and each of them is there for a reason. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const cacheMiB = 64;
/** By its whole path: busybox's shell prefers its own, which knows less. */
const setpriv = "/usr/local/bin/setpriv";
const all = ["sys_admin", "sys_resource", "dac_override"] as const;
type Capability = (typeof all)[number];

const bring = async (): Promise<Readonly<Record<string, string>>> => ({
  ...(await agentFiles()),
  "/usr/local/bin/setpriv": "/usr/bin/setpriv",
});

/** Words that start a program with nothing but the three capabilities, less one. */
function confined(without: Capability | null): string {
  const kept = all.filter((name) => name !== without).map((name) => `+${name}`);
  return `${setpriv} --bounding-set -all,${kept.join(",")} --no-new-privs`;
}

guestTest("three capabilities are enough, and each is needed", { on: "7.2", diskMiB: 200 }, enough, bring);

async function enough(guest: Guest): Promise<void> {
  await guest.sh("umount /sys/kernel/debug 2>/dev/null; echo 0 >/sys/kernel/mm/lru_gen/enabled");
  await withoutAdmin(guest);
  await withThree(guest);
  await withoutResource(guest);
  await withoutOverride(guest);
}

/** Nothing but mounting debugfs needs CAP_SYS_ADMIN. */
async function withoutAdmin(guest: Guest): Promise<void> {
  const command = `${confined("sys_admin")} mem-agent serve --memcg-backend lru_gen`;
  const { status, stderr } = await guest.run(`timeout -s KILL 20 ${command}`);
  expect(status).toBe(1);
  expect(stderr).toContain("debugfs: not mounted; mount -t debugfs debugfs /sys/kernel/debug");
}

async function withThree(guest: Guest): Promise<void> {
  await coldCache(guest, "cold", cacheMiB);
  const memcg = "--memcg-period-secs 1 --memcg-spread-percent 0 --memcg-eviction-run-aging-count-min 0";
  const flags = `${memcg} --compact-period-psi-percent-limit 100 --compact-psi-percent-limit 100`;
  await using agent = await GuestAgent.serve(guest, flags, confined(null));
  await guest.until(async () => (await usageBytes(guest, "cold")) < cacheMiB * 0.2 * mib, {
    deadlineMs: 60_000,
    what: "the cold cache leave",
  });
  const { end } = (await agent.run("compact")) as { end?: unknown };
  expect(end).toBe("done");
  expect((await agent.status()).warnings).toEqual([]);
  const log = await agent.process.stderr();
  expect(log).toContain("mounted debugfs");
  expect(await agent.stop()).toBe(0);
}

/** Triggers with windows that are no multiple of 2 s, which 6.1 gives to nobody else. */
async function withoutResource(guest: Guest): Promise<void> {
  const { stdout } = await guest.run(`${confined("sys_resource")} mem-agent doctor`);
  expect(stdout).toMatch(/^warning +pressure triggers/m);
}

/** Root owns neither the pressure files nor memory.reclaim of another user's cgroups. */
async function withoutOverride(guest: Guest): Promise<void> {
  await guest.sh("mkdir -p /sys/fs/cgroup/theirs && chown -R 1000 /sys/fs/cgroup/theirs");
  for (const file of ["memory.pressure", "io.pressure", "memory.reclaim"]) {
    const open = `sh -c 'exec 9>>/sys/fs/cgroup/theirs/${file}'`;
    expect((await guest.run(`${confined(null)} ${open}`)).status).toBe(0);
    expect((await guest.run(`${confined("dac_override")} ${open}`)).status).not.toBe(0);
  }
}
