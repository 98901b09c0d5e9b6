/** The harness itself: what every other guest test relies on. */

import { expect, test } from "bun:test";

import { messageOf } from "../../src/base/fault.ts";
import { guestTest } from "./harness/guest-test.ts";
import { Guest } from "./harness/guest.ts";
import { chosenKernels } from "./harness/kernels.ts";
import { workloadFiles } from "./harness/workload.ts";

guestTest("a guest has what the agent needs", { swapMiB: 64, diskMiB: 64 }, async (guest) => {
  expect((await guest.sh("uname -r")).trim()).toBe(guest.release);
  // Debian's 6.1 boots with it off, and the agent switches it on; later ones boot with it on.
  const enabled = guest.kernel === "6.1" ? "0x0000" : "0x0007";
  expect((await guest.read("/sys/kernel/mm/lru_gen/enabled")).trim()).toBe(enabled);
  expect(await guest.read("/proc/pressure/memory")).toMatch(/^some avg10=\S+ avg60=\S+ avg300=\S+ total=\d+$/m);
  expect((await guest.read("/sys/module/page_reporting/parameters/page_reporting_order")).trim()).toBe("9");
  expect((await guest.read("/sys/fs/cgroup/cgroup.subtree_control")).trim().split(" ").toSorted()).toEqual([
    "cpu",
    "io",
    "memory",
    "pids",
  ]);
  expect(await guest.read("/proc/swaps")).toContain("/dev/zram0");
  expect(await guest.sh("mount")).toContain("/dev/vdb on /data type ext4");
  expect(await guest.sh("mount")).not.toContain("debugfs");
});

guestTest("commands run at the same time, and their answers keep apart", { on: "6.12" }, async (guest) => {
  const waiting = guest.run("until [ -e /tmp/go ]; do usleep 10000; done; echo gone; echo late >&2; exit 3");
  const many = await Promise.all(Array.from({ length: 8 }, (_, n) => guest.sh(`seq ${n * 1000} ${n * 1000 + 999}`)));
  expect(many.map((text) => text.split("\n")[0])).toEqual(Array.from({ length: 8 }, (_, n) => `${n * 1000}`));
  await guest.write('/tmp/it\'s "odd" $HOME', "two\nlines\n");
  expect(await guest.read('/tmp/it\'s "odd" $HOME')).toBe("two\nlines\n");
  await guest.sh("touch /tmp/go");
  expect(await waiting).toEqual({ status: 3, stdout: "gone\n", stderr: "late\n" });
});

guestTest(
  "held memory stays what it was through swap",
  { memoryMiB: 512, swapMiB: 128 },
  holdThroughSwap,
  workloadFiles,
);

async function holdThroughSwap(guest: Guest): Promise<void> {
  await guest.sh("mkdir /sys/fs/cgroup/a");
  const held = await guest.spawn("echo $$ >/sys/fs/cgroup/a/cgroup.procs; exec workload hold 32 /run/hold");
  const said = (word: string) => async (): Promise<boolean> => (await held.stdout()).includes(word);
  await guest.until(said("held"), { deadlineMs: 30_000, what: "the memory held" });
  await guest.run("echo 16M >/sys/fs/cgroup/a/memory.reclaim");
  expect(Number(await guest.read("/sys/fs/cgroup/a/memory.swap.current"))).toBeGreaterThan(2 ** 20);
  await guest.sh("echo verify >/run/hold");
  await guest.until(said("verified"), { deadlineMs: 30_000, what: "the memory verified" });
  await held.kill("KILL");
  expect((await held.exited).status).toBe(137);
}

guestTest("memory that the guest frees goes back to its host", { memoryMiB: 768, diskMiB: 400 }, async (guest) => {
  await guest.sh("dd if=/dev/zero of=/data/file bs=1M count=300; sync", { timeoutMs: 120_000 });
  const full = guest.hostMiB();
  await guest.sh("echo 3 >/proc/sys/vm/drop_caches");
  await guest.until(() => guest.hostMiB() < full - 270, {
    deadlineMs: 10_000,
    what: "nine tenths of 300 MiB go back to its host",
  });
});

guestTest("psi=0 leaves the guest without pressure files", { append: "psi=0", on: "7.2" }, async (guest) => {
  expect((await guest.run("ls /proc/pressure/memory && cat /proc/pressure/memory")).status).not.toBe(0);
});

guestTest("cgroup v1 has the memory controller and leaves the rest to v2", { cgroup: "v1" }, async (guest) => {
  expect(await guest.sh("ls /sys/fs/cgroup/memory/memory.usage_in_bytes")).toContain("usage");
  expect(await guest.read("/sys/fs/cgroup/unified/cgroup.controllers")).not.toContain("memory");
});

/** What a promise failed with, or null where it did not fail. */
function failureOf(promise: Promise<unknown>): Promise<string | null> {
  return promise.then(() => null, messageOf);
}

test("a guest that dies fails what waits for it at once, with its console", async () => {
  const kernel = chosenKernels(process.env)[0] ?? "6.1";
  await using guest = await Guest.boot({ kernel });
  const waiting = failureOf(guest.run("sleep 600", { timeoutMs: 600_000 }));
  void failureOf(guest.run("echo c >/proc/sysrq-trigger"));
  expect(await waiting).toMatch(/the guest died[^]*Kernel panic/);
  expect(await failureOf(guest.run("true"))).toContain("the guest died");
}, 300_000);

test("a kernel that cannot boot says so at once", async () => {
  const kernel = chosenKernels(process.env)[0] ?? "6.1";
  const failure = await failureOf(
    Guest.boot({ kernel, append: "rdinit=/nowhere init=/nowhere root=/dev/nowhere", bootsMax: 1 }),
  );
  expect(failure).toMatch(/cannot boot[^]*Kernel panic/);
}, 300_000);

test("a command that takes too long is ended and leaves the guest's console", async () => {
  const kernel = chosenKernels(process.env)[0] ?? "6.1";
  await using guest = await Guest.boot({ kernel });
  expect(await failureOf(guest.run("exec sleep 601", { timeoutMs: 500 }))).toContain(
    "longer than 500 ms: exec sleep 601",
  );
  const gone = async (): Promise<boolean> => (await guest.run("pidof sleep")).status !== 0;
  await guest.until(gone, { deadlineMs: 10_000, what: "the end of the command" });
}, 300_000);
