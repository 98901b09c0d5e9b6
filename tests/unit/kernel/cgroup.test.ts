import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import {
  cgroupChildren,
  cgroupFile,
  cgroupInode,
  cgroupMountIdentity,
  findCgroupTree,
  findPressureFiles,
  parentPath,
  pressurePath,
  readCgroupTree,
  type CgroupTree,
} from "../../../src/kernel/cgroup.ts";
import { isInFirstCgroupNamespace, parseCgroupNamespace } from "../../../src/kernel/cgroup-namespace.ts";
import { parseMountinfo, readMountinfo } from "../../../src/kernel/mountinfo.ts";
import { guestFiles, guestNames, guestRoot, Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

const v2: CgroupTree = { version: 2, memoryMount: "/sys/fs/cgroup", memoryRoot: "/", pressureMount: "/sys/fs/cgroup" };

const v2Aside: CgroupTree = { version: 2, memoryMount: "/mnt/cgroup", memoryRoot: "/", pressureMount: "/mnt/cgroup" };

const hybrid: CgroupTree = {
  version: 1,
  memoryMount: "/sys/fs/cgroup/memory",
  memoryRoot: "/",
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
    ["v2 elsewhere", [aside], "memory", [], v2Aside],
    ["v2 mounted twice: at its usual place", [aside, unified], "memory", [], v2],
    ["v2 mounted once more, later", [unified, aside], "memory", [], v2],
    [
      "v2 mounted twice elsewhere: the first",
      [aside, aside.replace("/mnt/cgroup", "/mnt/more")],
      "memory",
      [],
      v2Aside,
    ],
    [
      "v2 hidden by another mount",
      [aside, unified, "8 2 0:9 / /sys/fs/cgroup rw - tmpfs none rw"],
      "memory",
      [],
      v2Aside,
    ],
    [
      "a namespace's own mount before a part of the host's",
      [unified.replace(" / ", " /.. "), aside],
      "memory",
      [],
      v2Aside,
    ],
    ["v2 without the memory controller", [unified], "cpu io", [], null],
    ["none", [], "", [], null],
    ["hybrid with pressure", [unifiedAside, memory, cpuacct], "", ["/sys/fs/cgroup/unified/memory.pressure"], hybrid],
    [
      "v1 with pressure in another controller's tree",
      [memory, cpuacct],
      "",
      ["/sys/fs/cgroup/cpu,cpuacct/memory.pressure"],
      {
        version: 1,
        memoryMount: "/sys/fs/cgroup/memory",
        memoryRoot: "/",
        pressureMount: "/sys/fs/cgroup/cpu,cpuacct",
      },
    ],
    [
      "v1 without pressure",
      [memory, cpuacct],
      "",
      [],
      { version: 1, memoryMount: "/sys/fs/cgroup/memory", memoryRoot: "/", pressureMount: null },
    ],
    [
      "the whole hierarchy before a part of it",
      [memory.replace("/sys/fs/cgroup/memory", "/all"), nested],
      "",
      [],
      { version: 1, memoryMount: "/all", memoryRoot: "/", pressureMount: null },
    ],
    [
      "a part where there is no more",
      [nested],
      "",
      [],
      { version: 1, memoryMount: "/sys/fs/cgroup/memory", memoryRoot: "/docker/1", pressureMount: null },
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

describe("the mount under us", () => {
  test("is another, or none, once it is gone", () => {
    using tree = new Tree({ "sys/fs/cgroup/cgroup.procs": "", "mnt/cgroup.procs": "" });
    const mounted = cgroupMountIdentity(tree.root, v2);
    expect(mounted).not.toBeNull();
    expect(cgroupMountIdentity(tree.root, v2)).toBe(mounted);
    expect(cgroupMountIdentity(tree.root, { ...v2, memoryMount: "/mnt" })).not.toBe(mounted);
    rmSync(join(tree.root, "sys/fs/cgroup"), { recursive: true });
    expect(cgroupMountIdentity(tree.root, v2)).toBeNull();
  });
});

describe("the cgroup namespace", () => {
  const rows: readonly [string, string | null, boolean | null][] = [
    ["the machine's", "cgroup:[4026531835]", true],
    ["a container's", "cgroup:[4026532447]", false],
    ["a kernel without any", null, null],
  ];
  for (const [name, link, first] of rows) {
    test(name, () => {
      using tree = new Tree({ "proc/self/ns/mnt": "" });
      if (link !== null) symlinkSync(link, join(tree.root, "proc/self/ns/cgroup"));
      expect(isInFirstCgroupNamespace(tree.root)).toBe(first);
    });
  }
  for (const link of ["", "mnt:[4026531835]", "cgroup:[x]", "cgroup:[4026531835] "]) {
    test(`${JSON.stringify(link)} is none`, () => expect(() => parseCgroupNamespace(link)).toThrow("not a namespace"));
  }
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
