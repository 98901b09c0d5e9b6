import { describe, expect, test } from "bun:test";
import { unlinkSync } from "node:fs";
import { join } from "node:path";
import { isFault } from "../../../src/base/fault.ts";
import {
  formatAge,
  formatEvict,
  LruGen,
  lruGenEnabledPath,
  lruGenPath,
  parseEnabled,
  readEnabled,
  writeEnabled,
} from "../../../src/kernel/lru-gen.ts";
import { guestRoot, Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

test("commands are what the kernel documents", () => {
  expect(formatAge({ id: "70", node: 1, maxSeq: 5, swap: false })).toBe("+ 70 1 5 0");
  expect(formatAge({ id: "70", node: 1, maxSeq: 5, swap: true })).toBe("+ 70 1 5 1");
  expect(formatEvict({ id: "2", node: 0, minSeq: 3, swappiness: 50, pages: 4096 })).toBe("- 2 0 3 50 4096");
});

describe("LruGen", () => {
  test("scans the file each time anew", () => {
    using tree = new Tree({ [lruGenPath]: "memcg     1 /\n node     0\n" });
    using lruGen = LruGen.open(tree.root);
    const paths: string[] = [];
    lruGen.scan((_, path) => paths.push(path));
    tree.write(lruGenPath, "memcg     1 /\n node     0\nmemcg     2 /new\n node     0\n");
    lruGen.scan((_, path) => paths.push(path));
    expect(paths).toEqual(["/", "/", "/new"]);
  });

  test("reads a file of any length", () => {
    const cgroups = 3000;
    const text = Array.from(
      { length: cgroups },
      (_, n) => `memcg ${n + 1} /${"n".repeat(200)}${n}\n node     0\n`,
    ).join("");
    using tree = new Tree({ [lruGenPath]: text });
    using lruGen = LruGen.open(tree.root);
    expect(lruGen.scan(() => {})).toEqual({ cgroups, malformedLines: 0 });
  });

  test("writes all commands at once, one a line", async () => {
    using tree = new Tree({ [lruGenPath]: "" });
    using lruGen = LruGen.open(tree.root);
    expect(await lruGen.write(["+ 1 0 3 0", "+ 2 0 3 0"])).toBe("done");
    expect(tree.read(lruGenPath)).toBe("+ 1 0 3 0\n+ 2 0 3 0");
    expect(await lruGen.write([])).toBe("done");
  });

  test("has one write in flight", async () => {
    using tree = new Tree({ [lruGenPath]: "" });
    using lruGen = LruGen.open(tree.root);
    const first = lruGen.write(["+ 1 0 3 0"]);
    const second: unknown = await lruGen.write(["+ 2 0 3 0"]).catch((error: unknown) => error);
    expect(isFault(second, "busy")).toBe(true);
    expect(await first).toBe("done");
    expect(await lruGen.write(["- 1 0 3 0 1"])).toBe("done");
  });

  test("finishes a write that is under way when it is closed", async () => {
    using tree = new Tree({ [lruGenPath]: "" });
    const lruGen = LruGen.open(tree.root);
    const written = lruGen.write(["+ 1 0 3 0"]);
    lruGen[Symbol.dispose]();
    expect(await written).toBe("done");
    expect(tree.read(lruGenPath)).toBe("+ 1 0 3 0");
    expect(() => lruGen.scan(() => {})).toThrow("closed");
    const late: unknown = await lruGen.write(["+ 1 0 4 0"]).catch((error: unknown) => error);
    expect(isFault(late, "io")).toBe(true);
  });

  test("tells a kernel without it from a removed file", () => {
    using tree = new Tree();
    expect(() => LruGen.open(tree.root)).toThrow(expect.objectContaining({ kind: "missing" }));
  });
});

describe("enabled", () => {
  const rows: readonly [string, number][] = [
    ["0x0000\n", 0],
    ["0x0007\n", 7],
    ["0x0003", 3],
  ];
  for (const [text, mask] of rows) test(text.trim(), () => expect(parseEnabled(text)).toBe(mask));

  for (const text of ["", "7", "0x", "0xg", "0x0007 on"]) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      expect(() => parseEnabled(text)).toThrow(expect.objectContaining({ kind: "malformed" }));
    });
  }

  test("is read in guests and written", () => {
    expect(readEnabled(guestRoot("6.1"))).toBe(7);
    expect(readEnabled(guestRoot("6.1-off"))).toBe(0);
    using tree = new Tree({ [lruGenEnabledPath]: "0x0000\n" });
    writeEnabled(tree.root, 7);
    expect(tree.read(lruGenEnabledPath)).toBe("7\n");
    unlinkSync(join(tree.root, lruGenEnabledPath));
    expect(() => writeEnabled(tree.root, 7)).toThrow(expect.objectContaining({ kind: "missing" }));
  });

  test("20,000 damaged texts", () => expectSturdy(["0x0007\n"], parseEnabled));
});
