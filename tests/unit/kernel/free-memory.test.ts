import { describe, expect, test } from "bun:test";
import { parseBuddyinfo, readBuddyinfo } from "../../../src/kernel/buddyinfo.ts";
import { canCompact, compactMemory, compactNodes, compactPath } from "../../../src/kernel/compact-memory.ts";
import { parseReportingOrder, readReportingOrder } from "../../../src/kernel/page-reporting.ts";
import { parsePagetypeinfo, readPagetypeinfo, type BlockCount } from "../../../src/kernel/pagetypeinfo.ts";
import { parseVmstat, readVmstat } from "../../../src/kernel/vmstat.ts";
import { guestFiles, guestNames, guestRoot, Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

describe("real guests", () => {
  for (const name of guestNames) {
    test(name, () => {
      const root = guestRoot(name);
      const zones = readBuddyinfo(root);
      const rows = readPagetypeinfo(root);
      expect(new Set(zones.map(({ node }) => node)).size).toBe(name === "6.12-numa" ? 2 : 1);
      expect(zones.every(({ freeBlocks }) => freeBlocks.length === 11)).toBe(true);
      expect(rows.every(({ freeBlocks }) => freeBlocks.length === 11)).toBe(true);
      expect(rows.some(({ type }) => type === "Movable")).toBe(true);
      expect(new Set(rows.map(({ node, zone }) => `${node} ${zone}`)).size).toBe(zones.length);
      expect(readVmstat(root).compaction).not.toBeNull();
      expect(readReportingOrder(root)).toBe(9);
    });
  }
});

test("buddyinfo: one zone", () => {
  expect(parseBuddyinfo("Node 1, zone   Normal     85     71      0 \n")).toEqual([
    { node: 1, zone: "Normal", freeBlocks: [85, 71, 0] },
  ]);
  expect(() => parseBuddyinfo("Node 1, zone Normal\n")).toThrow(expect.objectContaining({ kind: "malformed" }));
  expect(() => parseBuddyinfo("Node 1, zone Normal 1 x\n")).toThrow(expect.objectContaining({ kind: "malformed" }));
});

function plain(count: number): BlockCount {
  return { count, atLeast: false };
}

test("pagetypeinfo: a count that the kernel gave up is a lower bound, not zero", () => {
  const text = `Page block order: 9
Pages per block:  512

Free pages count per migrate type at order       0      1      2 
Node    0, zone    DMA32, type      Movable >100000      2      0 
Node    3, zone   Normal, type          CMA      0      1 >100000 

Number of blocks type     Unmovable      Movable 
Node 0, zone    DMA32            1           10 
`;
  expect(parsePagetypeinfo(text)).toEqual([
    { node: 0, zone: "DMA32", type: "Movable", freeBlocks: [{ count: 100_000, atLeast: true }, plain(2), plain(0)] },
    { node: 3, zone: "Normal", type: "CMA", freeBlocks: [plain(0), plain(1), { count: 100_000, atLeast: true }] },
  ]);
  expect(() => parsePagetypeinfo("Page block order: 9\n")).toThrow(expect.objectContaining({ kind: "malformed" }));
  expect(() => parsePagetypeinfo(text.replace(">100000", ">many"))).toThrow(
    expect.objectContaining({ kind: "malformed" }),
  );
});

test("vmstat: counters, and a kernel without compaction", () => {
  const text =
    "compact_migrate_scanned 3\ncompact_free_scanned 2\ncompact_isolated 1\npgsteal_anon 4\npgsteal_file 11\n";
  expect(parseVmstat(text)).toEqual({
    compaction: {
      migrateScannedPages: 3,
      freeScannedPages: 2,
      isolatedPages: 1,
    },
    stealAnonPages: 4,
    stealFilePages: 11,
  });
  expect(parseVmstat("pgsteal_kswapd 10\n").compaction).toBeNull();
});

describe("reporting order", () => {
  for (const [text, order] of [
    ["9\n", 9],
    ["0\n", 0],
    ["4294967295\n", null],
    ["-1\n", null],
  ] as const) {
    test(text.trim(), () => expect(parseReportingOrder(text)).toBe(order));
  }
  test("no such module", () => {
    using tree = new Tree();
    expect(readReportingOrder(tree.root)).toBeNull();
  });
});

describe("compaction", () => {
  test("of all nodes, and of one", () => {
    const whole = "proc/sys/vm/compact_memory";
    const one = "sys/devices/system/node/node10/compact";
    using tree = new Tree({
      [whole]: "",
      [one]: "",
      "sys/devices/system/node/node2/compact": "",
      "sys/devices/system/node/online": "",
    });
    expect(canCompact(tree.root)).toBe(true);
    expect(compactNodes(tree.root)).toEqual([2, 10]);
    compactMemory(tree.root);
    compactMemory(tree.root, 10);
    expect(tree.read(whole)).toBe("1");
    expect(tree.read(one)).toBe("1");
    expect(compactPath("/", 0)).toBe("/sys/devices/system/node/node0/compact");
  });

  test("a kernel without it", () => {
    using tree = new Tree();
    expect(canCompact(tree.root)).toBe(false);
    expect(compactNodes(tree.root)).toEqual([]);
    expect(() => compactMemory(tree.root)).toThrow(expect.objectContaining({ kind: "missing" }));
  });
});

describe("20,000 damaged texts", () => {
  test("buddyinfo", () => expectSturdy(guestFiles("proc/buddyinfo"), parseBuddyinfo));
  test("pagetypeinfo", () => expectSturdy(guestFiles("proc/pagetypeinfo"), parsePagetypeinfo));
  test("vmstat", () => expectSturdy(guestFiles("proc/vmstat"), parseVmstat));
  test("reporting order", () => expectSturdy(["9\n", "4294967295\n"], parseReportingOrder));
});
