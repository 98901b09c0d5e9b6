import { describe, expect, test } from "bun:test";
import { type AgentAddress, parseAddr, parseAgentAddr } from "../../../src/base/address.ts";
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
  const rows: readonly [addr: string, address: AgentAddress][] = [
    ["unix:///run/mem-agent.sock", { kind: "unix", path: "/run/mem-agent.sock" }],
    ["/run/a:1", { kind: "unix", path: "/run/a:1" }],
    ["hvsock:///run/vm/v.sock:1234", { kind: "hvsock", path: "/run/vm/v.sock", port: 1234 }],
    ["hvsock:///run/vm/v.sock", { kind: "hvsock", path: "/run/vm/v.sock", port: 9469 }],
    ["hvsock:///run/vm:1/v.sock", { kind: "hvsock", path: "/run/vm:1/v.sock", port: 9469 }],
    ["hvsock:///run/a:b:7", { kind: "hvsock", path: "/run/a:b", port: 7 }],
    ["vsock://3", { kind: "vsock", cid: 3, port: 9469 }],
    ["vsock://4294967294:1", { kind: "vsock", cid: 4294967294, port: 1 }],
  ];
  for (const [addr, address] of rows) test(addr, () => expect(parseAgentAddr(addr)).toEqual(address));

  const bad: readonly [addr: string, problem: RegExp][] = [
    ["hvsock://", /not an absolute path; give hvsock:/],
    ["hvsock://run/v.sock:1", /not an absolute path; give hvsock:/],
    ["hvsock:///run/v.sock:0", /port is not one of 1 to 4294967294/],
    ["hvsock:///run/v.sock:", /port is not one of/],
    ["hvsock:///run/v.sock:4294967295", /port is not one of/],
    ["hvsock:///run/v.sock:x", /port is not one of/],
    ["hvsock:///run/:9469", /names a directory/],
    ["vsock://", /context id is not one of 0 to 4294967294; give vsock:/],
    ["vsock://:9469", /context id is not one of/],
    ["vsock://4294967295:9469", /context id is not one of/],
    ["vsock://web:9469", /context id is not one of/],
    ["vsock://3:0", /port is not one of/],
    ["vsock://3:4:5", /port is not one of/],
    ["vsock://x:y", /context id .*; its port/],
    ["http://x", /http is not served/],
  ];
  for (const [addr, problem] of bad) test(addr, () => expect(() => parseAgentAddr(addr)).toThrow(problem));
  test("the daemon does not listen there", () => expect(() => parseAddr("hvsock:///a:1")).toThrow(/not served/));
});
