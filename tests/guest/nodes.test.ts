/** Two NUMA nodes: each is a target of its own. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const cacheMiB = 128;

guestTest(
  "each node of a cgroup is aged and evicted by itself",
  { memoryMiB: 1024, nodes: 2, diskMiB: 320, on: "6.12" },
  eachNodeByItself,
  agentFiles,
);

async function eachNodeByItself(guest: Guest): Promise<void> {
  for (const node of [0, 1]) await coldCache(guest, "split", cacheMiB, { file: `split${node}`, cpu: node });
  for (const node of [0, 1]) expect(await fileMiB(guest, node)).toBeGreaterThan(cacheMiB * 0.9);

  const flags = "--memcg-period-secs 1 --memcg-spread-percent 0 --compact-disabled true";
  await using agent = await GuestAgent.serve(guest, `${flags} --memcg-cgroups path=/split,numa-id=1,disabled=true`);
  await guest.until(async () => (await fileMiB(guest, 0)) < cacheMiB * 0.1, {
    deadlineMs: 60_000,
    what: "the first node's cache leave",
  });
  expect(await fileMiB(guest, 1)).toBeGreaterThan(cacheMiB * 0.9);
  const left = await agent.target("/split", 1);
  expect({ agings: left.agings, rule: left.rule, end: left.last_end, next: left.next_run_secs }).toEqual({
    agings: 0,
    rule: "path=/split,numa-id=1",
    end: "disabled",
    next: null,
  });

  await guest.sh("mem-agent memcgset --memcg-del path=/split,numa-id=1");
  await guest.until(async () => (await fileMiB(guest, 1)) < cacheMiB * 0.1, {
    deadlineMs: 60_000,
    what: "the second node's cache leave",
  });
  for (const node of [0, 1]) {
    const target = await agent.untilTarget("/split", ({ evictions }) => evictions > 0, told, node);
    expect(target.agings).toBeGreaterThanOrEqual(3);
    expect(target.evicted_bytes.file_bytes).toBeGreaterThan(cacheMiB * 0.9 * mib);
    expect(target.evicted_bytes.file_bytes).toBeLessThan(cacheMiB * 1.1 * mib);
  }
  expect(await agent.stop()).toBe(0);
}

const told = { deadlineMs: 10_000, what: "the eviction told" };

/** Page cache of the cgroup that lies on a node. */
async function fileMiB(guest: Guest, node: number): Promise<number> {
  const stat = await guest.read("/sys/fs/cgroup/split/memory.numa_stat");
  return Number(new RegExp(`^file .*\\bN${node}=(\\d+)`, "m").exec(stat)?.[1]) / mib;
}
