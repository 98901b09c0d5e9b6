import { describe, expect, test } from "bun:test";
import { chmodSync, renameSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../../../src/base/fault.ts";
import {
  PseudoFile,
  fileFault,
  readPath,
  readPathIfThere,
  readText,
  readTextIfThere,
  under,
  writePath,
} from "../../../src/system/pseudo-file.ts";
import { Tree } from "./fixtures.ts";

describe("PseudoFile", () => {
  test("reads the text of this moment, each time from its start", () => {
    using tree = new Tree({ f: "one" });
    using file = PseudoFile.open(join(tree.root, "f"));
    expect(file.text()).toBe("one");
    tree.write("f", "three");
    expect(file.read().toString()).toBe("three");
    tree.write("f", "");
    expect(file.fill()).toBe(0);
  });

  test("grows with the file", () => {
    const text = "0123456789".repeat(50_000);
    using tree = new Tree({ f: text });
    using file = PseudoFile.open(join(tree.root, "f"));
    expect(file.text()).toBe(text);
    const bytes = file.bytes;
    expect(file.text()).toBe(text);
    expect(file.bytes).toBe(bytes);
  });

  test("gives a large buffer back, and has one of that size at the next read", () => {
    const text = "0123456789".repeat(50_000);
    using tree = new Tree({ f: text });
    using file = PseudoFile.open(join(tree.root, "f"));
    file.fill();
    const { length } = file.bytes;
    file.rest();
    file.rest();
    expect(file.bytes.length).toBe(0);
    expect(file.text()).toBe(text);
    expect(file.bytes.length).toBe(length);
  });

  test("reads a file without a size", () => {
    using file = PseudoFile.open("/proc/self/status");
    expect(file.text()).toContain("\nPid:\t");
  });

  test("follows its path when opened anew", () => {
    using tree = new Tree({ f: "old", g: "new" });
    using file = PseudoFile.open(join(tree.root, "f"));
    renameSync(join(tree.root, "g"), join(tree.root, "f"));
    expect(file.text()).toBe("old");
    file.reopen();
    expect(file.text()).toBe("new");
  });

  test("says that it was closed", () => {
    using tree = new Tree({ f: "" });
    const file = PseudoFile.open(join(tree.root, "f"));
    file[Symbol.dispose]();
    file[Symbol.dispose]();
    expect(() => file.fill()).toThrow("closed");
  });
});

describe("faults", () => {
  test("an absent file is missing, or vanished where it is a cgroup's", () => {
    using tree = new Tree();
    const path = join(tree.root, "none");
    expect(() => readPath(path)).toThrow(expect.objectContaining({ kind: "missing" }));
    expect(() => readPath(path, "vanished")).toThrow(expect.objectContaining({ kind: "vanished" }));
    expect(() => PseudoFile.open(path, "vanished")).toThrow(expect.objectContaining({ kind: "vanished" }));
    expect(() => writePath(path, "1")).toThrow(expect.objectContaining({ kind: "missing" }));
    expect(readPathIfThere(path)).toBeNull();
    expect(readTextIfThere(tree.root, "/none")).toBeNull();
  });

  const rows: readonly [string, string][] = [
    ["ENOENT", "vanished"],
    ["ENODEV", "vanished"],
    ["EACCES", "denied"],
    ["EPERM", "denied"],
    ["EINVAL", "unsupported"],
    ["EOPNOTSUPP", "unsupported"],
    ["EIO", "io"],
  ];
  for (const [code, kind] of rows) {
    test(`${code} is ${kind}`, () => {
      const fault = fileFault(
        Object.assign(new Error(code), { code }),
        "read",
        "/sys/fs/cgroup/a/memory.stat",
        "vanished",
      );
      expect(fault.kind).toBe(kind as Fault["kind"]);
      expect(fault.message).toStartWith(`cannot read /sys/fs/cgroup/a/memory.stat: ${code}`);
    });
  }

  test("what has no errno is a bug, and goes on as it is", () => {
    const bug = new TypeError("no function");
    expect(() => fileFault(bug, "read", "/a", "missing")).toThrow(bug);
  });

  test("a folder is no file", () => {
    using tree = new Tree();
    expect(() => readPath(tree.root)).toThrow(expect.objectContaining({ kind: "io" }));
    expect(() => readPathIfThere(tree.root)).toThrow(Fault);
  });
});

test("the root is put before a path", () => {
  using tree = new Tree({ "proc/x": "text\n" });
  expect(under("/", "/proc/x")).toBe("/proc/x");
  expect(readText(tree.root, "/proc/x")).toBe("text\n");
});

test("writing replaces the text and makes no file", () => {
  using tree = new Tree({ f: "a longer text" });
  const path = join(tree.root, "f");
  chmodSync(path, 0o200);
  writePath(path, "1");
  chmodSync(path, 0o600);
  expect(tree.read("f")).toBe("1");
  unlinkSync(path);
  expect(() => writePath(path, "1")).toThrow(Fault);
  expect(readPathIfThere(path)).toBeNull();
});
