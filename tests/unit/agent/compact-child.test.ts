import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { compactChildCommand, runCompactChild } from "../../../src/agent/compact/child.ts";
import { compactGuarded, spawnCompactChild, type CompactionOutcome } from "../../../src/agent/compact/process.ts";
import { defaultSettings } from "../../../src/config/schema.ts";
import { CompactKernel } from "./compact-kernel.ts";

let kernel: CompactKernel;

beforeEach(() => {
  kernel = new CompactKernel();
});

afterEach(() => {
  kernel[Symbol.dispose]();
});

async function guarded(script: string, abortAfterMs: number | null = null): Promise<CompactionOutcome> {
  const abort = new AbortController();
  if (abortAfterMs !== null) systemClock.after(abortAfterMs, () => abort.abort());
  return compactGuarded({
    root: kernel.root,
    clock: systemClock,
    command: ["/bin/sh", "-c", script],
    spawn: (command) => {
      kernel.stall(0);
      return spawnCompactChild(command);
    },
    settings: { ...defaultSettings.compact, sec_max: 1 },
    own: null,
    signal: abort.signal,
    onStart: () => {},
  });
}

describe("the child", () => {
  const memoryFile = "proc/sys/vm/compact_memory";
  const said: string[] = [];
  const told: string[] = [];

  beforeEach(() => {
    said.length = 0;
    told.length = 0;
  });

  function child(): number {
    return runCompactChild(
      [kernel.root],
      () => void told.push(existsSync(join(kernel.root, memoryFile)) ? "ready" : "ready without the sysctl"),
      (line) => void said.push(line),
    );
  }

  test("compacts all memory with one write", () => {
    expect(child()).toBe(0);
    expect(readFileSync(join(kernel.root, memoryFile), "utf8")).toBe("1");
    expect(said).toEqual([]);
    expect(told).toEqual(["ready"]);
  });

  test("compacts node by node where the sysctl is hidden", () => {
    kernel.remove(memoryFile);
    for (const node of [0, 3]) {
      mkdirSync(join(kernel.root, `sys/devices/system/node/node${node}`), { recursive: true });
      writeFileSync(join(kernel.root, `sys/devices/system/node/node${node}/compact`), "");
    }
    expect(child()).toBe(0);
    for (const node of [0, 3]) {
      expect(readFileSync(join(kernel.root, `sys/devices/system/node/node${node}/compact`), "utf8")).toBe("1");
    }
  });

  test("says what is missing in a kernel without compaction", () => {
    kernel.remove(memoryFile);
    expect(child()).toBe(1);
    expect(said.join("")).toMatch(/^cannot write .*compact_memory.*\n$/);
  });

  test.each([[[]], [["/", "more"]]])("refuses arguments %p", (args) => {
    expect(
      runCompactChild(
        args,
        () => void told.push("ready"),
        (line) => void said.push(line),
      ),
    ).toBe(2);
    expect(said.join("")).toContain("use `mem-agent run compact`");
    expect(told).toEqual([]);
  });

  test("is this program again", () => {
    const command = compactChildCommand();
    expect(command[0]).toBe(process.execPath);
    expect(command.at(-1)).toBe("compact-child");
  });
});

describe("a real process", () => {
  test.each([
    ["that succeeds", "exit 0", { end: "done", error: null }],
    ["that fails", "exit 3", { end: "failed", error: "exit 3" }],
    ["that says why", "echo no compaction here >&2; exit 1", { end: "failed", error: "exit 1: no compaction here" }],
    ["that somebody kills", "kill -KILL $$", { end: "failed", error: "killed by SIGKILL" }],
    ["that takes too long", "exec sleep 20", { end: "timeout", error: null }],
  ] as const)("%s", async (_name, script, outcome) => {
    expect(await guarded(script)).toEqual({ ...outcome, stall: null, lingering: null });
  });

  test("is killed when the agent ends", async () => {
    const startMs = performance.now();
    expect(await guarded("exec sleep 20", 100)).toEqual({ end: "stopped", error: null, stall: null, lingering: null });
    expect(performance.now() - startMs).toBeLessThan(900);
  });

  test("that cannot be started is a failure, not an exception", async () => {
    const program = join(kernel.root, "not-executable");
    writeFileSync(program, "");
    chmodSync(program, 0o644);
    const outcome = await compactGuarded({
      root: kernel.root,
      clock: systemClock,
      command: [program],
      spawn: spawnCompactChild,
      settings: defaultSettings.compact,
      own: null,
      signal: new AbortController().signal,
      onStart: () => {},
    });
    expect(outcome.end).toBe("failed");
    expect(outcome.error).toStartWith("cannot start the process: ");
    rmSync(program);
  });

  test("gets nothing of our environment", async () => {
    const said = await spawnCompactChild(["/bin/sh", "-c", "env >&2; pwd >&2; exit 1"]).ended;
    expect(said?.split("\n").filter((line) => !/^(_|SHLVL|PWD|OLDPWD)=/.test(line.replace("exit 1: ", "")))).toEqual([
      expect.stringMatching(/^exit 1: BUN_FEATURE_FLAG_NO_ORPHANS=1$|^BUN_FEATURE_FLAG_NO_ORPHANS=1$/),
      "/",
    ]);
  });

  test("ends when the agent is killed, though it is blocked in the kernel", async () => {
    const fifo = join(kernel.root, "fifo");
    expect(Bun.spawnSync(["mkfifo", fifo]).success).toBe(true);
    const blocked = `
      const { openSync, writeFileSync } = require("node:fs");
      writeFileSync(${JSON.stringify(`${fifo}-next`)}, "");
      openSync(${JSON.stringify(fifo)}, "r");
    `;
    const agent = `
      const { spawnCompactChild } = await import(${JSON.stringify(processModule)});
      console.log(spawnCompactChild([process.execPath, "-e", ${JSON.stringify(blocked)}]).pid);
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    `;
    const parent = Bun.spawn([process.execPath, "-e", agent], { stdout: "pipe", stderr: "inherit" });
    const { value } = await parent.stdout.getReader().read();
    const pid = Number(new TextDecoder().decode(value));
    await until("the child at its read", () => existsSync(`${fifo}-next`) && stateOf(pid) === "S");
    parent.kill("SIGKILL");
    await until("the child's end", () => stateOf(pid) === "Z" || stateOf(pid) === null);
  });
});

const processModule = join(import.meta.dir, "../../../src/agent/compact/process.ts");

/** The letter of /proc/PID/stat; null when the process is gone. */
function stateOf(pid: number): string | null {
  try {
    return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? null;
  } catch {
    return null;
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 4000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`did not see ${what} within 4 s`);
    await Bun.sleep(10);
  }
}
