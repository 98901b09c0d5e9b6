/** Reads what the agent needs of the kernel and the machine. Cheap where all is well: it runs at each start. */
import { readCgroupTree } from "../../kernel/cgroup.ts";
import { isInFirstCgroupNamespace } from "../../kernel/cgroup-namespace.ts";
import { readCmdline } from "../../kernel/cmdline.ts";
import { hasDebugfs, isDebugfsMounted, readLockdown } from "../../kernel/debugfs.ts";
import { fileState, type FileState } from "../../kernel/file-state.ts";
import { hasKernelSymbol, readKernelConfig } from "../../kernel/kernel-config.ts";
import { readKernelRelease } from "../../kernel/kernel-release.ts";
import { lruGenEnabledPath, lruGenPath, readEnabled } from "../../kernel/lru-gen.ts";
import { readSomeTotalUs, systemPressurePath } from "../../kernel/pressure.ts";
import { readTextIfThere } from "../../system/pseudo-file.ts";
import { capability, hasCapability } from "../../system/self.ts";

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
  readonly cgroup: {
    readonly version: 1 | 2;
    readonly path: string;
    /** Whether its paths are those of the machine, or a namespace's, or those of one mounted folder. */
    readonly view: "machine" | "namespace" | "folder";
  } | null;
  readonly pressure: { readonly state: "ok" } | { readonly state: "absent"; readonly why: PressureAbsence };
  /** Bit mask of lru_gen/enabled; null where the kernel was built without lru_gen. */
  readonly lruGenMask: number | null;
  /** lru_gen/enabled opened for writing: whether lru_gen can be switched. */
  readonly lruGenSwitch: FileState;
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

function readIdentity(root: string): Pick<PrerequisiteFacts, "userId" | "capabilities"> {
  const text = textOrEmpty(root, "/proc/self/status");
  const userId = /^Uid:\t\d+\t(\d+)/m.exec(text)?.[1];
  const digits = /^CapEff:\t([0-9a-f]+)/m.exec(text)?.[1];
  const mask = digits === undefined ? null : BigInt(`0x${digits}`);
  return {
    userId: userId === undefined ? null : Number(userId),
    capabilities: mask === null ? null : readCapabilities(mask),
  };
}

function readCapabilities(mask: bigint): NonNullable<PrerequisiteFacts["capabilities"]> {
  return {
    sysAdmin: hasCapability(mask, capability.sysAdmin),
    sysResource: hasCapability(mask, capability.sysResource),
    dacOverride: hasCapability(mask, capability.dacOverride),
  };
}

/** What a reader says, null where it could not. */
export function answer<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Text of a file that everybody may read; empty where it is not there. */
function textOrEmpty(root: string, path: string): string {
  return answer(() => readTextIfThere(root, path)) ?? "";
}

function readCgroup(root: string): PrerequisiteFacts["cgroup"] {
  const tree = answer(() => readCgroupTree(root));
  if (tree === null) return null;
  const namespaced = answer(() => isInFirstCgroupNamespace(root)) === false;
  const view = namespaced ? "namespace" : tree.memoryRoot === "/" ? "machine" : "folder";
  return { version: tree.version, path: tree.memoryMount, view };
}

function readDebugfs(root: string): PrerequisiteFacts["debugfs"] {
  if (answer(() => isDebugfsMounted(root)) === true) return "mounted";
  return answer(() => hasDebugfs(root)) === true ? "not_mounted" : "not_built";
}

function readPressureFact(root: string): PrerequisiteFacts["pressure"] {
  const stallUs = answer(() => readSomeTotalUs(systemPressurePath(root, "memory")));
  return stallUs === null ? { state: "absent", why: findPressureAbsence(root) } : { state: "ok" };
}

/** Only asked where pressure is absent: it may read the kernel's configuration, or all its symbols. */
function findPressureAbsence(root: string): PressureAbsence {
  const psi = answer(() => readCmdline(root))?.get("psi") ?? null;
  if (psi !== null && /^(0|off|n|no|false)$/i.test(psi)) return "off_by_parameter";
  const config = readKernelConfig(root, answer(() => readKernelRelease(root))?.release ?? null);
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
    lruGenMask: answer(() => readEnabled(root)),
    lruGenSwitch: fileState(root, lruGenEnabledPath, "write"),
    debugfs: readDebugfs(root),
    lruGenFile: fileState(root, lruGenPath, "both"),
    lockdown: answer(() => readLockdown(root)),
    memoryReclaim: cgroup?.version === 2 ? fileState(root, `${cgroup.path}/memory.reclaim`, "write") : "missing",
    compactMemory: fileState(root, "/proc/sys/vm/compact_memory", "write"),
    freeBlocks: fileState(root, "/proc/pagetypeinfo", "read"),
  };
}
