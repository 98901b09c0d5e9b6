/** `doctor` in guests that lack what the agent needs, one thing after the other; and the start that is refused for it. */
import { expect } from "bun:test";
import type { Check } from "../../src/agent/doctor/check.ts";
import type { DoctorReport } from "../../src/cli/screens/doctor.ts";
import { agentFiles, GuestAgent } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

interface Diagnosis {
  readonly status: number;
  readonly report: DoctorReport;
  readonly check: (key: string) => Check;
  /** The checks that are not well, as `key state`. */
  readonly amiss: readonly string[];
}

async function diagnose(guest: Guest, flags = "", before = ""): Promise<Diagnosis> {
  const { status, stdout, stderr } = await guest.run(`${before} mem-agent doctor --json ${flags}`);
  if (stdout === "") throw new Error(`doctor says nothing, exit ${status}: ${stderr}`);
  const report = JSON.parse(stdout) as DoctorReport;
  return {
    status,
    report,
    amiss: report.checks
      .filter(({ state }) => state === "warning" || state === "failure")
      .map((c) => `${c.key} ${c.state}`),
    check: (key) => {
      const check = report.checks.find((each) => each.key === key);
      if (check === undefined) throw new Error(`doctor has no check ${key}`);
      return check;
    },
  };
}

/** `serve` ends at once with exit 1; what it says, a line each. */
async function refusedStart(guest: Guest, flags = "", before = ""): Promise<string> {
  const { status, stderr } = await guest.run(`${before} timeout -s KILL 20 mem-agent serve ${flags}`);
  expect(status).toBe(1);
  return stderr;
}

const bring = async (): Promise<Readonly<Record<string, string>>> => ({
  ...(await agentFiles()),
  // By its whole path: busybox's shell prefers its own, which knows less.
  "/usr/local/bin/setpriv": "/usr/bin/setpriv",
});

guestTest("doctor finds nothing amiss, then each thing that is taken away", { swapMiB: 64 }, takenAway, bring);

async function takenAway(guest: Guest): Promise<void> {
  await guest.sh("mkdir -p /sys/fs/cgroup/work && mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null || true");
  await guest.sh("echo 7 >/sys/kernel/mm/lru_gen/enabled");
  // 7.2 reads 8 MiB ahead, which is said with its remedy; done by hand, all is well there too.
  if (guest.kernel === "7.2") {
    const ahead = await diagnose(guest);
    expect(ahead.amiss).toEqual(["read_ahead warning"]);
    await guest.sh("for disk in /sys/block/*/queue/read_ahead_kb; do echo 128 >$disk; done");
  }
  const well = await diagnose(guest);
  expect(well.amiss).toEqual([]);
  expect([well.status, well.report.state, well.report.backend]).toEqual([0, "ok", "lru_gen"]);
  expect(well.check("page_reporting").observed).toContain("order 9");
  expect(well.check("kernel").observed).toContain(guest.kernel === "7.2" ? "ids are inodes" : "ids are numbers");
  expect(well.check("pressure_window").observed).toContain(guest.kernel === "6.1" ? "500 ms" : "100 ms");
  expect(well.check("reclaim_swappiness").state).toBe(guest.kernel === "6.1" ? "info" : "ok");
  expect(well.check("refaults").state).toBe(guest.kernel === "6.1" ? "info" : "ok");

  await debugfsAndLruGen(guest);
  await rights(guest);
  await configuration(guest);
  await lockdown(guest);
}

async function debugfsAndLruGen(guest: Guest): Promise<void> {
  await guest.sh("echo 0 >/sys/kernel/mm/lru_gen/enabled && umount /sys/kernel/debug");
  const off = await diagnose(guest);
  expect(off.amiss).toEqual(["debugfs warning", "lru_gen warning"]);
  expect([off.status, off.report.backend]).toEqual([0, "lru_gen"]);
  // It changes nothing: that is left to the agent, which does what doctor said it would.
  expect(await guest.read("/sys/kernel/mm/lru_gen/enabled")).toBe("0x0000\n");
  {
    await using agent = await GuestAgent.serve(guest, "");
    const running = await diagnose(guest);
    expect(running.amiss).toEqual([]);
    expect(running.check("daemon").observed).toContain(`process ${agent.process.pid} `);
    const log = await agent.process.stderr();
    expect(log).toContain("mounted debugfs");
    expect(log).toContain("switched lru_gen on (7)");
    expect(await agent.stop()).toBe(0);
  }
  // The line that doctor gives does it too.
  await guest.sh("umount /sys/kernel/debug");
  await guest.sh(off.check("debugfs").remedy ?? "false");
  expect((await diagnose(guest)).amiss).toEqual([]);
}

const nobody = "/usr/local/bin/setpriv --reuid 65534 --regid 65534 --clear-groups";
const withoutResource = "/usr/local/bin/setpriv --bounding-set -sys_resource";

async function rights(guest: Guest): Promise<void> {
  const other = await diagnose(guest, "", nobody);
  expect(other.status).toBe(1);
  expect(other.check("root").state).toBe("failure");
  expect(other.check("root").observed).toContain("user 65534");
  expect(await refusedStart(guest, "--addr /tmp/nobody.sock", nobody)).toContain("privileges: user 65534");

  const less = await diagnose(guest, "", withoutResource);
  expect(less.amiss).toEqual(["root warning", "pressure_window warning"]);
  expect(less.check("pressure_window").observed).toContain("2000 ms");
  expect(less.status).toBe(0);
}

async function configuration(guest: Guest): Promise<void> {
  await guest.write("/etc/mem-agent.toml", "[memcg]\nswap = true\nperiod_sec = 5\n");
  const wrong = await diagnose(guest);
  expect([wrong.status, wrong.amiss]).toEqual([1, ["config failure"]]);
  expect(wrong.check("config").observed).toContain("/etc/mem-agent.toml:3:1");
  await guest.write("/etc/mem-agent.toml", "[memcg]\nswap = true\n");
  expect((await diagnose(guest)).check("swap").state).toBe("ok");
  await guest.sh("swapoff /dev/zram0");
  const without = await diagnose(guest);
  expect([without.status, without.amiss]).toEqual([0, ["swap warning"]]);
  await guest.sh("rm /etc/mem-agent.toml");
}

/** Comes last: there is no way back from lockdown. */
async function lockdown(guest: Guest): Promise<void> {
  await guest.sh(
    "mount -t securityfs securityfs /sys/kernel/security && echo integrity >/sys/kernel/security/lockdown",
  );
  const closed = await diagnose(guest);
  expect(closed.report.backend).toBe("memory_reclaim");
  expect(closed.amiss.slice(0, 2)).toEqual(["debugfs warning", "lru_gen warning"]);
  expect(closed.check("debugfs").observed).toContain("lockdown (integrity)");
  expect(closed.status).toBe(0);
  expect(await refusedStart(guest, "--memcg-backend lru_gen")).toContain("lockdown (integrity)");
}

guestTest(
  "doctor without pressure, swap and balloon",
  { on: "6.1", append: "psi=0", balloon: false },
  async (guest) => {
    await guest.write("/etc/mem-agent.toml", "[memcg]\nswap = true\n");
    const { status, amiss, check } = await diagnose(guest);
    expect(status).toBe(1);
    expect(amiss).toContain("pressure failure");
    expect(check("pressure").observed).toContain("psi=0");
    expect(amiss).toContain("swap warning");
    expect(amiss).toContain("page_reporting warning");
    expect(check("page_reporting").remedy).toContain("free-page-reporting=on");
    expect(await refusedStart(guest)).toContain("psi=1 instead of psi=0");
    // What nobody enabled needs nothing.
    await using agent = await GuestAgent.serve(guest, "--memcg-disabled true --compact-disabled true");
    expect(await agent.stop()).toBe(0);
  },
  bring,
);

guestTest(
  "doctor without debugfs",
  { on: "6.1", append: "debugfs=off" },
  async (guest) => {
    const { report, status, check } = await diagnose(guest);
    expect([status, report.backend]).toEqual([0, "memory_reclaim"]);
    expect(check("debugfs").state).toBe("warning");
    expect(check("debugfs").observed).toContain("debugfs=off");
    expect(await refusedStart(guest, "--memcg-backend lru_gen")).toContain("debugfs: the kernel has none");
  },
  bring,
);

guestTest(
  "doctor with cgroup v1",
  { cgroup: "v1" },
  async (guest) => {
    const { status, report, check } = await diagnose(guest);
    expect([status, report.backend]).toEqual([0, "lru_gen"]);
    expect(check("cgroup").observed).toBe("version 1 at /sys/fs/cgroup/memory");
    expect(check("memory_reclaim").state).toBe("info");
  },
  bring,
);
