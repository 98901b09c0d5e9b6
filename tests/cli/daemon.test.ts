/** The compiled daemon on this machine, both features off so that it touches nothing: what may steer it, what it leaves. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, program } from "./program.ts";

const scratch = mkdtempSync(join(tmpdir(), "mem-agent-daemon-"));
beforeAll(() => program(), 60_000);
afterAll(() => rmSync(scratch, { recursive: true }));

interface Started extends AsyncDisposable {
  readonly pid: number;
  readonly addr: string;
  end(signal: NodeJS.Signals): Promise<number>;
}

/** The daemon in a folder of its own; ended with the test. */
async function start(folder: string, environment: Readonly<Record<string, string>> = {}): Promise<Started> {
  const addr = join(folder, "run/control.sock");
  const args = ["--config", join(folder, "agent.toml"), "--addr", addr, "--log-file", join(folder, "agent.log")];
  writeFileSync(join(folder, "agent.toml"), "[memcg]\ndisabled = true\n[compact]\ndisabled = true\n", { mode: 0o644 });
  const child = Bun.spawn([await program(), "serve", ...args], {
    cwd: join(folder, "cwd"),
    env: { PATH: "/nonexistent", ...environment },
    stdout: "inherit",
    stderr: "inherit",
  });
  for (let attempt = 0; (await call(["status", "--addr", addr])).code !== 0; attempt++) {
    if (attempt > 100 || child.exitCode !== null) throw new Error(`no answer; exit ${child.exitCode}`);
    await Bun.sleep(20);
  }
  const end = async (signal: NodeJS.Signals): Promise<number> => {
    child.kill(signal);
    return await child.exited;
  };
  return {
    pid: child.pid,
    addr,
    end,
    async [Symbol.asyncDispose]() {
      await end("SIGKILL");
    },
  };
}

/** Whether SIGHUP is ignored or handled: the lowest bit of the masks in /proc/PID/status. */
function takesHangUps(pid: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return ["SigIgn", "SigCgt"].some(
    (mask) => (BigInt(`0x${new RegExp(`^${mask}:\\s*(\\w+)`, "m").exec(status)?.[1] ?? "0"}`) & 1n) === 1n,
  );
}

function folderFor(name: string): string {
  const folder = join(scratch, name);
  mkdirSync(join(folder, "cwd"), { recursive: true });
  return folder;
}

describe("the daemon", () => {
  test("is deaf to what would steer Bun: variables, and files of its working directory", async () => {
    const folder = folderFor("steered");
    const trap = join(folder, "trap");
    writeFileSync(join(folder, "preload.ts"), `require("node:fs").writeFileSync(${JSON.stringify(trap)}, "");`);
    writeFileSync(join(folder, "cwd/bunfig.toml"), `preload = ["../preload.ts"]\n`);
    writeFileSync(join(folder, "cwd/.env"), "MEM_AGENT_ADDR=/nonexistent\nBUN_JSC_useJIT=0\n");
    await using daemon = await start(folder, {
      BUN_OPTIONS: `--preload ${join(folder, "preload.ts")}`,
      BUN_BE_BUN: "1",
      BUN_INSPECT: "ws://localhost:9/x",
      NODE_OPTIONS: "--require ./preload.ts",
    });
    expect(readdirSync(folder)).not.toContain("trap");
    const environment = readFileSync(`/proc/${daemon.pid}/environ`, "utf8");
    expect(environment).not.toMatch(/BUN_OPTIONS|BUN_BE_BUN|BUN_INSPECT|NODE_OPTIONS|MEM_AGENT_ADDR|useJIT/);
    expect(await daemon.end("SIGTERM")).toBe(0);
  });

  test("is not ended by SIGHUP at any moment of its start, once its first stage runs", async () => {
    const folder = folderFor("hung-up");
    const addr = join(folder, "run/control.sock");
    const args = ["--addr", addr, "--log-file", join(folder, "log"), "--config", join(folder, "none.toml")];
    writeFileSync(join(folder, "none.toml"), "[memcg]\ndisabled = true\n[compact]\ndisabled = true\n", { mode: 0o644 });
    const child = Bun.spawn([await program(), "serve", ...args], { env: {}, stdout: "inherit", stderr: "inherit" });
    try {
      let stage = "";
      do {
        stage = readFileSync(`/proc/${child.pid}/environ`, "utf8").includes("MEM_AGENT_SERVE=") ? "second" : "first";
        await Bun.sleep(0);
      } while (!takesHangUps(child.pid));
      expect(stage).toBe("first");
      let sent = 0;
      for (; child.exitCode === null && child.signalCode === null && !existsSync(addr); sent++) {
        child.kill("SIGHUP");
        await Bun.sleep(0);
      }
      expect(sent).toBeGreaterThan(0);
      expect((await call(["status", "--addr", addr])).code).toBe(0);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  });

  test("makes files for root alone, also without a umask, and leaves none behind", async () => {
    const folder = folderFor("modes");
    const before = process.umask(0);
    const temporary = join(folder, "tmp");
    mkdirSync(temporary);
    try {
      await using daemon = await start(folder, { TMPDIR: temporary });
      const saved = await call(["memcgset", "--memcg-period-secs", "7", "--save", "--addr", daemon.addr]);
      expect(saved).toMatchObject({ code: 0, stderr: "" });
      const mode = (name: string): string => (lstatSync(join(folder, name)).mode & 0o777).toString(8);
      expect([mode("run/control.sock"), mode("agent.log"), mode("run")]).toEqual(["600", "600", "755"]);
      expect(await daemon.end("SIGTERM")).toBe(0);
    } finally {
      process.umask(before);
    }
    expect(readdirSync(join(folder, "run"))).toEqual([]);
    expect(readdirSync(folder).toSorted()).toEqual(["agent.log", "agent.toml", "cwd", "run", "tmp"]);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test("does not need the folder that it was started in", async () => {
    const folder = folderFor("gone");
    await using daemon = await start(folder);
    expect(readFileSync(`/proc/${daemon.pid}/cmdline`, "utf8")).toContain("serve");
    rmSync(join(folder, "cwd"), { recursive: true });
    writeFileSync(join(folder, "agent.toml"), "[memcg]\ndisabled = true\nswap = true\n[compact]\ndisabled = true\n");
    expect((await call(["reload", "--addr", daemon.addr])).code).toBe(0);
    expect((await call(["config", "show", "--addr", daemon.addr])).stdout).toMatch(/memcg\.swap\s+true\s+file/);
    expect(await daemon.end("SIGINT")).toBe(0);
  });

  test("tells those who listen that it stops, before their stream ends", async () => {
    const folder = folderFor("stopped");
    await using daemon = await start(folder);
    const events = Bun.spawn([await program(), "events", "--addr", daemon.addr], { stdout: "pipe", env: {} });
    let text = "";
    const collected = (async () => {
      for await (const chunk of events.stdout) text += Buffer.from(chunk).toString();
    })();
    // It listens once it has heard of a change.
    for (let value = 1; !text.includes("setting_changed") && value < 100; value++)
      await call(["memcgset", "--memcg-swappiness-max", String(value), "--addr", daemon.addr]);
    expect(await daemon.end("SIGTERM")).toBe(0);
    await collected;
    expect(JSON.parse(text.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({ event: "stopped" });
    expect(await events.exited).toBe(0);
  });

  test("ends with status 0 as soon as its socket is there, before anybody asked it anything", async () => {
    const folder = folderFor("early");
    const addr = join(folder, "control.sock");
    const command = [await program(), "serve", "--memcg-disabled", "--compact-disabled", "--addr", addr];
    const child = Bun.spawn(command, { env: {}, stdout: "ignore", stderr: "ignore" });
    const deadlineMs = performance.now() + 10_000;
    while (!readdirSync(folder).includes("control.sock") && performance.now() < deadlineMs) await Bun.sleep(0);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(readdirSync(folder)).toEqual(["cwd"]);
  });
});
