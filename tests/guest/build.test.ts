/** A build that ends, with default settings: what the host gets back and how soon, and how long the same build takes again. */
import { expect } from "bun:test";
import { systemClock } from "../../src/base/clock.ts";
import { agentFiles, GuestAgent, joining } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const files = 800;
const fileKiB = 256;
const treeMiB = (files * fileKiB) / 1024;
const cgroups = "/sys/fs/cgroup";

guestTest(
  "half the cache of a build that ended is with the host after minutes, more after a compaction, and the build runs again",
  { memoryMiB: 1024, diskMiB: 500, timeoutMs: 540_000, on: "6.12" },
  async (guest) => {
    await guest.sh(
      `mkdir -p ${cgroups}/slice /data/tree && echo +memory >${cgroups}/cgroup.subtree_control && echo +memory >${cgroups}/slice/cgroup.subtree_control && ` +
        `for i in $(seq ${files}); do head -c ${fileKiB * 1024} /dev/zero >/data/tree/$i; done && sync && echo 3 >/proc/sys/vm/drop_caches`,
      { timeoutMs: 120_000 },
    );
    const coldSecs = await build(guest);
    const hotSecs = await build(guest);
    await guest.sh("echo 3 >/proc/sys/vm/drop_caches");
    await using agent = await GuestAgent.serve(guest, "");
    await build(guest);
    const endedMs = systemClock.monotonicMs();
    const heldMiB = guest.hostMiB();
    const halfSecs = await guest.until(
      async () => {
        await Promise.resolve();
        return guest.hostMiB() <= heldMiB - treeMiB / 2 ? (systemClock.monotonicMs() - endedMs) / 1000 : null;
      },
      { deadlineMs: 300_000, what: "half of the build's cache with the host", intervalMs: 1000 },
    );
    // The rest is free in blocks that are too small to be reported: by itself the agent compacts every ten minutes.
    await agent.run("compact");
    await guest.sh("sleep 10");
    const givenMiB = heldMiB - guest.hostMiB();
    const againSecs = await build(guest);
    // Other guests run beside this one: without the cache it takes as long as it takes by now.
    await guest.sh("echo 3 >/proc/sys/vm/drop_caches");
    const coldNowSecs = await build(guest);
    console.log(
      `${guest.kernel}: a build that read ${treeMiB} MiB and ended: half with the host after ${halfSecs.toFixed(0)} s, ` +
        `${givenMiB.toFixed(0)} MiB after a compaction; the same build takes ${hotSecs.toFixed(1)} s with its cache, ` +
        `${coldSecs.toFixed(1)} and ${coldNowSecs.toFixed(1)} s without, ${againSecs.toFixed(1)} s again`,
    );
    // What the command that asks for it brings into the page cache, up to 30 MiB, counts against it.
    expect(givenMiB).toBeGreaterThan(0.6 * treeMiB);
    // No slower than without any cache: what else it needs is still there.
    expect(againSecs).toBeLessThan(2 * Math.max(coldSecs, coldNowSecs) + 1);
    expect(await agent.stop()).toBe(0);
  },
  agentFiles,
);

/** Reads the tree in a unit of its own, which then ends; how long that took. */
async function build(guest: Guest): Promise<number> {
  const startMs = systemClock.monotonicMs();
  const tar = "tar cf - /data/tree 2>/dev/null | cat >/dev/null";
  await guest.sh(`sh -c '${joining("slice/build")} && ${tar}'`, { timeoutMs: 120_000 });
  const tookMs = systemClock.monotonicMs() - startMs;
  await guest.sh(`rmdir ${cgroups}/slice/build`);
  return tookMs / 1000;
}
