/** Settings of a real daemon: the original's command lines through links, lists, the file while it runs, saving. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SettingInForce } from "../../src/config/in-force.ts";
import type { AgentStatus } from "../../src/agent/status.ts";
import { type Ended, program, runToEnd } from "./program.ts";

const scratch = mkdtempSync(join(tmpdir(), "mem-agent-settings-"));
const [server, control] = [join(scratch, "mem-agent-srv"), join(scratch, "mem-agent-ctl")];
const file = join(scratch, "mem-agent.toml");

beforeAll(async () => {
  for (const link of [server, control]) symlinkSync(await program(), link);
}, 60_000);
afterAll(() => rmSync(scratch, { recursive: true }));

const fileText = `# How we run it.
[memcg]
period_secs = 120   # two minutes
swap = true

[compact]
disabled = true
`;

class RunningServer implements AsyncDisposable {
  readonly #child: Bun.Subprocess;
  readonly #environment: Readonly<Record<string, string>>;

  private constructor(child: Bun.Subprocess, environment: Readonly<Record<string, string>>) {
    this.#child = child;
    this.#environment = environment;
  }

  /** Memcg is disabled in each: what these tests are about needs nothing of the kernel then. */
  static async start(flags: readonly string[], address = join(scratch, "ctl.sock")): Promise<RunningServer> {
    const child = Bun.spawn([server, "--addr", address, ...flags], { stdout: "inherit", stderr: "ignore", env: {} });
    const running = new RunningServer(child, { MEM_AGENT_ADDR: address });
    await until("an answer", async () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      return (await running.ctl("status")).code === 0;
    });
    return running;
  }

  ctl(...args: readonly string[]): Promise<Ended> {
    return runToEnd([control, ...args], this.#environment);
  }

  /** What the command wrote, which went well. */
  async done(...args: readonly string[]): Promise<string> {
    const ended = await this.ctl(...args);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    return ended.stdout;
  }

  async status(): Promise<AgentStatus> {
    return JSON.parse(await this.done("status", "--json")) as AgentStatus;
  }

  /** Value and origin by name, `memcg.swap`, or `path=/a: memcg.swap` for a rule. */
  async shown(): Promise<Readonly<Record<string, readonly [unknown, string]>>> {
    const settings = JSON.parse(await this.done("config", "show", "--json")) as readonly SettingInForce[];
    return Object.fromEntries(
      settings.map(({ key, rule, value, origin }) => [rule === null ? key : `${rule}: ${key}`, [value, origin]]),
    );
  }

  signal(name: "SIGHUP" | "SIGTERM"): void {
    this.#child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    expect(await this.#child.exited).toBe(0);
  }
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`not within 10 s: ${what}`);
    await Bun.sleep(20);
  }
}

test("the original's command lines run as they are", async () => {
  await using running = await RunningServer.start(
    ["--memcg-disabled", "true", "--memcg-swap", "false", "--memcg-swappiness-max", "60"].concat(
      [
        "--memcg-period-secs",
        "300",
        "--memcg-period-psi-percent-limit",
        "2",
        "--memcg-eviction-psi-percent-limit",
        "3",
      ],
      ["--memcg-eviction-run-aging-count-min", "4", "--compact-disabled", "true", "--compact-period-secs", "301"],
      ["--compact-period-psi-percent-limit", "4", "--compact-psi-percent-limit", "6", "--compact-sec-max", "30"],
      ["--compact-order", "8", "--compact-threshold", "2048", "--compact-force-times", "18446744073709551615"],
      ["--log-level", "warning", "--config", fileOf("")],
    ),
  );
  const shown = await running.shown();
  for (const [key, value] of Object.entries({
    "log.level": "warn",
    "memcg.disabled": true,
    "memcg.swap": false,
    "memcg.swappiness_max": 60,
    "memcg.period_secs": 300,
    "memcg.period_psi_percent_limit": 2,
    "memcg.eviction_psi_percent_limit": 3,
    "memcg.eviction_run_aging_count_min": 4,
    "compact.disabled": true,
    "compact.order": 8,
    "compact.threshold": 2048,
    "compact.force_times": "never",
  })) {
    expect([key, shown[key]]).toEqual([key, [value, "flag"]]);
  }
  expect(await running.done("memcgset", "--memcg-disabled", "true")).toContain("already set");
  expect(await running.done("memcgset", "--memcg-swap=true", "--memcg-swappiness-max", "70")).toContain("60 -> 70");
  expect(await running.done("compactset", "--compact-force-times", "9223372036854775807")).toContain("already");
  expect(await running.done("compactset", "--compact-order", "7")).toContain("8 -> 7");
  await running.done("loglevelset", "debug");
  expect((await running.shown())["log.level"]).toEqual(["debug", "socket"]);
  for (const verb of ["memcgstatus", "compactstatus"]) expect(await running.done(verb)).toContain("disabled");
});

function fileOf(text: string): string {
  writeFileSync(file, text);
  return file;
}

test("lists of rules: with serve, added, changed, deleted, and all or nothing", async () => {
  await using running = await RunningServer.start(
    ["--memcg-disabled", "--compact-disabled", "--config", fileOf("")].concat([
      "--memcg-cgroups",
      "path=/a,period-secs=300",
      "path=/b,disabled=true",
      "--memcg-cgroups",
      "path=c/,numa-id=2:1",
    ]),
  );
  const rulesOf = async (): Promise<string[]> =>
    Object.entries(await running.shown()).flatMap(([key, [value, origin]]) =>
      key.startsWith("path=") && !key.endsWith("no_subdir") ? [`${key} = ${String(value)} (${origin})`] : [],
    );
  expect(await rulesOf()).toEqual(["path=/a: memcg.period_secs = 300 (flag)", "path=/b: memcg.disabled = true (flag)"]);
  const edits = ["--memcg-add", "path=/d,numa-id=1:2,swap", "path=/e,swappiness-max=200"];
  await running.done("memcgset", ...edits, "--memcg-set", "path=a/,period-secs=60", "--memcg-del", "path=/b");
  await running.done("memcgset", "--memcg-del", "path=/c,numa-id=1:2");
  expect(await rulesOf()).toEqual([
    "path=/a: memcg.period_secs = 60 (socket)",
    "path=/d,numa-id=1:2: memcg.swap = true (socket)",
    "path=/e: memcg.swappiness_max = 200 (socket)",
  ]);
  const before = await rulesOf();
  const refused = await running.ctl("memcgset", "--memcg-swap", "--memcg-add", "path=/a", "--memcg-del", "path=/x");
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toContain("there is no rule path=/x");
  expect(refused.stderr).toContain("the rule path=/a is there already");
  expect(await rulesOf()).toEqual(before);
  expect((await running.shown())["memcg.swap"]).toEqual([false, "default"]);
  const tooLarge = await running.ctl("memcgset", "--memcg-add", "path=/f,swappiness-max=456");
  expect(tooLarge).toMatchObject({ code: 2, stdout: "" });
  expect(tooLarge.stderr).toContain("456");
});

test("the file while the daemon runs: edited, broken, mended, saved into", async () => {
  await using running = await RunningServer.start(["--memcg-disabled", "--config", fileOf(fileText)]);
  expect((await running.shown())["memcg.period_secs"]).toEqual([120, "file"]);
  expect((await runToEnd(["sed", "-i", "s/= 120/= 121/", file])).code).toBe(0);
  await until("the edit in force", async () => (await running.shown())["memcg.period_secs"]?.[0] === 121);

  writeFileSync(file, fileText.replace("true", "3").replace("period_secs", "period_sec"));
  await until("the warning", async () => (await running.status()).health === "warning");
  const told = await running.done("status");
  expect(told).toContain(`${file}:3:1: memcg.period_sec`);
  expect(told).toContain(`${file}:4:1: memcg.swap`);
  const again = await running.ctl("reload");
  expect([again.code, again.stderr.split("\n").filter((line) => line.includes(file)).length]).toEqual([4, 2]);
  expect((await running.shown())["memcg.period_secs"]).toEqual([121, "file"]);
  const check = await runToEnd([control, "config", "check", file]);
  expect([check.code, check.stderr.split("\n").length - 1]).toEqual([1, 2]);

  renameSync(file, `${file}.bad`);
  writeFileSync(file, fileText);
  running.signal("SIGHUP");
  await until("the warning gone", async () => (await running.status()).health === "ok");

  const args = ["--memcg-period-secs", "90", "--memcg-add", "path=/a,disabled", "--save"];
  expect(await running.done("memcgset", ...args)).toContain(`saved in ${file}`);
  const rule = '\n[[memcg.cgroups]]\npath = "/a"\ndisabled = true\n';
  expect(readFileSync(file, "utf8")).toBe(`${fileText.replace("= 120 ", "= 90 ")}${rule}`);
  expect(await running.done("reload")).toContain("nothing changed");
});

function idleAt(address: string): string {
  return `[memcg]\ndisabled = true\n[compact]\ndisabled = true\n[control]\naddr = "${address}"\n`;
}

test("a socket address in the file is moved to when it changes", async () => {
  const [first, second] = [join(scratch, "one.sock"), join(scratch, "two.sock")];
  await using running = await RunningServer.start(["--config", fileOf(idleAt(first))], first);
  writeFileSync(file, idleAt(second));
  await until("an answer there", async () => (await runToEnd([control, "status", "--addr", second])).code === 0);
  expect((await running.ctl("status")).code).toBe(3);
});
