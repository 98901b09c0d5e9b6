/** What the agent costs itself. */
import { secsOf } from "../base/units.ts";
import { isFault, nullIfFault } from "../base/fault.ts";
import { readCgroupTree, type CgroupTree } from "../kernel/cgroup.ts";
import { cachedExecutableBytes } from "../system/executable-pages.ts";
import { readText, readTextIfThere } from "../system/pseudo-file.ts";
import { readSelfStatus } from "../system/self.ts";
import type { OwnCost } from "./status.ts";

/** Never throws: what /proc does not say is null. */
export function ownCost(): OwnCost {
  const cpu = process.cpuUsage();
  const times = {
    cpu_user_secs: secsOf(cpu.user / 1000),
    cpu_system_secs: secsOf(cpu.system / 1000),
    uptime_secs: secsOf(process.uptime() * 1000),
  };
  try {
    const { rssAnonBytes, rssFileBytes, rssShmemBytes, threads } = readSelfStatus("/");
    return {
      ...times,
      charged_bytes: ownCgroupBytes("/", process.pid) ?? sumOrNull(rssAnonBytes, cachedExecutableBytes()),
      private_bytes: rssAnonBytes,
      resident_bytes: rssAnonBytes + rssFileBytes + rssShmemBytes,
      threads,
    };
  } catch (error) {
    if (!isFault(error)) throw error;
    return { ...times, charged_bytes: null, private_bytes: null, resident_bytes: null, threads: null };
  }
}

function sumOrNull(privateBytes: number, cachedBytes: number | null): number | null {
  return cachedBytes === null ? null : privateBytes + cachedBytes;
}

/** Where the hierarchies are mounted does not change under us. */
let knownTree: CgroupTree | null = null;

/**
 * Path of the process's cgroup in the memory hierarchy; null where other processes are in it, in the root, and where it
 * cannot be known. Never throws.
 */
export function ownCgroupPath(root: string, pid: number): string | null {
  return nullIfFault(() => {
    const tree = readCgroupTree(root);
    return loneCgroup(root, tree, pid);
  });
}

/** `0::/a` of version 2, `4:cpu,memory:/a` of version 1: proc_pid_cgroup(5). */
function loneCgroup(root: string, { version, memoryMount }: CgroupTree, pid: number): string | null {
  const line = version === 2 ? /^0::(\/.+)$/m : /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(\/.+)$/m;
  const path = line.exec(readTextIfThere(root, "/proc/self/cgroup") ?? "")?.[1];
  if (path === undefined) return null;
  return readTextIfThere(root, `${memoryMount}${path}/cgroup.procs`) === `${pid}\n` ? path : null;
}

/**
 * memory.current of the process's cgroup: anonymous pages, the page cache that it brought, and what the kernel keeps
 * for it. Null where other processes are in it, and on cgroup v1. Faults: `missing`, `malformed`, `io`.
 */
export function ownCgroupBytes(root: string, pid: number): number | null {
  knownTree ??= readCgroupTree(root);
  const path = knownTree.version === 2 ? loneCgroup(root, knownTree, pid) : null;
  if (path === null) return null;
  const bytes = Number(readText(root, `${knownTree.memoryMount}${path}/memory.current`).trim());
  return Number.isSafeInteger(bytes) ? bytes : null;
}
