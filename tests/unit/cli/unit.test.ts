import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Failure } from "../../../src/cli/failure.ts";
import type { Invocation } from "../../../src/cli/invocation.ts";
import { sampleToml } from "../../../src/config/docs.ts";
import { openrcScript, systemdUnit } from "../../../src/cli/service-files.ts";
import { plainTerminal } from "../../../src/cli/screens/terminal.ts";
import { unit } from "../../../src/cli/verbs/unit.ts";

const plain = { binary: "/usr/local/bin/mem-agent", config: null };

/** Writes `text` to a file and runs a program on it. */
function runOn(text: string, name: string, command: (path: string) => string[]): { code: number; output: string } {
  const folder = mkdtempSync(join(tmpdir(), "mem-agent-unit-"));
  try {
    const path = join(folder, name);
    writeFileSync(path, text);
    const { exitCode, stdout, stderr } = Bun.spawnSync(command(path));
    return { code: exitCode, output: stdout.toString() + stderr.toString() };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("systemd unit", () => {
  test("says each thing once", () => {
    const keys = systemdUnit(plain)
      .split("\n")
      .filter((line) => line.includes("=") && !line.startsWith("#"))
      .map((line) => line.slice(0, line.indexOf("=")));
    expect(keys.toSorted()).toEqual([...new Set(keys)].toSorted());
  });

  test("keeps the watchdog's and the manager's signals, and three capabilities", () => {
    const text = systemdUnit(plain);
    expect(text).toContain("\nType=notify\n");
    expect(text).toContain("\nExecReload=/usr/local/bin/mem-agent reload\n");
    expect(text).toContain("\nCapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_RESOURCE CAP_DAC_OVERRIDE\n");
    expect(text).toMatch(/^UnsetEnvironment=.*BUN_OPTIONS.*BUN_BE_BUN/m);
    // What would break it: it writes there.
    expect(text).not.toMatch(/^(ProtectKernelTunables|ProtectControlGroups|MemoryDenyWriteExecute)=/m);
  });

  test("lets the sample's log file be written", () => {
    const file = /^#file = "(.+)"$/m.exec(sampleToml())?.[1] ?? "";
    const folder = /^LogsDirectory=(.+)$/m.exec(systemdUnit(plain))?.[1];
    expect(dirname(file)).toBe(`/var/log/${folder}`);
  });

  const commands: readonly [string, { binary: string; config: string | null }, string][] = [
    ["plain", plain, "ExecStart=/usr/local/bin/mem-agent serve"],
    ["a file", { ...plain, config: "/etc/m.toml" }, "ExecStart=/usr/local/bin/mem-agent serve --config /etc/m.toml"],
    [
      "odd names",
      { binary: "/opt/a b/mem-agent", config: '/etc/100%/$HOME/"x"\\.toml' },
      'ExecStart="/opt/a b/mem-agent" serve --config "/etc/100%%/$$HOME/\\"x\\"\\\\.toml"',
    ],
  ];
  for (const [name, options, line] of commands) {
    test(`command line: ${name}`, () => expect(systemdUnit(options).split("\n")).toContain(line));
  }
});

describe("OpenRC script", () => {
  for (const [name, config] of [
    ["default", null],
    ["a file", "/etc/m.toml"],
    ["odd names", `/etc/it's "$HOME" \`x\` \\.toml`],
  ] as const) {
    test(`is a shell script that hands the file on: ${name}`, () => {
      const script = `${openrcScript({ ...plain, config })}\neval "set -- $command $command_args"; printf '%s\\n' "$@" "$config"`;
      const { code, output } = runOn(script, "mem-agent", (path) => ["sh", path]);
      expect({ code, words: output.trimEnd().split("\n") }).toEqual({
        code: 0,
        words: [
          "/usr/local/bin/mem-agent",
          "serve",
          ...(config === null ? [] : ["--config", config]),
          config ?? "/etc/mem-agent.toml",
        ],
      });
    });
  }
});

describe("unit", () => {
  for (const args of [{ binary: "mem-agent" }, { config: "x.toml" }, { binary: "/a\nExecStart=/b" }]) {
    test(`refuses ${JSON.stringify(args)}`, () => {
      const invocation: Invocation = {
        args,
        overrides: {},
        edits: { add: [], set: [], del: [] },
        environment: {},
        terminal: plainTerminal,
        command: "mem-agent unit",
      };
      expect(() => unit(invocation)).toThrow(Failure);
    });
  }
});
