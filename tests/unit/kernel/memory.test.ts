import { describe, expect, test } from "bun:test";
import { readCgroupTree, type CgroupTree } from "../../../src/kernel/cgroup.ts";
import { parseMeminfo, readMeminfo } from "../../../src/kernel/meminfo.ts";
import { parseByteLimit, readMemoryProtection, readSwapRoomBytes } from "../../../src/kernel/memory-control.ts";
import { acceptsSwappiness, formatReclaim, reclaim } from "../../../src/kernel/memory-reclaim.ts";
import { parseMemoryStat, parseRefaults, readMemoryStat } from "../../../src/kernel/memory-stat.ts";
import { guestFile, guestFiles, guestNames, guestRoot, Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

const v2: CgroupTree = { version: 2, memoryMount: "/cg", memoryRoot: "/", pressureMount: "/cg" };
const v1: CgroupTree = { version: 1, memoryMount: "/cg", memoryRoot: "/", pressureMount: null };

describe("memory.stat", () => {
  test("v2 of 6.1", () => {
    expect(readMemoryStat(guestRoot("6.1"), readCgroupTree(guestRoot("6.1")), "/work")).toEqual({
      anonBytes: 16125952,
      fileBytes: 176128,
      inactiveAnonBytes: 10113024,
      activeAnonBytes: 5857280,
      inactiveFileBytes: 0,
      activeFileBytes: 172032,
      stealPages: 20757,
      refaults: { filePages: 68, anonPages: 1703, apart: true },
    });
  });

  for (const name of guestNames) {
    test(`every cgroup of ${name}`, () => {
      const tree = readCgroupTree(guestRoot(name));
      for (const path of ["/", "/work", "/with blank"]) {
        const stat = readMemoryStat(guestRoot(name), tree, path);
        expect(stat.stealPages === null).toBe(tree.version === 1);
        expect(stat.refaults?.apart).toBe(true);
      }
    });
  }

  test("v1 counts the cgroups below too, under other names", () => {
    const stat = guestFile("6.1-v1", "sys/fs/cgroup/memory/work/memory.stat").toString();
    const changed = stat.replace(/^rss .*$/m, "rss 5").replace(/^total_rss .*$/m, "total_rss 70");
    const swapped = changed.replace(/^total_cache .*$/m, "total_cache 80");
    expect(parseMemoryStat(swapped)).toMatchObject({ anonBytes: 70, fileBytes: 80 });
  });

  test("steals are summed where the kernel does not", () => {
    const whole = guestFile("6.1", "sys/fs/cgroup/work/memory.stat").toString();
    const parts = whole.replace(/^pg(steal|scan) .*\n/gm, "").replace("pgsteal_kswapd 0", "pgsteal_kswapd 3");
    expect(parseMemoryStat(parts).stealPages).toBe(20760);
  });

  test("refaults of kernels that do not tell them apart, or count none", () => {
    expect(parseRefaults("workingset_refault 9\n")).toEqual({ filePages: 9, anonPages: 0, apart: false });
    expect(parseRefaults("anon 9\n")).toBeNull();
  });

  test("a cgroup that is gone has vanished", () => {
    using tree = new Tree();
    expect(() => readMemoryStat(tree.root, v2, "/a")).toThrow(expect.objectContaining({ kind: "vanished" }));
  });

  const samples = [
    guestFile("6.1-v1", "sys/fs/cgroup/memory/work/memory.stat"),
    guestFile("7.2", "sys/fs/cgroup/memory.stat"),
    guestFile("6.12", "sys/fs/cgroup/work/memory.stat"),
  ];
  test("20,000 damaged texts", () => expectSturdy(samples, parseMemoryStat));
  test("20,000 damaged texts, refaults alone", () => expectSturdy(samples, parseRefaults));
});

describe("amounts and limits", () => {
  const rows: readonly [string, number | "max"][] = [
    ["max\n", "max"],
    ["0\n", 0],
    ["1073741824\n", 1073741824],
  ];
  for (const [text, limit] of rows) test(text.trim(), () => expect(parseByteLimit(text)).toBe(limit));
  for (const text of ["", "-1", "1G", "0x10", "maximum"]) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      expect(() => parseByteLimit(text)).toThrow(expect.objectContaining({ kind: "malformed" }));
    });
  }
  test("20,000 damaged texts", () => expectSturdy(["max\n", "1073741824\n"], parseByteLimit));

  test("v2, read in a guest", () => {
    const root = guestRoot("6.1");
    const tree = readCgroupTree(root);
    const protection = readMemoryProtection(root, tree, "/guarded");
    expect(protection.currentBytes).toBeGreaterThan(0);
    expect([protection.minBytes, protection.lowBytes].some((bytes) => bytes !== 0)).toBe(true);
  });

  test("v2, each file under its own name", () => {
    using tree = new Tree({
      "cg/a/memory.current": "1\n",
      "cg/a/memory.min": "2\n",
      "cg/a/memory.low": "max\n",
    });
    expect(readMemoryProtection(tree.root, v2, "/a")).toEqual({ currentBytes: 1, minBytes: 2, lowBytes: "max" });
  });

  test("what may be swapped: the limit less what is out, null without a limit", () => {
    using tree = new Tree({
      "cg/a/memory.swap.max": "12288\n",
      "cg/a/memory.swap.current": "4096\n",
      "cg/b/memory.swap.max": "max\n",
      "cg/c/memory.swap.max": "0\n",
      "cg/c/memory.swap.current": "4096\n",
    });
    const rooms = ["/a", "/b", "/c", "/none"].map((path) => readSwapRoomBytes(tree.root, v2, path));
    expect(rooms).toEqual([8192, null, 0, null]);
    expect(readSwapRoomBytes(tree.root, v1, "/a")).toBeNull();
  });

  test("none: v1, and a root without files", () => {
    using tree = new Tree({ "cg/cgroup.procs": "" });
    const none = { currentBytes: null, minBytes: null, lowBytes: null };
    expect(readMemoryProtection(tree.root, v1, "/")).toEqual(none);
    expect(readMemoryProtection(tree.root, v2, "/")).toEqual(none);
  });
});

describe("memory.reclaim", () => {
  test("what is written", async () => {
    using tree = new Tree({ "cg/a/memory.reclaim": "" });
    expect(await reclaim(tree.root, v2, "/a", { bytes: 4096, swappiness: null })).toBe("done");
    expect(tree.read("cg/a/memory.reclaim")).toBe("4096");
    expect(formatReclaim({ bytes: 4096, swappiness: 0 })).toBe("4096 swappiness=0");
    expect(acceptsSwappiness(tree.root, v2, "/a")).toBe(true);
    expect(tree.read("cg/a/memory.reclaim")).toBe("0 swappiness=0");
  });

  test("a cgroup that is gone has vanished", async () => {
    using tree = new Tree();
    const fault: unknown = await reclaim(tree.root, v2, "/a", { bytes: 1, swappiness: 0 }).catch(
      (error: unknown) => error,
    );
    expect(fault).toMatchObject({ kind: "vanished" });
    expect(() => acceptsSwappiness(tree.root, v2, "/a")).toThrow(expect.objectContaining({ kind: "vanished" }));
  });
});

describe("meminfo", () => {
  test("of 6.1", () => {
    expect(readMeminfo(guestRoot("6.1"))).toEqual({
      swapTotalBytes: 65532 * 1024,
      swapFreeBytes: 56316 * 1024,
      slabReclaimableBytes: 9968 * 1024,
    });
  });

  test("without swap, and nothing is asked of lines that nobody reads", () => {
    expect(parseMeminfo("SReclaimable: 5 kB\n")).toEqual({
      swapTotalBytes: 0,
      swapFreeBytes: 0,
      slabReclaimableBytes: 5120,
    });
    expect(parseMeminfo("MemAvailable: odd\nSwapFree: 4 kB\n").swapFreeBytes).toBe(4096);
    expect(() => parseMeminfo("SwapFree: some\n")).toThrow("SwapFree");
  });

  test("20,000 damaged texts", () => expectSturdy(guestFiles("proc/meminfo"), parseMeminfo));
});
