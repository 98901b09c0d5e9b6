import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  cgroupChildren,
  cgroupFile,
  cgroupInode,
  findCgroupTree,
  findPressureFiles,
  parentPath,
  pressurePath,
  readCgroupTree,
  type CgroupTree,
} from "../../../src/kernel/cgroup.ts";
import { parseMountinfo, readMountinfo } from "../../../src/kernel/mountinfo.ts";
import { guestFiles, guestNames, guestRoot, Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

const v2: CgroupTree = { version: 2, memoryMount: "/sys/fs/cgroup", pressureMount: "/sys/fs/cgroup" };

const hybrid: CgroupTree = {
  version: 1,
  memoryMount: "/sys/fs/cgroup/memory",
  pressureMount: "/sys/fs/cgroup/unified",
};

describe("the tree of real guests", () => {
  for (const name of guestNames) {
    test(name, () => {
      const tree = readCgroupTree(guestRoot(name));
      expect(tree).toEqual(name === "6.1-v1" ? hybrid : v2);
      expect(cgroupChildren(guestRoot(name), tree, "/").toSorted()).toEqual([
        "/guarded",
        "/idle",
        "/with blank",
        "/work",
      ]);
      expect(cgroupChildren(guestRoot(name), tree, "/work")).toEqual(["/work/inner"]);
      expect(findPressureFiles(guestRoot(name), tree, "/with blank")?.source).toBe("/with blank");
    });
  }
});

describe("mounts", () => {
  const unified = "1 2 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
  const unifiedAside = "1 2 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
  const memory = "4 2 0:5 / /sys/fs/cgroup/memory rw shared:1 master:2 - cgroup cgroup rw,memory";
  const cpuacct = "5 2 0:6 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
  const nested = "6 2 0:7 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
  const aside = "7 2 0:8 / /mnt/cgroup rw - cgroup2 none rw";
  const rows: readonly [string, string[], string, string[], CgroupTree | null][] = [
    ["v2", [unified], "cpu io memory", [], v2],
    ["v2 elsewhere", [aside], "memory", [], { version: 2, memoryMount: "/mnt/cgroup", pressureMount: "/mnt/cgroup" }],
    ["v2 mounted twice: the later", [aside, unified], "memory", [], v2],
    ["v2 without the memory controller", [unified], "cpu io", [], null],
    ["none", [], "", [], null],
    ["hybrid with pressure", [unifiedAside, memory, cpuacct], "", ["/sys/fs/cgroup/unified/memory.pressure"], hybrid],
    [
      "v1 with pressure in another controller's tree",
      [memory, cpuacct],
      "",
      ["/sys/fs/cgroup/cpu,cpuacct/memory.pressure"],
      { version: 1, memoryMount: "/sys/fs/cgroup/memory", pressureMount: "/sys/fs/cgroup/cpu,cpuacct" },
    ],
    [
      "v1 without pressure",
      [memory, cpuacct],
      "",
      [],
      { version: 1, memoryMount: "/sys/fs/cgroup/memory", pressureMount: null },
    ],
    [
      "the whole hierarchy before a part of it",
      [memory.replace("/sys/fs/cgroup/memory", "/all"), nested],
      "",
      [],
      { version: 1, memoryMount: "/all", pressureMount: null },
    ],
    [
      "a part where there is no more",
      [nested],
      "",
      [],
      { version: 1, memoryMount: "/sys/fs/cgroup/memory", pressureMount: null },
    ],
  ];
  for (const [name, lines, controllers, files, tree] of rows) {
    test(name, () => {
      const probe = { hasFile: (path: string) => files.includes(path), controllers: () => `${controllers}\n` };
      expect(findCgroupTree(parseMountinfo(lines.join("\n")), probe)).toEqual(tree);
    });
  }

  test("without one the fault says what to mount", () => {
    using tree = new Tree({ "proc/self/mountinfo": "" });
    expect(() => readCgroupTree(tree.root)).toThrow("mount cgroup2");
  });

  test("escaped blanks, and fields that may be missing", () => {
    const [mount] = parseMountinfo("41 31 0:38 / /mnt/a\\040b\\134 rw - ext4 /dev/disk\\011x\n");
    expect(mount).toEqual({
      root: "/",
      mountPoint: "/mnt/a b\\",
      fileSystem: "ext4",
      source: "/dev/disk\tx",
      superOptions: [""],
    });
  });

  test("this machine's", () => expect(readMountinfo("/").some(({ fileSystem }) => fileSystem === "proc")).toBe(true));
  test("20,000 damaged texts", () => expectSturdy(guestFiles("proc/self/mountinfo"), parseMountinfo));
});

describe("paths", () => {
  test("of files", () => {
    expect(cgroupFile("/", v2, "/", "memory.stat")).toBe("/sys/fs/cgroup/memory.stat");
    expect(cgroupFile("/t", v2, "/a b", "memory.stat")).toBe("/t/sys/fs/cgroup/a b/memory.stat");
    expect(cgroupFile("/", v2, "/x\udcff", "f")).toEqual(Buffer.from("/sys/fs/cgroup/x\xff/f", "latin1"));
    expect(pressurePath("/", v2, "/a", "io")).toBe("/sys/fs/cgroup/a/io.pressure");
    expect(() => pressurePath("/", { ...v2, pressureMount: null }, "/a", "io")).toThrow("psi=1");
  });

  for (const [path, parent] of [
    ["/a/b", "/a"],
    ["/a", "/"],
    ["/", null],
    ["", null],
  ] as const) {
    test(`above ${path}`, () => expect(parentPath(path)).toBe(parent));
  }
});

describe("pressure files", () => {
  const own = { "sys/fs/cgroup/a/memory.pressure": "", "proc/pressure/memory": "" };
  test("the nearest parent's stand in", () => {
    using tree = new Tree(own);
    mkdirSync(join(tree.root, "sys/fs/cgroup/a/b/c"), { recursive: true });
    const files = findPressureFiles(tree.root, v2, "/a/b/c");
    expect(files?.source).toBe("/a");
    expect(files?.io).toBe(join(tree.root, "sys/fs/cgroup/a/io.pressure"));
  });
  test("else the system's", () => {
    using tree = new Tree(own);
    expect(findPressureFiles(tree.root, v2, "/other")?.source).toBe("system");
    expect(findPressureFiles(tree.root, { ...v2, pressureMount: null }, "/a")?.source).toBe("system");
  });
  test("none without PSI", () => {
    using tree = new Tree();
    expect(findPressureFiles(tree.root, v2, "/a")).toBeNull();
  });
});

describe("a cgroup's folder", () => {
  test("is told from a later one of the same name by its inode", () => {
    using tree = new Tree({ "sys/fs/cgroup/a/x": "" });
    const folder = join(tree.root, "sys/fs/cgroup/a");
    expect(cgroupInode(tree.root, v2, "/a")).toBe(statSync(folder).ino);
    expect(cgroupInode(tree.root, v2, "/")).not.toBe(cgroupInode(tree.root, v2, "/a"));
    rmSync(folder, { recursive: true });
    expect(() => cgroupInode(tree.root, v2, "/a")).toThrow(expect.objectContaining({ kind: "vanished" }));
    expect(() => cgroupChildren(tree.root, v2, "/a")).toThrow(expect.objectContaining({ kind: "vanished" }));
  });

  test("children with odd bytes are found and can be opened", () => {
    using tree = new Tree({ "sys/fs/cgroup/memory.stat": "" });
    const above = join(tree.root, "sys/fs/cgroup/");
    mkdirSync(Buffer.concat([Buffer.from(above), Buffer.from([0x78, 0xff])]));
    mkdirSync(join(above, "plain"));
    const children = cgroupChildren(tree.root, v2, "/");
    expect(children.toSorted()).toEqual(["/plain", "/x\udcff"]);
    for (const child of children) expect(cgroupInode(tree.root, v2, child)).toBeGreaterThan(0);
  });
});
