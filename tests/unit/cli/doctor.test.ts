import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Check } from "../../../src/agent/doctor/check.ts";
import { versionHeader } from "../../../src/api/routes.ts";
import { renderDoctor, type DoctorReport } from "../../../src/cli/screens/doctor.ts";
import { doctorReport } from "../../../src/cli/verbs/doctor.ts";
import type { Invocation } from "../../../src/cli/invocation.ts";
import { plainTerminal, type Terminal } from "../../../src/cli/screens/terminal.ts";
import { textWidth } from "../../../src/cli/screens/text.ts";
import { Tree } from "../kernel/fixtures.ts";

function invoke(args: Invocation["args"], environment: Invocation["environment"] = {}): Invocation {
  return { args, overrides: {}, edits: {}, environment, terminal: plainTerminal, command: "mem-agent doctor" };
}

function findCheck(report: DoctorReport, key: string): Check {
  const check = report.checks.find((each) => each.key === key);
  if (check === undefined) throw new Error(`no check ${key}`);
  return check;
}

describe("doctor's own checks", () => {
  const rows: readonly [name: string, text: string | null, asked: boolean, state: Check["state"], observed: string][] =
    [
      ["no file", null, true, "failure", "not there"],
      ["a valid file", "[memcg]\ndisabled = true\n", true, "ok", "valid"],
      ["a file with a mistake", "[memcg]\nperiod_sec = 1\n", true, "failure", "m.toml:2:1: "],
      ["a file with several", "[memcg]\nswap = 1\nperiod_secs = 0\n", true, "failure", "(and 1 more)"],
    ];
  for (const [name, text, , state, observed] of rows) {
    test(`configuration: ${name}`, async () => {
      using tree = new Tree(text === null ? {} : { "m.toml": text });
      const file = join(tree.root, "m.toml");
      const report = await doctorReport(tree.root, invoke({ config: file, addr: join(tree.root, "none.sock") }));
      const check = findCheck(report, "config");
      expect(check.state).toBe(state);
      expect(check.observed).toContain(observed);
      expect(check.remedy === null).toBe(state === "ok");
    });
  }

  test("a disabled feature's prerequisites are no failures", async () => {
    using tree = new Tree({ "m.toml": "[memcg]\ndisabled = true\n[compact]\ndisabled = true\n" });
    const file = join(tree.root, "m.toml");
    const report = await doctorReport(tree.root, invoke({ config: file, addr: join(tree.root, "none.sock") }));
    expect(report.failures).toBe(0);
    expect(report.backend).toBeNull();
  });

  test("an empty machine fails, and each failure says what mends it", async () => {
    using tree = new Tree();
    const report = await doctorReport(tree.root, invoke({ addr: join(tree.root, "none.sock") }));
    expect(report.state).toBe("failure");
    const failing = report.checks.filter(({ state }) => state === "failure");
    expect(failing).toHaveLength(report.failures);
    expect(failing.map(({ key }) => key)).toEqual(["root", "cgroup", "pressure", "debugfs", "lru_gen", "compaction"]);
    for (const { remedy, needed } of failing) expect([remedy === null, needed]).toEqual([false, true]);
  });

  test("no daemon", async () => {
    using tree = new Tree();
    const report = await doctorReport(tree.root, invoke({}, { MEM_AGENT_ADDR: join(tree.root, "none.sock") }));
    expect(findCheck(report, "daemon").state).toBe("info");
    expect(findCheck(report, "daemon").observed).toContain("none.sock");
  });

  test("the file's own address is asked", async () => {
    using tree = new Tree();
    tree.write("m.toml", `[control]\naddr = "${tree.root}/own.sock"\n`);
    const report = await doctorReport(tree.root, invoke({ config: join(tree.root, "m.toml") }));
    expect(findCheck(report, "daemon").observed).toContain("own.sock");
  });

  test("a daemon, and something that is none", async () => {
    using tree = new Tree();
    const path = join(tree.root, "a.sock");
    let answer = new Response();
    const server = Bun.serve({ unix: path, fetch: () => answer });
    try {
      const headers = { [versionHeader]: "9.9.9" };
      answer = Response.json({ version: "9.9.9", pid: 7, health: "warning" }, { headers });
      const running = findCheck(await doctorReport(tree.root, invoke({ addr: path })), "daemon");
      expect(running.state).toBe("warning");
      expect(running.observed).toContain("mem-agent 9.9.9 runs as process 7");
      answer = new Response("hello", { status: 500 });
      const other = findCheck(await doctorReport(tree.root, invoke({ addr: path })), "daemon");
      expect([other.state, other.remedy === null]).toEqual(["warning", false]);
    } finally {
      await server.stop(true);
    }
  });
});

const report: DoctorReport = {
  version: "1.2.3",
  state: "failure",
  failures: 1,
  warnings: 1,
  backend: "lru_gen",
  backend_why: "it knows ages",
  checks: [
    { key: "a", title: "short", state: "ok", observed: "fine", remedy: null, needed: true },
    {
      key: "b",
      title: "a longer title",
      state: "warning",
      observed: "so so, and with words enough to fill more than one line of a terminal that is not wide",
      remedy: "first: do\nsecond: do not",
      needed: false,
    },
    { key: "c", title: "odd", state: "failure", observed: "a\u001b[31mb", remedy: "x".repeat(70), needed: true },
  ],
};

describe("renderDoctor", () => {
  test("in a pipe: one line a check, and one for each remedy", () => {
    const lines = renderDoctor(report, plainTerminal);
    expect(lines).toEqual([
      "mem-agent 1.2.3  1 failure, 1 warning",
      "cold memory is found by lru_gen: it knows ages",
      "",
      "ok       short           fine",
      "warning  a longer title  so so, and with words enough to fill more than one line of a terminal that is not wide",
      "                         -> first: do",
      "                         -> second: do not",
      "failure  odd             a\\u001b[31mb",
      `                         -> ${"x".repeat(70)}`,
    ]);
  });

  test("on a terminal of 80 columns: lines that fit, and remedies that are whole", () => {
    const terminal: Terminal = { columns: 80, rows: 24, colour: true };
    const lines = renderDoctor(report, terminal);
    for (const line of lines.filter((each) => !each.includes("->"))) expect(textWidth(line)).toBeLessThanOrEqual(80);
    expect(lines.at(-1)).toContain(`         \u001b[36m-> ${"x".repeat(70)}`);
    expect(lines.join("\n")).toContain("\u001b[31mfailure");
  });

  test("all is well", () => {
    const [head] = renderDoctor({ ...report, state: "ok", failures: 0, warnings: 0 }, plainTerminal);
    expect(head).toBe("mem-agent 1.2.3  ok");
  });
});
