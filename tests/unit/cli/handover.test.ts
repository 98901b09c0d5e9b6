import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forgetHandover, readHandover, serveEnvironment, type ServeOptions } from "../../../src/cli/handover.ts";
import { serveOptions } from "../../../src/cli/verbs/serve.ts";
import { plainTerminal } from "../../../src/cli/screens/terminal.ts";
import type { Invocation } from "../../../src/cli/invocation.ts";

const options: ServeOptions = {
  config: { file: "/etc/mem-agent.toml", asked: false },
  flags: { memcg: { period_secs: 7, cgroups: [{ path: "/数据", disabled: true }] } },
  dryRun: true,
};

const scratch = mkdtempSync(join(tmpdir(), "mem-agent-handover-"));
afterAll(() => rmSync(scratch, { recursive: true }));

describe("the handover", () => {
  test("brings the options to the process that it is meant for, and to no other", () => {
    const environment = serveEnvironment({}, options, 42);
    expect(environment).not.toBeNull();
    expect(readHandover(environment ?? {}, 42)).toEqual(options);
    expect(readHandover(environment ?? {}, 43)).toBeNull();
    const left: Record<string, string | undefined> = { ...environment };
    forgetHandover(left);
    expect(readHandover(left, 42)).toBeNull();
  });

  test("is given up where it would not fit into an environment", () => {
    const cgroups = Array.from({ length: 3000 }, (_, index) => ({ path: `/a/rather/long/path/${index}`, swap: true }));
    expect(serveEnvironment({}, { ...options, flags: { memcg: { cgroups } } }, 42)).toBeNull();
  });

  for (const text of ["", "{", "null", "3", '{"pid":42}', '{"pid":"42","options":{}}']) {
    test(`${JSON.stringify(text)} is none`, () => {
      expect(readHandover({ MEM_AGENT_SERVE: text }, 42)).toBeNull();
    });
  }

  test("lets through what the service manager says, and nothing that steers the runtime", () => {
    const environment = serveEnvironment(
      {
        NOTIFY_SOCKET: "/run/n",
        WATCHDOG_USEC: "1",
        JOURNAL_STREAM: "1:2",
        TZ: "UTC",
        BUN_OPTIONS: "--smol",
        BUN_INSPECT: "1",
        BUN_JSC_useJIT: "0",
        NODE_OPTIONS: "--x",
        UV_THREADPOOL_SIZE: "64",
        LD_PRELOAD: "/x.so",
        PASSWORD: "secret",
      },
      options,
      42,
    );
    const names = Object.keys(environment ?? {}).filter((name) => !name.startsWith("BUN_JSC_"));
    const kept = ["JOURNAL_STREAM", "MEM_AGENT_SERVE", "NOTIFY_SOCKET", "TZ", "WATCHDOG_USEC"];
    expect(names.toSorted()).toEqual(["BUN_GC_TIMER_DISABLE", "MIMALLOC_SCAVENGER", ...kept].toSorted());
    expect(environment).toMatchObject({ BUN_JSC_forceMiniVMMode: "1" });
    expect(environment).not.toHaveProperty("BUN_JSC_useJIT");
  });
});

describe("serveOptions makes paths absolute", () => {
  const invocation: Invocation = {
    args: {},
    overrides: {},
    edits: {},
    environment: {},
    terminal: plainTerminal,
    command: "mem-agent serve",
  };
  const rows: readonly [what: string, changes: Partial<Invocation>, options: ServeOptions][] = [
    ["nothing said", {}, { config: { file: "/etc/mem-agent.toml", asked: false }, flags: {}, dryRun: false }],
    [
      "relative",
      { args: { config: "m.toml", "dry-run": true }, overrides: { log: { file: "../a.log", level: "debug" } } },
      {
        config: { file: "/somewhere/m.toml", asked: true },
        flags: { log: { file: "/a.log", level: "debug" } },
        dryRun: true,
      },
    ],
    [
      "absolute",
      { args: { config: "/m.toml" }, overrides: { log: { file: "/b.log" } } },
      { config: { file: "/m.toml", asked: true }, flags: { log: { file: "/b.log" } }, dryRun: false },
    ],
  ];
  for (const [what, changes, options] of rows) {
    test(what, () => expect(serveOptions({ ...invocation, ...changes }, "/somewhere")).toEqual(options));
  }
});
