import { describe, expect, test } from "bun:test";
import type { ArgsDef } from "citty";
import { readArguments, type SettingReader } from "../../../src/cli/arguments.ts";

const args = {
  file: { type: "positional", description: "a file", default: "/etc/x" },
  json: { type: "boolean" },
  addr: { type: "string", valueHint: "ADDRESS" },
  top: { type: "string", valueHint: "N" },
  sort: { type: "enum", options: ["path", "size"], default: "path" },
} as const satisfies ArgsDef;

const setting = { names: ["--memcg-swap", "--memcg-add"], read: () => null } satisfies SettingReader;

/** Takes what a boolean and a list take, and keeps it. */
function keeping(kept: string[]): SettingReader {
  return {
    names: setting.names,
    read: (name, given, ahead) => {
      if (!setting.names.includes(name)) return null;
      const taken = name === "--memcg-add" ? ahead : given === null ? ahead.slice(0, 1) : [];
      kept.push(given === null ? name : `${name}=${given}`, ...taken);
      return taken.length;
    },
  };
}

const defaults = { file: "/etc/x", sort: "path" };

describe("what is read", () => {
  const rows: readonly [argv: string[], values: Record<string, unknown>, rest: string[]][] = [
    [[], defaults, []],
    [["f", "--json"], { ...defaults, file: "f", json: true }, []],
    [["--json", "f"], { ...defaults, file: "f", json: true }, []],
    [["--json", "false", "f"], { ...defaults, file: "f", json: false }, []],
    [["--json=true"], { ...defaults, json: true }, []],
    [["--addr", "/a", "--top=3", "--sort", "size"], { ...defaults, addr: "/a", top: 3, sort: "size" }, []],
    [["--addr=a=b"], { ...defaults, addr: "a=b" }, []],
    [["--", "--json"], { ...defaults, file: "--json" }, []],
    [["-"], { ...defaults, file: "-" }, []],
    [["--memcg-swap", "true", "--json"], { ...defaults, json: true }, ["--memcg-swap", "true"]],
    [["--memcg-swap=false"], defaults, ["--memcg-swap=false"]],
    [
      ["--memcg-add", "path=/a", "path=/b", "--json", "--memcg-add", "path=/c"],
      { ...defaults, json: true },
      ["--memcg-add", "path=/a", "path=/b", "--memcg-add", "path=/c"],
    ],
  ];
  for (const [argv, values, rest] of rows) {
    test(argv.join(" ") || "nothing", () => {
      const kept: string[] = [];
      const read = readArguments(args, argv, keeping(kept));
      expect(read.problems).toEqual([]);
      expect(read.values).toEqual(values as typeof read.values);
      expect(kept).toEqual(rest);
    });
  }
});

describe("what is refused, all of it at once", () => {
  const rows: readonly [argv: string[], problems: RegExp[]][] = [
    [["--jsn"], [/unknown flag "--jsn".*"--json"/]],
    [["-j"], [/unknown flag "-j"/]],
    [["--memcg-swp"], [/"--memcg-swap"/]],
    [["--json=maybe"], [/"maybe" is neither true nor false/]],
    [["--addr"], [/--addr needs a value/]],
    [["--addr="], [/--addr needs a value/]],
    [["--addr", "--json"], [/--addr needs a value/]],
    [["--top", "0"], [/--top "0"/]],
    [["--top", "1.5"], [/--top "1.5"/]],
    [["--top", "-1"], [/--top "-1"/]],
    [["--sort", "siz"], [/"siz".*"size".*path, size/]],
    [["a", "b"], [/unexpected argument "b"/]],
    [["--json", "--json"], [/given twice/]],
    [["--file", "x"], [/unknown flag "--file"/]],
    [["--constructor"], [/unknown flag/]],
    [
      ["--x", "--top", "y", "a", "b"],
      [/"--x"/, /--top "y"/, /"b"/],
    ],
  ];
  for (const [argv, problems] of rows) {
    test(argv.join(" "), () => {
      const read = readArguments(args, argv, setting);
      expect(read.problems).toHaveLength(problems.length);
      for (const [index, problem] of problems.entries()) expect(read.problems[index]).toMatch(problem);
    });
  }

  test("a needed argument that is missing", () => {
    const needed = {
      level: { type: "positional", required: true, description: "the level" },
    } as const satisfies ArgsDef;
    expect(readArguments(needed, []).problems).toEqual(["LEVEL is missing: the level"]);
  });
});
