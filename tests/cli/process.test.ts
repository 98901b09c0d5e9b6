/** What the program is as a process: names, variables, pipes, the daemon's two stages. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, linkSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkIgnoresVariables } from "../../build.ts";
import { version } from "../../src/cli/version.ts";
import { serveFakeDaemon } from "./fake-daemon.ts";
import { call, program, runToEnd } from "./program.ts";

const scratch = mkdtempSync(join(tmpdir(), "mem-agent-process-"));
beforeAll(() => program(), 60_000);
afterAll(() => rmSync(scratch, { recursive: true }));

const shells = ["bash", "zsh", "fish"] as const;

async function until<T>(what: string, look: () => T | null | Promise<T | null>): Promise<T> {
  const deadlineMs = performance.now() + 10_000;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > deadlineMs) throw new Error(`not within 10 s: ${what}`);
    await Bun.sleep(10);
  }
}

describe("the names of links", () => {
  const makers = { symlink: symlinkSync, link: linkSync, copy: copyFileSync } as const;
  for (const [kind, make] of Object.entries(makers)) {
    test(`mem-agent-srv and mem-agent-ctl as a ${kind}`, async () => {
      const directory = mkdtempSync(join(scratch, "links-"));
      const [server, control] = [join(directory, "mem-agent-srv"), join(directory, "mem-agent-ctl")];
      // A hard link cannot leave its file system: the program is copied beside it first.
      copyFileSync(await program(), join(directory, "mem-agent"));
      for (const link of [server, control]) make(join(directory, "mem-agent"), link);

      const wrong = await runToEnd([server, "--memcg-disabled", "perhaps"]);
      expect(wrong).toMatchObject({ code: 2, stdout: "" });
      expect(wrong.stderr).toContain("mem-agent-srv: --memcg-disabled");
      expect((await runToEnd([server, "--version"])).stdout).toBe(`mem-agent-srv ${version}\n`);
      expect((await runToEnd([control, "serve"])).code).toBe(2);

      await using daemon = await serveFakeDaemon();
      const set = await runToEnd([control, "memcgset", "--memcg-disabled", "true"], { MEM_AGENT_ADDR: daemon.path });
      expect(set).toMatchObject({ code: 0, stderr: "" });
      expect(daemon.daemon.asked).toHaveLength(1);
    });
  }

  test("by name, through PATH", async () => {
    const directory = mkdtempSync(join(scratch, "path-"));
    symlinkSync(await program(), join(directory, "mem-agent-ctl"));
    const ended = await runToEnd(["sh", "-c", "mem-agent-ctl --version"], { PATH: `${directory}:/usr/bin:/bin` });
    expect(ended.stdout).toBe(`mem-agent-ctl ${version}\n`);
  });
});

describe("the environment", () => {
  test("nothing turns the program into Bun", async () => checkIgnoresVariables(await program()));

  test("what the handover variable of another process says is ignored", async () => {
    for (const text of ['{"pid":1,"options":{}}', "{", "null"]) {
      expect((await call(["--version"], { MEM_AGENT_SERVE: text })).stdout).toBe(`mem-agent ${version}\n`);
    }
  });
});

test("a reader that goes away is no error", async () => {
  const path = await program();
  const ended = await runToEnd(["bash", "-c", `set -o pipefail; "${path}" config schema | head -c 1`]);
  expect(ended).toEqual({ code: 0, stdout: "{", stderr: "" });
});

describe("completions pass the shells' own check", () => {
  for (const shell of shells) {
    test.if(Bun.which(shell) !== null)(shell, async () => {
      const script = join(scratch, `completions.${shell}`);
      await Bun.write(script, (await call(["completions", shell])).stdout);
      expect(await runToEnd([shell, "-n", script])).toEqual({ code: 0, stdout: "", stderr: "" });
    });
  }

  test("bash offers what may follow", async () => {
    const script = `PATH="\${1%/*}:$PATH"; source <("$1" completions bash)
      offer() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mem_agent; echo "\${COMPREPLY[*]}"; }
      offer mem-agent memcgst
      offer mem-agent config ch
      offer mem-agent memcgset --memcg-swapp
      offer mem-agent memcgset --memcg-swap t
      offer mem-agent loglevelset cr`;
    const { stdout } = await runToEnd(["bash", "-c", script, "bash", await program()]);
    expect(stdout.split("\n")).toEqual(["memcgstatus", "check", "--memcg-swappiness-max", "true", "critical", ""]);
  });

  test.if(Bun.which("fish") !== null)("fish offers what may follow, with what it means", async () => {
    const script = `set PATH (path dirname $argv[1]) $PATH
      mem-agent completions fish | source
      complete -C "mem-agent loglevelset cr"
      complete -C "mem-agent memcgset --memcg-swapp"`;
    const { stdout } = await runToEnd(["fish", "--no-config", "-c", script, await program()]);
    expect(stdout).toMatch(/^critical\n--memcg-swappiness-max\t\S.*\n$/);
  });
});

test("events are one JSON object a line, as they happen", async () => {
  await using daemon = await serveFakeDaemon();
  const child = Bun.spawn([await program(), "events", "--addr", daemon.path], { stdout: "pipe", stderr: "inherit" });
  await until("a listener", () => (daemon.daemon.events.heard ? true : null));
  daemon.daemon.events.emit({ event: "warning_cleared", key: "lru_gen_off" });
  const { value } = await child.stdout.getReader().read();
  expect(JSON.parse(Buffer.from(value ?? []).toString())).toMatchObject({
    event: "warning_cleared",
    key: "lru_gen_off",
  });
  child.kill("SIGINT");
  await child.exited;
});

for (const [what, stops, code, said] of [
  ["stops", true, 0, "the daemon has stopped"],
  ["is killed", false, 1, "the connection ended; the daemon may be gone"],
] as const) {
  test(`events says when the daemon ${what}`, async () => {
    const daemon = await serveFakeDaemon();
    const ended = runToEnd([await program(), "events", "--addr", daemon.path]);
    await until("a listener", () => (daemon.daemon.events.heard ? true : null));
    if (stops) daemon.daemon.events.emit({ event: "stopped" });
    await daemon[Symbol.asyncDispose]();
    expect(await ended).toMatchObject({ code, stderr: `mem-agent events: ${said}\n` });
  });
}

describe("serve", () => {
  test("becomes the daemon under its own PID, without what steers the runtime, and ends cleanly", async () => {
    const directory = mkdtempSync(join(scratch, "serve-"));
    const addr = join(directory, "s.sock");
    const args = ["serve", "--addr", addr, "--memcg-disabled", "--compact-disabled", "--log-file", "agent.log"];
    const child = Bun.spawn([await program(), ...args], {
      cwd: directory,
      env: { BUN_OPTIONS: "--smol", NODE_OPTIONS: "--x", BUN_JSC_useJIT: "0", SECRET: "1", TZ: "UTC" },
      stdout: "inherit",
      stderr: "pipe",
    });
    const status = await until("an answer", async () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${await new Response(child.stderr).text()}`);
      const { code, stdout } = await call(["status", "--json", "--addr", addr]);
      return code === 0 ? (JSON.parse(stdout) as { pid: number }) : null;
    });
    expect(status.pid).toBe(child.pid);
    const read = (name: string): string[] => readFileSync(`/proc/${child.pid}/${name}`, "utf8").split("\0");
    const names = read("environ").map((entry) => entry.slice(0, entry.indexOf("=")));
    expect(names).toContain("BUN_JSC_forceMiniVMMode");
    expect(names).toContain("TZ");
    for (const name of ["BUN_OPTIONS", "NODE_OPTIONS", "BUN_JSC_useJIT", "SECRET"]) expect(names).not.toContain(name);
    expect(read("cmdline").slice(1, -1)).toEqual(args);
    expect(readFileSync(`/proc/${child.pid}/comm`, "utf8")).toBe("mem-agent\n");
    expect(readlinkSync(`/proc/${child.pid}/cwd`)).toBe("/");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(readFileSync(join(directory, "agent.log"), "utf8")).toMatch(
      /started.*\n.*nothing is evicted: memcg is disabled/,
    );
  });

  test("a file that was named has to be there and right", async () => {
    const addr = join(scratch, "no.sock");
    const missing = await call(["serve", "--addr", addr, "--config", "/nonexistent/mem-agent.toml"]);
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect(missing.stderr).toContain("/nonexistent/mem-agent.toml");
    const bad = join(scratch, "bad.toml");
    await Bun.write(bad, "[memcg]\nswap = 3\nswaap = true\n");
    const wrong = await call(["serve", "--addr", addr, "--config", bad]);
    expect(wrong).toMatchObject({ code: 1, stdout: "" });
    expect(wrong.stderr).toContain(`mem-agent serve: ${bad}:2:1: memcg.swap`);
    expect(wrong.stderr).toContain(`mem-agent serve: ${bad}:3:1: memcg.swaap`);
  });
});
