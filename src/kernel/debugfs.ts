/**
 * debugfs, where the multi-gen LRU has its file: is it there, is it mounted, may it be used?
 * Linux, Documentation/filesystems/debugfs.rst. Kernel lockdown (5.4, kernel_lockdown(7)) denies files that can be
 * written: `/sys/kernel/security/lockdown` says `none [integrity] confidentiality`.
 */
import { mount } from "../system/libc.ts";
import { readMountinfo } from "./mountinfo.ts";
import { malformed, readText, readTextIfThere, under } from "../system/pseudo-file.ts";

export const debugfsPath = "/sys/kernel/debug";

export type Lockdown = "none" | "integrity" | "confidentiality";

const lockdownPath = "/sys/kernel/security/lockdown";

/** True when debugfs is mounted where lru_gen is looked for. Faults: `missing` (no proc), `malformed`, `io`. */
export function isDebugfsMounted(root: string): boolean {
  return readMountinfo(root).findLast((each) => each.mountPoint === debugfsPath)?.fileSystem === "debugfs";
}

/** True when this kernel has debugfs at all (it may be switched off by `debugfs=off`). Faults: `missing`, `io`. */
export function hasDebugfs(root: string): boolean {
  return parseFileSystems(readText(root, "/proc/filesystems")).includes("debugfs");
}

/** Names of the file systems that this kernel knows now. `nodev	debugfs` */
export function parseFileSystems(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.slice(line.indexOf("\t") + 1))
    .filter((name) => name !== "");
}

/** Mounts debugfs in its place. Faults: `denied`, `busy` (something is mounted there), `vanished` (no debugfs), `io`. */
export function mountDebugfs(root: string): void {
  mount("debugfs", under(root, debugfsPath), "debugfs");
}

/** The word in brackets. Fault `malformed`. */
export function parseLockdown(text: string): Lockdown {
  const word = /\[(none|integrity|confidentiality)\]/.exec(text)?.[1];
  if (word === "none" || word === "integrity" || word === "confidentiality") return word;
  throw malformed(lockdownPath, "no mode in brackets", text);
}

/** Null where the kernel has no lockdown, or securityfs is not mounted. Faults: `denied`, `malformed`, `io`. */
export function readLockdown(root: string): Lockdown | null {
  const text = readTextIfThere(root, lockdownPath);
  return text === null ? null : parseLockdown(text);
}
