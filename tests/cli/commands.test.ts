/** The command line as a table: arguments, exit code, stdout, stderr. The program is the compiled one. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../../src/cli/version.ts";
import { serveFakeDaemon, type ServedDaemon } from "./fake-daemon.ts";
import { call, program } from "./program.ts";

interface Row {
  readonly args: readonly string[];
  readonly code: number;
  /** Each must be found in the output; an empty list means that nothing is written. */
  readonly stdout?: readonly (string | RegExp)[];
  readonly stderr?: readonly (string | RegExp)[];
}

let daemon: ServedDaemon;
const scratch = mkdtempSync(join(tmpdir(), "mem-agent-cli-files-"));
const goodFile = join(scratch, "good.toml");
const badFile = join(scratch, "bad.toml");
const noSocket = join(scratch, "none.sock");

beforeAll(async () => {
  await program();
  daemon = await serveFakeDaemon();
  writeFileSync(goodFile, "[memcg]\nswap = true\n");
  writeFileSync(badFile, '[memcg]\nswap = 3\nperiod_sec = 5\n\n[compact]\norder = "x"\n');
}, 60_000);

afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
});

function expectParts(text: string, parts: readonly (string | RegExp)[]): void {
  if (parts.length === 0) expect(text).toBe("");
  for (const part of parts) expect(text).toMatch(part);
}

function table(rows: readonly Row[]): void {
  for (const { args, code, stdout = [], stderr = [] } of rows) {
    test(`mem-agent ${args.join(" ")}`, async () => {
      const ended = await call(args, { MEM_AGENT_ADDR: daemon.path });
      expectParts(ended.stderr, stderr);
      expectParts(ended.stdout, stdout);
      expect(ended.code).toBe(code);
    });
  }
}

describe("help and version", () => {
  table([
    { args: ["--help"], code: 0, stdout: ["mem-agent: gives back memory", /^ {2}memcgstatus +every cgroup/m] },
    { args: ["-h"], code: 0, stdout: ["Usage  mem-agent COMMAND"] },
    { args: ["--version"], code: 0, stdout: [`mem-agent ${version}`] },
    { args: ["-v"], code: 0, stdout: [`mem-agent ${version}`] },
    { args: ["help", "memcgset"], code: 0, stdout: ["--memcg-add", "--save"] },
    { args: ["help", "config", "check"], code: 0, stdout: ["config check [flags] [FILE]"] },
    {
      args: ["serve", "--help"],
      code: 0,
      stdout: ["--config FILE", /--memcg-period-secs .*\n?.*600/, "--compact-order"],
    },
    { args: ["memcgset", "-h"], code: 0, stdout: ["--memcg-add", "--save", "--addr ADDRESS"] },
    { args: ["run", "--help"], code: 0, stdout: [/^ {2}memcg /m, /^ {2}compact /m] },
    { args: ["run", "memcg", "--help"], code: 0, stdout: ["--dry-run"] },
    { args: ["memcgstatus", "--help"], code: 0, stdout: [/^Reasons .*/m, /^ {2}no_progress +the kernel freed/m] },
    { args: ["compactstatus", "--help"], code: 0, stdout: [/^ {2}free_fell +compacted/m, /^ {2}timeout +stopped/m] },
    { args: ["loglevelset", "--help"], code: 0, stdout: ["loglevelset [flags] LEVEL", "critical"] },
    { args: ["config", "check", "--help"], code: 0, stdout: ["config check [flags] [FILE]"] },
  ]);
});

describe("wrong usage sends nothing and names what was probably meant", () => {
  table([
    { args: [], code: 2, stderr: ["a command is missing", /^ {2}memcgstatus +every cgroup/m, "See: mem-agent --help"] },
    { args: ["memcgset", "--compact-order", "9"], code: 2, stderr: ["--compact-order is a flag of serve, compactset"] },
    { args: ["compactset", "--memcg-add", "path=/a"], code: 2, stderr: ["--memcg-add is a flag of memcgset"] },
    { args: ["status", "--dry-run"], code: 2, stderr: ["--dry-run is a flag of serve, run memcg"] },
    { args: ["sevre"], code: 2, stderr: ['unknown command "sevre"', '"serve"'] },
    { args: ["xyzzy"], code: 2, stderr: ['unknown command "xyzzy"', "serve, status"] },
    { args: ["--json", "status"], code: 2, stderr: ['unknown flag "--json"', "follow it"] },
    { args: ["config", "chekc"], code: 2, stderr: ['"check"', "See: mem-agent config --help"] },
    { args: ["run"], code: 2, stderr: [/^ {2}memcg +age/m, /^ {2}compact +compact/m] },
    { args: ["status", "--jsn"], code: 2, stderr: ['"--jsn"', '"--json"'] },
    { args: ["status", "extra"], code: 2, stderr: ['unexpected argument "extra"'] },
    { args: ["status", "--json=perhaps"], code: 2, stderr: ['"perhaps" is neither true nor false'] },
    { args: ["status", "--json", "--json"], code: 2, stderr: ["given twice"] },
    { args: ["status", "--addr"], code: 2, stderr: ["--addr needs a value"] },
    { args: ["status", "--addr", "run/x.sock"], code: 2, stderr: ["--addr", "absolute path"] },
    { args: ["memcgstatus", "--sort", "colt"], code: 2, stderr: ['"colt"', '"cold"', "path, cold, evicted, size"] },
    { args: ["memcgstatus", "--top", "0"], code: 2, stderr: ['--top "0"'] },
    { args: ["memcgstatus", "--path", "/a/../b"], code: 2, stderr: ["not a cgroup path"] },
    { args: ["explain"], code: 2, stderr: ["CGROUP is missing"] },
    { args: ["explain", "/a/../b"], code: 2, stderr: ["not a cgroup path"] },
    { args: ["history", "--since", "2w"], code: 2, stderr: ['--since "2w"', "30m or 2h"] },
    { args: ["memcgset"], code: 2, stderr: ["nothing to set", "--memcg-period-secs", "--memcg-add"] },
    { args: ["memcgset", "--save"], code: 2, stderr: ["nothing to set"] },
    { args: ["compactset"], code: 2, stderr: ["nothing to set", "--compact-order"] },
    { args: ["memcgset", "--memcg-perod-secs", "5"], code: 2, stderr: ["--memcg-perod-secs", '"--memcg-period-secs"'] },
    { args: ["memcgset", "--compact-order", "5"], code: 2, stderr: ["--compact-order"] },
    { args: ["memcgset", "--memcg-swap", "perhaps"], code: 2, stderr: ["true or false"] },
    {
      args: ["memcgset", "--memcg-swappiness-max", "201", "--memcg-period-secs", "0", "--bogus"],
      code: 2,
      stderr: ["--memcg-swappiness-max", "--memcg-period-secs", "--bogus"],
    },
    { args: ["loglevelset"], code: 2, stderr: ["LEVEL is missing"] },
    { args: ["loglevelset", "verbose"], code: 2, stderr: ["verbose", "trace"] },
    { args: ["serve", "--memcg-cgroups", "path=/a,periodsecs=3"], code: 2, stderr: ["period-secs"] },
    { args: ["serve", "--addr", "tcp://1"], code: 2, stderr: ["--addr"] },
    { args: ["completions"], code: 2, stderr: [/^ {2}bash +for bash/m, /^ {2}fish /m] },
    { args: ["metrics", "--rules", "--dashboard"], code: 2, stderr: ["not both"] },
    { args: ["doctor", "--adr", "/x"], code: 2, stderr: ['"--addr"'] },
  ]);

  test("and nothing was sent", () => expect(daemon.daemon.asked).toEqual([]));
});

describe("no daemon", () => {
  for (const args of [
    ["status"],
    ["memcgset", "--memcg-swap"],
    ["run", "memcg"],
    ["events"],
    ["metrics"],
    ["reload"],
  ]) {
    test(args.join(" "), async () => {
      const ended = await call([...args, "--addr", noSocket]);
      expect(ended.stderr).toContain(`cannot reach mem-agent at ${noSocket}`);
      expect(ended.stdout).toBe("");
      expect(ended.code).toBe(3);
    });
  }
});

describe("something else that answers", () => {
  for (const args of [["status"], ["metrics"], ["events"], ["memcgset", "--memcg-swap"]]) {
    test(args.join(" "), async () => {
      const path = join(scratch, "foreign.sock");
      const server = Bun.serve({ unix: path, fetch: () => new Response("<h1>a page</h1>") });
      try {
        const ended = await call([...args, "--addr", path]);
        expect(ended.stderr).toBe(
          `mem-agent ${args[0]}: cannot reach mem-agent at ${path}: what answers there is no mem-agent; name the socket of mem-agent with --addr\n`,
        );
        expect(ended).toMatchObject({ code: 3, stdout: "" });
      } finally {
        await server.stop(true);
      }
    });
  }
});

describe("status commands", () => {
  table([
    {
      args: ["status"],
      code: 0,
      stdout: [
        `mem-agent ${version} on web-1  ok   up`,
        /^Saved now {5}62\.0 MiB {3}evicted 64\.0 MiB, came back 2\.0 MiB {3}free for the host 400 MiB of 512 MiB$/m,
        /^Next {10}eviction in about 2 min \(\d\d:\d\d:\d\d\); run in 2 min$/m,
        /^COLDEST\tCOLD\tSIZE\tAGE\tSAVED\tWHY NOT$/m,
        "/init.scope",
      ],
    },
    { args: ["status", "--addr", "unix:///nowhere/s"], code: 3, stderr: ["/nowhere/s"] },
    // Where the original has it.
    { args: ["--addr", "unix:///nowhere/s", "status"], code: 3, stderr: ["mem-agent status: ", "/nowhere/s"] },
    { args: ["--addr=/nowhere/s", "run", "compact"], code: 3, stderr: ["mem-agent run compact: ", "/nowhere/s"] },
    { args: ["--addr", "/nowhere/s"], code: 2, stderr: ['unknown flag "--addr"', "follow it"] },
    { args: ["memcgstatus"], code: 0, stdout: [/^CGROUP\t.*\tRULE$/m, "/weird/\\u001b[31mred\\n数据"] },
    { args: ["memcgstatus", "--sort", "size", "--top", "1"], code: 0, stdout: ["docker", "1 of 4 targets"] },
    { args: ["memcgstatus", "--path", "/init.*", "--long"], code: 0, stdout: ["untouched for 33 min", "EIO"] },
    { args: ["memcgstatus", "--path", "init.scope/"], code: 0, stdout: ["/init.scope", "1 of 4"] },
    { args: ["memcgstatus", "--path", "/none/**"], code: 0, stdout: ["No cgroup matches."] },
    {
      args: ["explain", "/init.scope"],
      code: 0,
      stdout: [/^\/init\.scope {2}node 1$/m, "Its last run failed: ", /^Stalled .* of 1 % in the waiting period/m],
    },
    {
      args: ["explain", "/deep/init.scope"],
      code: 1,
      stderr: ["no cgroup /deep/init.scope", "did you mean /init.scope?"],
    },
    { args: ["history"], code: 0, stdout: ["Nothing ran in the last 1 d."] },
    { args: ["compactstatus"], code: 0, stdout: ["Compaction", "reportable (order 9)"] },
    {
      args: ["config", "show"],
      code: 0,
      stdout: [/^memcg\.period_secs\t7\tsocket$/m, /^\/weird\/\*\*: memcg\.disabled/m],
    },
    { args: ["metrics"], code: 0, stdout: [/^# TYPE mem_agent_/m] },
  ]);

  for (const [args, key] of [
    [["status", "--json"], "health"],
    [["memcgstatus", "--json"], "targets"],
    [["history", "--json"], "minutes"],
    [["compactstatus", "--json=true"], "decisions"],
  ] as const) {
    test(`${args.join(" ")} is what the socket says`, async () => {
      const { stdout, code } = await call(args, { MEM_AGENT_ADDR: daemon.path });
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toHaveProperty(key);
    });
  }

  test("memcgstatus --json takes the filters too", async () => {
    const args = ["memcgstatus", "--json", "--sort", "cold", "--top", "2"];
    const { stdout } = await call(args, { MEM_AGENT_ADDR: daemon.path });
    const paths = (JSON.parse(stdout) as { targets: { path: string }[] }).targets.map(({ path }) => path);
    expect(paths).toHaveLength(2);
    expect(paths[0]).toContain("docker");
  });

  test("in a pipe there is neither colour nor decoration", async () => {
    for (const args of [["status"], ["memcgstatus"], ["--help"], ["run", "memcg", "--dry-run"]]) {
      const { stdout } = await call(args, { MEM_AGENT_ADDR: daemon.path, TERM: "xterm-256color" });
      // oxlint-disable-next-line no-control-regex -- looking for escape sequences
      expect(stdout).not.toMatch(/[\u001b█▓▒░…]/);
    }
  });

  test("warnings come with their remedy", async () => {
    daemon.daemon.wrongFile = true;
    const { stdout } = await call(["status"], { MEM_AGENT_ADDR: daemon.path });
    daemon.daemon.wrongFile = false;
    expect(stdout).toContain("1 warning");
    expect(stdout).toContain("mem-agent config check /etc/mem-agent.toml");
    expect(stdout).toContain("memcg.swap: 3 is not true or false");
  });
});

describe("commands that change or do something", () => {
  const rows: readonly { readonly args: readonly string[]; readonly asked: unknown; readonly says: string }[] = [
    {
      args: ["memcgset", "--memcg-period-secs", "7", "--memcg-swap"],
      asked: { ask: "memcgSet", with: { memcg: { period_secs: 7, swap: true }, rules: {}, save: false } },
      says: "a.key: 600 -> 7",
    },
    {
      args: ["memcgset", "--memcg-disabled", "true"],
      asked: { ask: "memcgSet", with: { memcg: { disabled: true }, rules: {}, save: false } },
      says: "600 -> 7",
    },
    {
      args: ["memcgset", "--save", "--memcg-add", "path=/a,numa-id=1:2,period-secs=300", "path=/b,disabled"],
      asked: {
        ask: "memcgSet",
        with: {
          memcg: {},
          rules: {
            add: [
              { path: "/a", numa_id: [1, 2], period_secs: 300 },
              { path: "/b", disabled: true },
            ],
          },
          save: true,
        },
      },
      says: "saved in /etc/mem-agent.toml",
    },
    {
      args: ["compactset", "--compact-force-times=18446744073709551615"],
      asked: { ask: "compactSet", with: { compact: { force_times: "never" }, save: false } },
      says: "600 -> 7",
    },
    {
      args: ["loglevelset", "--save", "debug"],
      asked: { ask: "logLevelSet", with: { log: { level: "debug" }, save: true } },
      says: "saved in",
    },
    {
      args: ["run", "memcg"],
      asked: { ask: "run", with: { what: "memcg", dryRun: false } },
      says: "Evicted       64.0 MiB",
    },
    {
      args: ["run", "memcg", "--dry-run"],
      asked: { ask: "run", with: { what: "memcg", dryRun: true } },
      says: "UNTOUCHED FOR",
    },
    { args: ["run", "compact"], asked: { ask: "run", with: { what: "compact", dryRun: false } }, says: "Compacted" },
  ];
  for (const { args, asked, says } of rows) {
    test(args.join(" "), async () => {
      daemon.daemon.asked.length = 0;
      const { code, stdout, stderr } = await call([...args, "--addr", `unix://${daemon.path}`]);
      expect(stderr).toBe("");
      expect(daemon.daemon.asked).toEqual([asked as (typeof daemon.daemon.asked)[number]]);
      expect(stdout).toContain(says);
      expect(code).toBe(0);
    });
  }

  test("what the daemon refuses ends with 4 and every problem", async () => {
    daemon.daemon.wrongFile = true;
    daemon.daemon.busy = true;
    const reload = await call(["reload"], { MEM_AGENT_ADDR: daemon.path });
    const run = await call(["run", "memcg"], { MEM_AGENT_ADDR: daemon.path });
    daemon.daemon.wrongFile = false;
    daemon.daemon.busy = false;
    expect([reload.code, reload.stdout]).toEqual([4, ""]);
    expect(reload.stderr).toContain("/etc/mem-agent.toml:3:1: memcg.swap");
    expect([run.code, run.stdout]).toEqual([4, ""]);
    expect(run.stderr).toContain("a run is under way");
  });
});

describe("pause", () => {
  table([
    { args: ["pause", "2h"], code: 0, stdout: [/^paused until 2026-01-02 05:04:05$/m] },
    { args: ["pause", "0"], code: 0, stdout: ["not paused"] },
    { args: ["pause", "30m", "--json"], code: 0, stdout: ['"paused_until": "2026-01-02T05:04:05.000Z"'] },
    { args: ["pause"], code: 2, stderr: ["SPAN is missing"] },
    { args: ["pause", "soon"], code: 2, stderr: ['"soon" is no span of time'] },
    { args: ["pause", "8d"], code: 4, stderr: ["secs: must be a number from 0 to 604800"] },
  ]);
});

describe("config diff", () => {
  test("names what differs, with where it comes from", async () => {
    const { stdout, code } = await call(["config", "diff", goodFile], { MEM_AGENT_ADDR: daemon.path });
    expect(code).toBe(1);
    const lines = stdout.split("\n");
    expect(lines[0]).toBe("SETTING\tFILE\tIN FORCE\tORIGIN");
    expect(lines).toContain("memcg.swap\ttrue\tfalse\tdefault");
    expect(lines).toContain("memcg.period_secs\t600\t7\tsocket");
    expect(lines).toContain("/weird/**: memcg.disabled\tnone\ttrue\tfile");
  });
  table([
    { args: ["config", "diff", "/none.toml"], code: 1, stderr: ["cannot read /none.toml"] },
    { args: ["config", "diff", badFile], code: 1, stderr: ["memcg.swap: 3 is not true or false"] },
  ]);
});

describe("without a daemon", () => {
  test("config check reads standard input", async () => {
    const child = Bun.spawn([await program(), "config", "check", "-"], {
      stdin: Buffer.from("[memcg]\nswap = 3\n"),
      stderr: "pipe",
    });
    expect(await new Response(child.stderr).text()).toStartWith("standard input:2:1: memcg.swap: 3 is not");
    expect(await child.exited).toBe(1);
  });
  test("config check --json lists the problems", async () => {
    const { stdout, stderr, code } = await call(["config", "check", "--json", badFile]);
    expect([stderr, code]).toEqual(["", 1]);
    const { problems } = JSON.parse(stdout) as { problems: object[] };
    expect(problems[0]).toMatchObject({ key: "memcg.swap", line: 2, column: 1, allowed: "true or false" });
    expect(JSON.parse((await call(["config", "check", "--json", goodFile])).stdout)).toEqual({
      file: goodFile,
      problems: [],
    });
  });

  table([
    { args: ["config", "default"], code: 0, stdout: [/^\[memcg\]$/m, /^#period_secs = 600$/m] },
    { args: ["config", "schema"], code: 0, stdout: ['"$schema"'] },
    { args: ["config", "check", goodFile], code: 0, stdout: [`${goodFile}: ok`] },
    {
      args: ["config", "check", badFile],
      code: 1,
      stderr: [`${badFile}:2:1: memcg.swap`, `${badFile}:3:1: memcg.period_sec`, `${badFile}:6:1: compact.order`],
    },
    { args: ["config", "check", join(scratch, "none.toml")], code: 1, stderr: ["cannot read"] },
    { args: ["metrics", "--rules"], code: 0, stdout: [/^groups:/m] },
    { args: ["metrics", "--dashboard"], code: 0, stdout: ['"panels"'] },
    { args: ["unit"], code: 0, stdout: ["[Service]", "Type=notify"] },
    { args: ["completions", "bash"], code: 0, stdout: ["complete -F _mem_agent mem-agent"] },
  ]);

  test("a name that would steer a terminal is shown escaped, and so is what a file says", async () => {
    const odd = join(scratch, "\u001b[31mred\u202e.toml");
    writeFileSync(odd, "[memcg]\n");
    expect((await call(["config", "check", odd])).stdout).toBe(`${scratch}/\\u001b[31mred\\u202e.toml: ok\n`);
    writeFileSync(odd, '[memcg]\n"\u009b1m" = "\u202e"\nswap = "\u009b2J"\n');
    const { code, stderr } = await call(["config", "check", odd]);
    expect(code).toBe(1);
    // oxlint-disable-next-line no-control-regex -- what must not be there
    expect(stderr.replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(stderr).toContain("\\u009b1m");
  });

  test.skipIf(process.getuid?.() !== 0)("a file that others may write is refused, as by the daemon", async () => {
    const open = join(scratch, "open.toml");
    writeFileSync(open, "[memcg]\n");
    chmodSync(open, 0o646);
    const state = `others than root may write it (mode 0646)`;
    expect(await call(["config", "check", open])).toMatchObject({ code: 1, stdout: "" });
    expect((await call(["config", "check", open])).stderr).toContain(`${state}; chmod go-w ${open}`);
    const { code, stdout } = await call(["doctor", "--config", open, "--addr", join(scratch, "none.sock")]);
    expect(code).toBe(1);
    expect(stdout).toContain(`cannot read ${open}: ${state}\n`);
    expect(stdout).toContain(`-> chmod go-w ${open}\n`);
  });

  test("the sample passes the check", async () => {
    const sample = join(scratch, "sample.toml");
    writeFileSync(sample, (await call(["config", "default"])).stdout);
    expect((await call(["config", "check", sample])).code).toBe(0);
  });
});
