/** What the agent says that it evicted, held against the kernel's own count, while the cgroup grows. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent, HeldMemory, joining } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const pageBytes = 4096;
const coldMiB = 192;
const heldMiB = 48;

guestTest(
  "what was evicted is what the kernel counts, beside a writer in the cgroup and one at its limit",
  { memoryMiB: 1280, swapMiB: 192, diskMiB: 640, kernels: ["6.12", "7.2"] },
  countsAsTheKernel,
  agentFiles,
);

async function countsAsTheKernel(guest: Guest): Promise<void> {
  await coldCache(guest, "both", coldMiB);
  const held = await HeldMemory.hold(guest, "both", heldMiB);
  // Reclaimed by its limit all the time.
  await guest.sh("echo +memory >/sys/fs/cgroup/cgroup.subtree_control; mkdir -p /sys/fs/cgroup/limited");
  await guest.sh("echo 16M >/sys/fs/cgroup/limited/memory.max");
  // Small beside what is cold: a cgroup that reads much for the first time gives nothing meanwhile.
  await guest.spawn(`${joining("both")} && ${writing("grows", 256)}`);
  await guest.spawn(`${joining("limited")} && ${writing("limited", 48 * 1024)}`);
  const before = await oursMiB(guest, "both");
  await using agent = await GuestAgent.serve(
    guest,
    "--memcg-period-secs 4 --memcg-spread-percent 0 --memcg-swap true --compact-disabled true " +
      "--memcg-period-psi-percent-limit 100 --memcg-eviction-psi-percent-limit 100",
  );
  await agent.untilTarget("/both", ({ evicted_bytes }) => evicted_bytes.file_bytes > 0.9 * coldMiB * mib, {
    deadlineMs: 120_000,
    what: "nine tenths of the cold cache go",
  });
  expect(await guest.sh("mem-agent memcgset --memcg-disabled true")).toBeString();
  // memory.stat may be 2 s behind.
  await Bun.sleep(4_000);
  const { evicted_bytes: evicted } = (await agent.memcg()).targets.find(({ path }) => path === "/both") ?? {
    evicted_bytes: { anon_bytes: 0, file_bytes: 0 },
  };
  const kernelMiB = (await oursMiB(guest, "both")) - before;
  const oursCounted = (evicted.anon_bytes + evicted.file_bytes) / mib;
  console.log(
    `${guest.kernel}: ${kernelMiB.toFixed(1)} MiB by the kernel, ${oursCounted.toFixed(1)} by the agent ` +
      `(${(evicted.anon_bytes / mib).toFixed(1)} anonymous)`,
  );
  expect(oursCounted).toBeGreaterThan(kernelMiB * 0.99);
  expect(oursCounted).toBeLessThan(kernelMiB * 1.01);
  expect(evicted.anon_bytes).toBeLessThan(heldMiB * 1.1 * mib);
  expect(await held.verify()).toBe("verified");
  expect(await agent.stop()).toBe(0);
}

/** A loop that fills a file again and again. */
function writing(file: string, kibs: number): string {
  const write = `dd if=/dev/zero of=/data/${file} bs=64k count=${kibs / 64} 2>/dev/null`;
  return `while :; do ${write}; rm /data/${file}; done`;
}

/** What evictions of user space took of a cgroup by the kernel's count. */
async function oursMiB(guest: Guest, name: string): Promise<number> {
  const stat = await guest.sh(`cat /sys/fs/cgroup/${name}/cpu.stat >/dev/null; cat /sys/fs/cgroup/${name}/memory.stat`);
  const of = (counter: string): string | undefined => new RegExp(`^${counter} (\\d+)$`, "m").exec(stat)?.[1];
  return (Number(of("pgsteal_proactive") ?? of("pgsteal_direct")) * pageBytes) / mib;
}
