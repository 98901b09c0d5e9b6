/** One daemon a machine: who holds the lock, what a second one is told, and what is left when it ends. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readBootSettings, readSettings } from "../../../src/agent/daemon/config-file.ts";
import { Daemon } from "../../../src/agent/daemon/daemon.ts";
import { startText } from "../../../src/api/client.ts";
import { Fault, isFault } from "../../../src/base/fault.ts";
import { Log } from "../../../src/base/log.ts";
import type { SettingsOverrides } from "../../../src/config/schema.ts";
import { DaemonLock } from "../../../src/system/daemon-lock.ts";
import { runningDaemon, serviceOf } from "../../../src/system/running-daemon.ts";
import { SteppedClock } from "./stepped-clock.ts";

let top: string;
const open: Daemon[] = [];

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "mem-agent-lock-"));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((daemon) => daemon.stop()));
  rmSync(top, { recursive: true });
});

const lockFile = (): string => join(top, "run/mem-agent.lock");

async function daemonOf(flags: SettingsOverrides): Promise<Daemon> {
  const file = join(top, "agent.toml");
  const clock = new SteppedClock();
  const said = { ...flags, log: { file: join(top, "log") } };
  const live = await readSettings(file, said, readBootSettings(top));
  const log = new Log({ ...live.settings.log, descriptor: 2, journal: false, clock });
  const daemon = new Daemon({ version: "1", file, dryRun: false, kernelRoot: top, clock, log }, live);
  open.push(daemon);
  return daemon;
}

const off: SettingsOverrides = { memcg: { disabled: true }, compact: { disabled: true } };
const aRule: SettingsOverrides = {
  memcg: { disabled: true, cgroups: [{ path: "/a", disabled: false }] },
  compact: { disabled: true },
};

async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (isFault(error, "busy")) return error.message;
    throw error;
  }
  return "";
}

describe("the lock", () => {
  test("is one process's, private, says who and where, and leaves nothing", () => {
    const lock = DaemonLock.take(top);
    expect(lock).not.toBeNull();
    expect((lstatSync(lockFile()).mode & 0o777).toString(8)).toBe("600");
    expect(DaemonLock.take(top)).toBeNull();
    expect(runningDaemon(top)).toBeNull();
    lock?.note({ pid: 4711, addr: "unix:///run/x" });
    lock?.note({ pid: 1, addr: "unix:///x" });
    expect(runningDaemon(top)).toEqual({ pid: 1, addr: "unix:///x" });
    lock?.[Symbol.dispose]();
    expect(existsSync(lockFile())).toBe(false);
  });

  test("of a process that was killed is nobody's, and no child inherits it", async () => {
    const script = `
      const { DaemonLock } = await import(${JSON.stringify(join(import.meta.dir, "../../../src/system/daemon-lock.ts"))});
      DaemonLock.take(process.argv[1]).note({ pid: process.pid, addr: "unix:///x" });
      const child = Bun.spawn(["sleep", "20"]);
      console.log(child.pid);
      setInterval(() => {}, 1000);`;
    const holder = Bun.spawn([process.execPath, "-e", script, top], { stdout: "pipe" });
    const childPid = Number(Buffer.from((await holder.stdout.getReader().read()).value ?? []).toString());
    try {
      expect(DaemonLock.take(top)).toBeNull();
      holder.kill("SIGKILL");
      await holder.exited;
      const lock = DaemonLock.take(top);
      expect(lock).not.toBeNull();
      lock?.[Symbol.dispose]();
    } finally {
      process.kill(childPid, "SIGKILL");
    }
  });

  test("is never a link's target", () => {
    mkdirSync(join(top, "run"));
    writeFileSync(join(top, "precious"), "keep me");
    Bun.spawnSync(["ln", "-s", "../precious", lockFile()]);
    expect(() => DaemonLock.take(top)).toThrow(/cannot lock .*mem-agent\.lock/);
    expect(readFileSync(join(top, "precious"), "utf8")).toBe("keep me");
  });
});

describe("a second daemon", () => {
  test("with something to do is refused, before anything is touched, and told what to do instead", async () => {
    const first = await daemonOf(aRule);
    first.claim();
    const second = await daemonOf({ compact: { disabled: true } });
    const message = await messageOf(() => second.start());
    expect(message).toStartWith(`cannot start: mem-agent already runs on this machine, as process ${process.pid}`);
    expect(message).toContain("memcgset");
    expect(message).not.toContain("--addr");
    await first.stop();
    expect(await messageOf(() => second.claim())).toBe("");
  });

  test("with everything off may run, and may switch nothing on meanwhile", async () => {
    const first = await daemonOf(aRule);
    first.claim();
    const second = await daemonOf(off);
    second.start();
    const change = { disabled: false };
    for (const save of [false, true]) {
      const message = await messageOf(() => second.memcgSet(change, { save }));
      expect(message).toContain("mem-agent already runs on this machine");
    }
    expect(existsSync(join(top, "agent.toml"))).toBe(false);
    expect(second.memcgStatus().disabled).toBe(true);
    expect((await second.memcgSet({ swap: true }, { save: false })).changes).toHaveLength(1);
  });
});

test("where no lock can be made, nothing is locked, which is said once", async () => {
  const daemon = await daemonOf(aRule);
  const taking = spyOn(DaemonLock, "take").mockImplementation(() => {
    throw new Fault("denied", "cannot lock it");
  });
  try {
    daemon.claim();
    daemon.claim();
    expect((await daemon.memcgSet({ swap: true }, { save: false })).changes).toHaveLength(1);
    expect(taking).toHaveBeenCalledTimes(1);
  } finally {
    taking.mockRestore();
  }
  expect(readFileSync(join(top, "log"), "utf8")).toMatch(
    /^[^\n]* warn +cannot lock it\n[^\n]*setting changed[^\n]*\n$/,
  );
});

test("the address is noted, and again when the socket has moved", async () => {
  const daemon = await daemonOf(aRule);
  daemon.claim();
  expect(runningDaemon(top)?.addr).toBe("unix:///run/mem-agent.sock");
  writeFileSync(join(top, "agent.toml"), '[control]\naddr = "/run/other.sock"\n', { mode: 0o600 });
  await daemon.reload();
  daemon.noteSocket("cannot listen there");
  expect(runningDaemon(top)?.addr).toBe("unix:///run/mem-agent.sock");
  daemon.noteSocket(null);
  expect(runningDaemon(top)?.addr).toBe("/run/other.sock");
});

describe("systemd", () => {
  const cgroups: readonly [text: string, service: string | null][] = [
    ["0::/system.slice/mem-agent.service\n", "mem-agent.service"],
    ["12:memory:/system.slice/x.service/y\n0::/\n", "x.service"],
    ["0::/user.slice/user-0.slice/session-1.scope\n", null],
    ["", null],
  ];
  for (const [text, service] of cgroups) {
    test(`${JSON.stringify(text)} is ${service ?? "no service"}`, () => {
      mkdirSync(join(top, "proc/7"), { recursive: true });
      writeFileSync(join(top, "proc/7/cgroup"), text);
      expect(serviceOf(top, 7)).toBe(service);
    });
  }

  test("starts the daemon where it is installed as a service; else `serve` does", () => {
    expect(startText(top)).toBe('start it with "mem-agent serve"');
    mkdirSync(join(top, "etc/systemd/system"), { recursive: true });
    writeFileSync(join(top, "etc/systemd/system/mem-agent.service"), "");
    expect(startText(top)).toBe('start it with "mem-agent serve"');
    mkdirSync(join(top, "run/systemd/system"), { recursive: true });
    expect(startText(top)).toBe('start it with "systemctl restart mem-agent"');
  });
});
