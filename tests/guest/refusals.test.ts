/** A machine that lacks something: the start ends with a line for each thing that is missing, and says what to do. */
import { expect } from "bun:test";
import { agentFiles, GuestAgent } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

guestTest(
  "without PSI and debugfs the daemon does not start, unless nothing needs them",
  { append: "psi=0 debugfs=off", on: "7.2" },
  async (guest) => {
    const lines = await startProblems(guest, "--memcg-backend lru_gen");
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/pressure \(PSI\): .*psi=0; psi=1 instead of psi=0/);
    expect(lines[1]).toMatch(/debugfs: .*debugfs=off/);
    expect(await guest.sh("ls -A /run | grep -v guest || true")).toBe("");

    await using agent = await GuestAgent.serve(guest, "--memcg-disabled true --compact-disabled true");
    const { memcg, compact, health } = await agent.status();
    expect([memcg.disabled, compact.disabled, health]).toEqual([true, true, "ok"]);
    // What needs them is refused when it is switched on, and told in status.
    await guest.sh("mem-agent memcgset --memcg-disabled false --memcg-backend lru_gen");
    await guest.until(async () => (await agent.status()).warnings.some(({ key }) => key === "memcg"), {
      deadlineMs: 20_000,
      what: "a warning",
    });
    expect(await agent.stop()).toBe(0);
  },
  agentFiles,
);

guestTest("what can be mended is, and what cannot is told", { on: "7.2" }, mendedOrTold, agentFiles);

async function mendedOrTold(guest: Guest): Promise<void> {
  // Not root: in a place where a socket may be made, so that nothing else stands in the way.
  await guest.sh("echo 'nobody:x:65534:65534::/:/bin/sh' >>/etc/passwd");
  const asNobody = await guest.run("su nobody -s /bin/sh -c 'exec mem-agent serve --addr /tmp/nobody.sock'");
  expect(asNobody.status).toBe(1);
  expect(asNobody.stderr).toContain("mem-agent serve: privileges: user 65534 without CAP_DAC_OVERRIDE; sudo mem-agent");
  const inRun = await guest.run("su nobody -s /bin/sh -c 'exec mem-agent serve'");
  expect(inRun.status).toBe(1);
  expect(inRun.stderr).toMatch(/run (it|this) as root/);

  // Switched off, and not to be switched on: a file system that may only be read.
  await guest.sh(
    "echo 0 >/sys/kernel/mm/lru_gen/enabled && " +
      "mount --bind /sys/kernel/mm/lru_gen /sys/kernel/mm/lru_gen && " +
      "mount -o remount,ro,bind /sys/kernel/mm/lru_gen",
  );
  const lines = await startProblems(guest, "--memcg-backend lru_gen");
  expect(lines.at(-1)).toMatch(
    /multi-gen LRU: .*0x0000: off, and may not be switched on; echo 7 > \/sys\/kernel\/mm\/lru_gen\/enabled/,
  );
  await guest.sh("umount /sys/kernel/mm/lru_gen && umount /sys/kernel/debug");

  await using agent = await GuestAgent.serve(guest, "--memcg-period-secs 1 --memcg-spread-percent 0");
  expect(await agent.process.stderr()).toMatch(/mounted debugfs[^]*switched lru_gen on \(7\)/);
  expect((await guest.read("/sys/kernel/mm/lru_gen/enabled")).trim()).toMatch(/^0x000[1-7]$/);

  // A root whose socket it is may ask; others may not.
  const other = await guest.run("su nobody -s /bin/sh -c 'exec mem-agent status'");
  expect(other).toMatchObject({ status: 1, stdout: "" });
  expect(other.stderr).toContain("permission denied; run this as root");

  // Taken away under us: told, theirs to give back, and well again then.
  await guest.sh("echo 0 >/sys/kernel/mm/lru_gen/enabled");
  await guest.until(async () => (await agent.process.stderr()).includes("lru_gen was switched off"), {
    deadlineMs: 20_000,
    what: "the warning",
  });
  await guest.sh("echo 7 >/sys/kernel/mm/lru_gen/enabled");
  await guest.until(async () => (await agent.status()).health === "ok", { deadlineMs: 20_000, what: "it well again" });
  expect(await agent.stop()).toBe(0);
}

/** The lines of a start that is refused, without the command's name. */
async function startProblems(guest: Guest, flags: string): Promise<readonly string[]> {
  const { status, stdout, stderr } = await guest.run(`mem-agent serve ${flags}`);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  return stderr
    .trimEnd()
    .split("\n")
    .filter((line) => line.startsWith("mem-agent serve: "));
}
