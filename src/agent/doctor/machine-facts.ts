/** Reads what `doctor` reports beyond the prerequisites. Arms one pressure trigger and drops it; changes nothing. */
import {
  cgroupChildren,
  cgroupInode,
  findPressureFiles,
  readCgroupTree,
  type CgroupTree,
} from "../../kernel/cgroup.ts";
import { readIsVirtual } from "../../kernel/cpuinfo.ts";
import { readKernelRelease, type KernelRelease } from "../../kernel/kernel-release.ts";
import { parseLruGen } from "../../kernel/lru-gen-scan.ts";
import { lruGenPath } from "../../kernel/lru-gen.ts";
import { acceptsSwappiness } from "../../kernel/memory-reclaim.ts";
import { readMeminfo } from "../../kernel/meminfo.ts";
import { readReportingOrder } from "../../kernel/page-reporting.ts";
import { PressureTrigger } from "../../kernel/pressure-trigger.ts";
import { systemPressurePath } from "../../kernel/pressure.ts";
import { readReadAhead, type ReadAhead } from "../../kernel/read-ahead.ts";
import { readText } from "../../system/pseudo-file.ts";
import { ownExecutableDevice } from "../../system/self.ts";
import { readVirtioBalloons, type VirtioBalloon } from "../../kernel/virtio-balloon.ts";
import { readLocalCid } from "../../system/vsock.ts";
import { answer } from "./facts.ts";

/** What could not be found out is null. */
export interface DoctorFacts {
  readonly release: KernelRelease | null;
  /** What lru_gen's ids are: numbers of the kernel's own, or the cgroups' inodes. */
  readonly lruGenIds: "numbers" | "inodes" | null;
  /** The shortest window of a pressure trigger that this kernel took. */
  readonly triggerWindowMs: number | null;
  /** For a cgroup one level below the root: whose pressure files stand for it, its own path or another's. */
  readonly cgroupPressure: { readonly path: string; readonly source: string } | null;
  readonly swap: { readonly totalBytes: number; readonly freeBytes: number } | null;
  /** Whether memory.reclaim takes `swappiness=`. */
  readonly reclaimSwappiness: boolean | null;
  /** Least order of the blocks that are reported to the host. */
  readonly reportingOrder: number | null;
  readonly balloons: readonly VirtioBalloon[];
  readonly isVirtual: boolean | null;
  /** Of the disk that holds our executable. */
  readonly readAhead: ReadAhead | null;
  /** Context id of vsock. */
  readonly cid: number | null;
}

function readLruGenIds(root: string, tree: CgroupTree): DoctorFacts["lruGenIds"] {
  for (const { id, path } of parseLruGen(readText(root, lruGenPath))) {
    if (path === "/" || id === "0") continue;
    const inode = answer(() => cgroupInode(root, tree, path));
    if (inode !== null) return id === String(inode) ? "inodes" : "numbers";
  }
  return null;
}

function readCgroupPressure(root: string, tree: CgroupTree): DoctorFacts["cgroupPressure"] {
  const path = cgroupChildren(root, tree, "/").toSorted()[0];
  const files = path === undefined ? null : findPressureFiles(root, tree, path);
  return path === undefined || files === null ? null : { path, source: files.source };
}

/** Half of a window stalled would fire it; it is dropped at once. */
const stallPercent = 50;

function readTriggerWindowMs(root: string): number {
  using trigger = PressureTrigger.open(systemPressurePath(root, "memory"), stallPercent);
  return trigger.windowMs;
}

function readSwap(root: string): DoctorFacts["swap"] {
  const { swapTotalBytes, swapFreeBytes } = readMeminfo(root);
  return { totalBytes: swapTotalBytes, freeBytes: swapFreeBytes };
}

/** Throws nothing: what cannot be seen is a fact too. */
export function readDoctorFacts(root: string): DoctorFacts {
  const tree = answer(() => readCgroupTree(root));
  return {
    release: answer(() => readKernelRelease(root)),
    lruGenIds: tree === null ? null : answer(() => readLruGenIds(root, tree)),
    triggerWindowMs: answer(() => readTriggerWindowMs(root)),
    cgroupPressure: tree === null ? null : answer(() => readCgroupPressure(root, tree)),
    swap: answer(() => readSwap(root)),
    reclaimSwappiness: tree?.version === 2 ? answer(() => acceptsSwappiness(root, tree, "/")) : null,
    reportingOrder: answer(() => readReportingOrder(root)),
    balloons: readVirtioBalloons(root),
    isVirtual: answer(() => readIsVirtual(root)),
    readAhead: answer(() => readReadAhead(root, ownExecutableDevice())),
    cid: readLocalCid(root),
  };
}
