/** Looks at what the agent needs of the kernel and the machine. Cheap where all is well: it runs at each start. */
import { readCgroupTree } from "../kernel/cgroup.ts";
import { fileState, type FileState } from "../kernel/file-state.ts";
import { readMountinfo } from "../kernel/mountinfo.ts";
import { hasKernelSymbol, readKernelConfig } from "../kernel/kernel-config.ts";
import { readLockdown } from "../kernel/lockdown.ts";
import { lruGenPath, readEnabled } from "../kernel/lru-gen.ts";
import { readPressure, systemPressurePath } from "../kernel/pressure.ts";
import { readTextIfThere } from "../kernel/pseudo-file.ts";

/** Why there is no pressure information: see the kernel's Documentation/accounting/psi.rst. */
export type PressureAbsence = "not_built" | "off_by_parameter" | "off_by_default" | "unknown";

export interface PrerequisiteFacts {
  /** Effective user id; null where /proc/self/status is not readable. */
  readonly userId: number | null;
  readonly capabilities: {
    readonly sysAdmin: boolean;
    readonly sysResource: boolean;
    readonly dacOverride: boolean;
  } | null;
  /** The hierarchy that has the memory controller; null without one. */
  readonly cgroup: { readonly version: 1 | 2; readonly path: string } | null;
  readonly pressure: { readonly state: "ok" } | { readonly state: "absent"; readonly why: PressureAbsence };
  /** Bit mask of lru_gen/enabled; null where the kernel was built without lru_gen. */
  readonly lruGenMask: number | null;
  readonly debugfs: "mounted" | "not_mounted" | "not_built";
  /** debugfs' lru_gen opened for reading and writing. */
  readonly lruGenFile: FileState;
  /** Active mode of the lockdown module; null where there is none, or it cannot be seen. */
  readonly lockdown: string | null;
  readonly memoryReclaim: FileState;
  readonly compactMemory: FileState;
  /** /proc/pagetypeinfo, which counts the free blocks. */
  readonly freeBlocks: FileState;
}

const debugfsPath = "/sys/kernel/debug";

/** The capabilities that the agent uses, by their bit in CapEff; see capabilities(7). */
const capabilityBits = { dacOverride: 1n, sysAdmin: 21n, sysResource: 24n } as const;

function readIdentity(root: string): Pick<PrerequisiteFacts, "userId" | "capabilities"> {
  const text = textOrEmpty(root, "/proc/self/status");
  const userId = /^Uid:\t\d+\t(\d+)/m.exec(text)?.[1];
  const mask = /^CapEff:\t([0-9a-f]+)/m.exec(text)?.[1];
  const has = (bit: bigint): boolean => ((BigInt(`0x${mask}`) >> bit) & 1n) === 1n;
  return {
    userId: userId === undefined ? null : Number(userId),
    capabilities:
      mask === undefined
        ? null
        : {
            sysAdmin: has(capabilityBits.sysAdmin),
            sysResource: has(capabilityBits.sysResource),
            dacOverride: has(capabilityBits.dacOverride),
          },
  };
}

/** Text of a file that everybody may read; empty where it is not there. */
function textOrEmpty(root: string, path: string): string {
  try {
    return readTextIfThere(root, path) ?? "";
  } catch {
    return "";
  }
}

function readCgroup(root: string): PrerequisiteFacts["cgroup"] {
  try {
    const { version, memoryMount } = readCgroupTree(root);
    return { version, path: memoryMount };
  } catch {
    return null;
  }
}

function hasDebugfsMount(root: string): boolean {
  try {
    return readMountinfo(root).some((mount) => mount.fileSystem === "debugfs" && mount.mountPoint === debugfsPath);
  } catch {
    return false;
  }
}

function readDebugfs(root: string): PrerequisiteFacts["debugfs"] {
  if (hasDebugfsMount(root)) return "mounted";
  return /^nodev\tdebugfs$/m.test(textOrEmpty(root, "/proc/filesystems")) ? "not_mounted" : "not_built";
}

function readLruGenMask(root: string): number | null {
  try {
    return readEnabled(root);
  } catch {
    return null;
  }
}

function readPressureFact(root: string): PrerequisiteFacts["pressure"] {
  try {
    readPressure(systemPressurePath(root, "memory"));
    return { state: "ok" };
  } catch {
    return { state: "absent", why: findPressureAbsence(root) };
  }
}

/** Only asked where pressure is absent: it may read the kernel's configuration, or all its symbols. */
function findPressureAbsence(root: string): PressureAbsence {
  const settings = textOrEmpty(root, "/proc/cmdline").trim().split(/\s+/);
  const last = settings.findLast((word) => word.startsWith("psi="));
  if (last !== undefined && /^psi=(0|off|n|no|false)$/i.test(last)) return "off_by_parameter";
  const release = textOrEmpty(root, "/proc/sys/kernel/osrelease").trim();
  const config = readKernelConfig(root, release === "" ? null : release);
  if (config !== null) {
    if (config.option("CONFIG_PSI") !== "y") return "not_built";
    return config.option("CONFIG_PSI_DEFAULT_DISABLED") === "y" ? "off_by_default" : "unknown";
  }
  const built = hasKernelSymbol(root, "psi_memstall_enter");
  if (built === null) return "unknown";
  return built ? "off_by_default" : "not_built";
}

/** Looks at the machine under `root`. Throws nothing: what cannot be seen is a fact too. */
export function readPrerequisiteFacts(root: string): PrerequisiteFacts {
  const cgroup = readCgroup(root);
  return {
    ...readIdentity(root),
    cgroup,
    pressure: readPressureFact(root),
    lruGenMask: readLruGenMask(root),
    debugfs: readDebugfs(root),
    lruGenFile: fileState(root, lruGenPath, "both"),
    lockdown: readLockdown(root),
    memoryReclaim: cgroup?.version === 2 ? fileState(root, `${cgroup.path}/memory.reclaim`, "write") : "missing",
    compactMemory: fileState(root, "/proc/sys/vm/compact_memory", "write"),
    freeBlocks: fileState(root, "/proc/pagetypeinfo", "read"),
  };
}
