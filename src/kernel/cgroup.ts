/**
 * Where the memory cgroups are, and their files. Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 *
 * - v2: one tree, mostly at /sys/fs/cgroup, with memory and pressure files side by side.
 * - v1: the memory controller has a tree of its own, mostly /sys/fs/cgroup/memory. Pressure files are in the v2 tree
 *   beside it (`unified`, a hybrid machine), or with some kernels in another controller's tree; or nowhere.
 *
 * A cgroup's path is as lru_gen prints it: from the root of the memory hierarchy, beginning with `/`. Names are
 * strings as path-name.ts makes them.
 */
import { existsSync, readdirSync, statSync, type Stats } from "node:fs";
import { Fault } from "../base/fault.ts";
import { readMountinfo, type Mount } from "./mountinfo.ts";
import { decodeName, fsPath, type FsPath } from "../system/path-name.ts";
import { fileFault, readTextIfThere, under } from "../system/pseudo-file.ts";
import { systemPressurePath } from "./pressure.ts";

export interface CgroupTree {
  readonly version: 1 | 2;
  /** Mount point of the memory hierarchy, such as `/sys/fs/cgroup`. */
  readonly memoryMount: string;
  /** Folder of the hierarchy that is mounted there, `/` for the whole of it. */
  readonly memoryRoot: string;
  /** Mount point of the tree with pressure files, null where there is none. */
  readonly pressureMount: string | null;
}

/** Finds the memory hierarchy. Faults: `missing` (none is mounted), `malformed`, `io`. */
export function readCgroupTree(root: string): CgroupTree {
  const mounts = readMountinfo(root);
  const tree = findCgroupTree(mounts, {
    hasFile: (path) => existsSync(under(root, path)),
    controllers: (mountPoint) => readTextIfThere(root, `${mountPoint}/cgroup.controllers`) ?? "",
  });
  if (tree === null) {
    throw new Fault(
      "missing",
      "cannot find memory cgroups: no hierarchy with the memory controller is mounted; mount cgroup2 at /sys/fs/cgroup",
    );
  }
  return tree;
}

/** What `findCgroupTree` asks about the mounts. */
export interface CgroupProbe {
  hasFile(path: string): boolean;
  /** Text of cgroup.controllers at a v2 mount point. */
  controllers(mountPoint: string): string;
}

/** Null where no memory hierarchy is mounted. */
export function findCgroupTree(mounts: readonly Mount[], probe: CgroupProbe): CgroupTree | null {
  const visible = visibleMounts(mounts);
  const unified = bestFirst(visible.filter((mount) => mount.fileSystem === "cgroup2"));
  const [memory] = bestFirst(visible.filter((mount) => isV1(mount) && mount.superOptions.includes("memory")));
  if (memory !== undefined) {
    const pressureMount = v1PressureMount([...unified, ...visible.filter(isV1)], probe);
    return { version: 1, memoryMount: memory.mountPoint, memoryRoot: memory.root, pressureMount };
  }
  const tree = unified.find(({ mountPoint }) => probe.controllers(mountPoint).trim().split(" ").includes("memory"));
  if (tree === undefined) return null;
  return { version: 2, memoryMount: tree.mountPoint, memoryRoot: tree.root, pressureMount: tree.mountPoint };
}

/**
 * What is mounted where the tree was found: another mount there, or none, is another identity. Null where it cannot be
 * told.
 */
export function cgroupMountIdentity(root: string, tree: CgroupTree): string | null {
  try {
    const stats = statSync(under(root, tree.memoryMount), { throwIfNoEntry: false });
    return stats === undefined ? null : `${stats.dev}:${stats.ino}`;
  } catch {
    return null;
  }
}

/** Path of a memory file of a cgroup, for pseudo-file.ts and node:fs. */
export function cgroupFile(root: string, tree: CgroupTree, path: string, file: string): FsPath {
  return cgroupPath(root, tree.memoryMount, path, file);
}

/**
 * Path of a cgroup's own pressure file, whether it is there or not. Fault `missing` where no tree has any: look at
 * `pressureMount` first.
 */
export function pressurePath(root: string, tree: CgroupTree, path: string, resource: "memory" | "io"): FsPath {
  if (tree.pressureMount === null) {
    throw new Fault(
      "missing",
      "cannot find a cgroup's pressure: no tree with pressure files is mounted; start with psi=1",
    );
  }
  return cgroupPath(root, tree.pressureMount, path, `${resource}.pressure`);
}

export interface PressureFiles {
  /** Path of the cgroup whose files these are, or `system`. */
  readonly source: string;
  readonly memory: FsPath;
  readonly io: FsPath;
}

/** The pressure files that stand for a cgroup: its own, the nearest parent's, or the system's. Null without PSI. */
export function findPressureFiles(root: string, tree: CgroupTree, path: string): PressureFiles | null {
  for (let at: string | null = path; at !== null && tree.pressureMount !== null; at = parentPath(at)) {
    const memory = pressurePath(root, tree, at, "memory");
    if (existsSync(memory)) return { source: at, memory, io: pressurePath(root, tree, at, "io") };
  }
  const memory = systemPressurePath(root, "memory");
  return existsSync(memory) ? { source: "system", memory, io: systemPressurePath(root, "io") } : null;
}

/** The path one level up, null for `/`. */
export function parentPath(path: string): string | null {
  if (path === "/" || path === "") return null;
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

/**
 * The inode of a cgroup's folder: names are reused, inodes are not while the machine runs.
 * Faults: `vanished`, `denied`, `io`.
 */
export function cgroupInode(root: string, tree: CgroupTree, path: string): number {
  const folder = cgroupPath(root, tree.memoryMount, path, "");
  const stats = statFolder(folder);
  if (stats === undefined) throw new Fault("vanished", `cannot find cgroup ${path}: it was removed; nothing to do`);
  return stats.ino;
}

/** Paths of the cgroups one level below, in no order. Faults: `vanished`, `denied`, `io`. */
export function cgroupChildren(root: string, tree: CgroupTree, path: string): string[] {
  const folder = cgroupPath(root, tree.memoryMount, path, "");
  const above = path === "/" ? "" : path;
  try {
    return folderNames(folder).map((name) => `${above}/${name}`);
  } catch (error) {
    throw fileFault(error, "list", folder, "vanished");
  }
}

/** What readdir puts for bytes that are not UTF-8: a name with it may be any name. */
const replacement = "\ufffd";

function folderNames(folder: FsPath): string[] {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  if (!names.some((name) => name.includes(replacement))) return names;
  // Bun gives no types along with names as bytes: ask for each, in this rare case.
  return readdirSync(folder, "buffer")
    .filter((name) => statFolder(inFolder(folder, name))?.isDirectory() === true)
    .map(decodeName);
}

function inFolder(folder: FsPath, name: Buffer): Buffer {
  return Buffer.concat([typeof folder === "string" ? Buffer.from(folder) : folder, Buffer.from("/"), name]);
}

function statFolder(folder: FsPath): Stats | undefined {
  try {
    return statSync(folder, { throwIfNoEntry: false });
  } catch (error) {
    throw fileFault(error, "look at", folder, "vanished");
  }
}

function cgroupPath(root: string, mount: string, path: string, file: string): FsPath {
  const folder = path === "/" ? under(root, mount) : `${under(root, mount)}${path}`;
  return fsPath(file === "" ? folder : `${folder}/${file}`);
}

/** Where the tree of version 2 belongs: cgroup_namespaces(7), systemd, and every container runtime put it there. */
const usualMount = "/sys/fs/cgroup";

/** Without those that a later mount at the same point hides. */
function visibleMounts(mounts: readonly Mount[]): readonly Mount[] {
  const last = new Map(mounts.map((mount) => [mount.mountPoint, mount]));
  return mounts.filter((mount) => last.get(mount.mountPoint) === mount);
}

function rank({ root, mountPoint }: Mount): number {
  return (root === "/" ? 0 : 2) + (mountPoint === usualMount ? 0 : 1);
}

/** The whole hierarchy before a part of it, then the usual place before others, then the older before the newer. */
function bestFirst(mounts: readonly Mount[]): readonly Mount[] {
  return mounts.toSorted((left, right) => rank(left) - rank(right));
}

function isV1(mount: Mount): boolean {
  return mount.fileSystem === "cgroup";
}

/** With v1: the v2 tree if it has pressure files, else a controller's tree that has them. */
function v1PressureMount(candidates: readonly Mount[], probe: CgroupProbe): string | null {
  return candidates.find((mount) => probe.hasFile(`${mount.mountPoint}/memory.pressure`))?.mountPoint ?? null;
}
