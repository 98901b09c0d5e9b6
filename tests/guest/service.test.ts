/** The unit under a real systemd, which is process 1 of a PID namespace of the guest: rights, readiness, watchdog. */
import { expect } from "bun:test";
import { agentFiles, coldCache, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";
import {
  insideSystemd,
  serviceProperty,
  startSystemd,
  systemctl,
  systemdFiles,
  untilActive,
} from "./harness/systemd.ts";
import type { MemcgRunReport, CompactRunReport, AgentStatus } from "../../src/agent/status.ts";

const mib = 2 ** 20;
async function bring(): Promise<Readonly<Record<string, string>>> {
  return {
    ...(await agentFiles()),
    ...systemdFiles,
  };
}

guestTest("the unit works under systemd with all its restrictions", { on: "6.1", diskMiB: 300 }, underSystemd, bring);

async function underSystemd(guest: Guest): Promise<void> {
  await coldCache(guest, "cold", 128);
  await startService(guest);
  await restrictions(guest);
  await work(guest);
  await refusals(guest);
  await watchdog(guest);
  await guest.sh(systemctl("stop mem-agent"));
  expect(await serviceProperty(guest, "Result")).toBe("success");
  expect((await guest.run("test -e /run/mem-agent.sock")).status).toBe(1);
}

/** Installs the unit as the manual says, and starts systemd with it. */
async function startService(guest: Guest): Promise<void> {
  await guest.sh(`
    mkdir -p /etc/systemd/system/mem-agent.service.d /etc/systemd/system/multi-user.target.wants
    mem-agent unit --binary /usr/bin/mem-agent >/etc/systemd/system/mem-agent.service
    ln -s ../mem-agent.service /etc/systemd/system/multi-user.target.wants/
    printf '[Service]\\nStandardError=append:/run/mem-agent.log\\nWatchdogSec=4\\n' \\
      >/etc/systemd/system/mem-agent.service.d/test.conf
    echo 0 >/sys/kernel/mm/lru_gen/enabled
    umount /sys/kernel/debug 2>/dev/null || true`);
  await startSystemd(guest);
  await untilActive(guest);
}

/** Three capabilities, a system call filter, no way to more; and the two things that it fixes itself. */
async function restrictions(guest: Guest): Promise<void> {
  const { pid } = JSON.parse(await guest.sh("mem-agent status --json")) as AgentStatus;
  expect(String(pid)).toBe(await serviceProperty(guest, "MainPID"));
  const status = await guest.sh(`for each in /proc/[0-9]*; do
    [ "$(readlink $each/exe)" = /usr/bin/mem-agent ] && cat $each/status; done; true`);
  expect(/^CapEff:\t0*(\w+)$/m.exec(status)?.[1]).toBe("1200002");
  expect(/^CapBnd:\t0*(\w+)$/m.exec(status)?.[1]).toBe("1200002");
  expect(status).toContain("NoNewPrivs:\t1");
  expect(status).toContain("Seccomp:\t2");
  const log = await guest.read("/run/mem-agent.log");
  expect(log).toContain("mounted debugfs");
  expect(log).toContain("switched lru_gen on (7)");
}

async function work(guest: Guest): Promise<void> {
  const flags = "--memcg-period-secs 1 --memcg-eviction-run-aging-count-min 0";
  await guest.sh(`mem-agent memcgset ${flags} --save`);
  expect(await guest.read("/etc/mem-agent.toml")).toContain("period_secs = 1");
  await guest.until(async () => (await usageBytes(guest, "cold")) < 16 * mib, {
    deadlineMs: 60_000,
    what: "the cold cache leave",
  });
  await guest.until(async () => /^saved \d.* [KMG]iB, /.test(await serviceProperty(guest, "StatusText")), {
    deadlineMs: 10_000,
    what: "systemd show what is saved",
  });
  await guest.sh("mem-agent compactset --compact-period-psi-percent-limit 100 --compact-psi-percent-limit 100");
  const compact = JSON.parse(await guest.sh("mem-agent run compact --json")) as CompactRunReport;
  expect(compact.end).toBe("done");
  await guest.sh(`echo '[memcg]' >/etc/mem-agent.toml && ${systemctl("reload mem-agent")}`);
  await guest.until(async () => (await guest.sh("mem-agent config show")).includes("600"), {
    deadlineMs: 10_000,
    what: "the settings reloaded",
  });
  const log = await guest.read("/run/mem-agent.log");
  expect(log.split("\n").filter((line) => / (WARN|ERROR|CRITICAL) /i.test(line))).toEqual([]);
  const memcg = JSON.parse(await guest.sh("mem-agent run memcg --json")) as MemcgRunReport;
  expect(memcg.ends.error).toBe(0);
}

/** What is refused is said by systemctl, and by names that systemctl takes. */
async function refusals(guest: Guest): Promise<void> {
  await guest.sh("printf '[memcg]\\nperiod_secs = 0\\n' >/etc/mem-agent.toml");
  const reload = await guest.run(systemctl("reload mem-agent"));
  expect(reload.status).not.toBe(0);
  expect(await guest.read("/run/mem-agent.log")).toContain(
    "mem-agent reload: /etc/mem-agent.toml:2:1: memcg.period_secs",
  );
  await guest.sh(`echo '[memcg]' >/etc/mem-agent.toml && ${systemctl("reload mem-agent")}`);

  const second = await guest.run(insideSystemd("mem-agent serve --addr /run/other.sock"));
  expect(second.status).toBe(1);
  expect(second.stderr).toMatch(/as process \d+ \(mem-agent\.service\).*systemctl stop mem-agent\.service$/m);
  // A daemon that runs would have it back within a second.
  await guest.sh(`${systemctl("kill -s STOP mem-agent")} && rm /run/mem-agent.sock`);
  const ask = await guest.run(insideSystemd("mem-agent status"));
  await guest.sh(systemctl("kill -s CONT mem-agent"));
  expect(ask.status).toBe(3);
  expect(ask.stderr).toContain('start it with "systemctl restart mem-agent"');
  await guest.sh(systemctl("restart mem-agent"));
  expect((await guest.run("mem-agent status")).status).toBe(0);
}

/** A daemon that hangs is killed and started again; the socket is not in the way. */
async function watchdog(guest: Guest): Promise<void> {
  expect(await serviceProperty(guest, "NRestarts")).toBe("0");
  await guest.sh(systemctl("kill -s STOP mem-agent"));
  await guest.until(async () => (await serviceProperty(guest, "NRestarts")) === "1", {
    deadlineMs: 60_000,
    what: "the watchdog restart a stopped agent",
    intervalMs: 500,
  });
  await guest.until(async () => (await guest.run("mem-agent status --json")).status === 0, {
    deadlineMs: 30_000,
    what: "the agent answer again",
  });
}
