import { describe, expect, test } from "bun:test";
import { parseAddr, parseAgentAddr } from "../../../src/base/address.ts";
import { isFault } from "../../../src/base/fault.ts";

describe("taken", () => {
  const rows: readonly [addr: string, path: string][] = [
    ["unix:///run/mem-agent.sock", "/run/mem-agent.sock"],
    ["/run/mem-agent.sock", "/run/mem-agent.sock"],
    ["/run/with blank/ü.sock", "/run/with blank/ü.sock"],
    [`/${"a".repeat(106)}`, `/${"a".repeat(106)}`],
  ];
  for (const [addr, path] of rows) test(addr, () => expect(parseAddr(addr)).toBe(path));
});

describe("refused, with every problem", () => {
  const rows: readonly [addr: string, problems: RegExp[]][] = [
    ["", [/not an absolute path; give unix/]],
    ["unix://", [/not an absolute path/]],
    ["unix://run/x.sock", [/not an absolute path/]],
    ["run/x.sock", [/not an absolute path/]],
    ["http://localhost:80", [/http is not served/]],
    ["tcp://0.0.0.0:1", [/tcp is not served/]],
    ["/run/", [/names a directory/]],
    ["/run/a\0b", [/NUL/]],
    [`/${"a".repeat(107)}`, [/108 bytes long; a socket's path has at most 107/]],
    [`/${"ü".repeat(60)}`, [/121 bytes/]],
    [`a\0${"b".repeat(200)}`, [/not an absolute path/, /NUL/, /202 bytes/]],
  ];
  for (const [addr, problems] of rows) {
    test(JSON.stringify(addr).slice(0, 40), () => {
      let fault: unknown;
      try {
        parseAddr(addr);
      } catch (error) {
        fault = error;
      }
      if (!isFault(fault, "invalid")) throw new Error(`not refused: ${addr}`);
      expect(fault.problems).toHaveLength(problems.length);
      for (const [index, problem] of problems.entries()) expect(fault.problems[index]).toMatch(problem);
      expect(fault.message).toStartWith("cannot use the address ");
    });
  }
});

describe("an agent's address", () => {
  const rows: readonly [addr: string, path: string, port: number | null][] = [
    ["unix:///run/mem-agent.sock", "/run/mem-agent.sock", null],
    ["/run/a:1", "/run/a:1", null],
    ["hvsock:///run/vm/v.sock:1234", "/run/vm/v.sock", 1234],
    ["hvsock:///run/vm/v.sock", "/run/vm/v.sock", 9469],
    ["hvsock:///run/vm:1/v.sock", "/run/vm:1/v.sock", 9469],
    ["hvsock:///run/a:b:7", "/run/a:b", 7],
  ];
  for (const [addr, path, port] of rows) test(addr, () => expect(parseAgentAddr(addr)).toEqual({ path, port }));

  const bad: readonly [addr: string, problem: RegExp][] = [
    ["hvsock://", /not an absolute path; give hvsock:/],
    ["hvsock://run/v.sock:1", /not an absolute path; give hvsock:/],
    ["hvsock:///run/v.sock:0", /port is not one of 1 to 4294967294/],
    ["hvsock:///run/v.sock:", /port is not one of/],
    ["hvsock:///run/v.sock:4294967295", /port is not one of/],
    ["hvsock:///run/v.sock:x", /port is not one of/],
    ["hvsock:///run/:9469", /names a directory/],
    ["http://x", /http is not served/],
  ];
  for (const [addr, problem] of bad) test(addr, () => expect(() => parseAgentAddr(addr)).toThrow(problem));
  test("the daemon does not listen there", () => expect(() => parseAddr("hvsock:///a:1")).toThrow(/not served/));
});
