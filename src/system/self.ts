/**
 * What this process itself costs and may do: `/proc/self/{status,limits,fd}`, and its executable.
 * proc_pid_status(5), proc_pid_limits(5).
 *
 *     RssAnon:            1796 kB                     in status: pages of its own; RssFile of files, RssShmem shared
 *     Max open files            1024                 1048576              files        in limits: soft, then hard
 */
import { accessSync, constants, readdirSync, statSync, writeSync } from "node:fs";
import { numberNeeded } from "./key-values.ts";
import { readText, readTextIfThere, under } from "./pseudo-file.ts";

export interface SelfStatus {
  readonly rssAnonBytes: number;
  readonly rssFileBytes: number;
  readonly rssShmemBytes: number;
  readonly threads: number;
}

/** Numbers of capabilities(7) that the agent cares about. */
export const capability = { dacOverride: 1, sysAdmin: 21, sysResource: 24 } as const;

/** Whether a mask of capabilities, such as CapEff in /proc/self/status, holds the one of this number. */
export function hasCapability(mask: bigint, number: number): boolean {
  return ((mask >> BigInt(number)) & 1n) === 1n;
}

const statusPath = "/proc/self/status";
const limitsPath = "/proc/self/limits";

/** Fault `malformed`. */
export function parseSelfStatus(text: string): SelfStatus {
  return {
    rssAnonBytes: numberNeeded(text, "RssAnon", statusPath) * 1024,
    rssFileBytes: numberNeeded(text, "RssFile", statusPath) * 1024,
    rssShmemBytes: numberNeeded(text, "RssShmem", statusPath) * 1024,
    threads: numberNeeded(text, "Threads", statusPath),
  };
}

/** Faults: `missing`, `malformed`, `io`. */
export function readSelfStatus(root: string): SelfStatus {
  return parseSelfStatus(readText(root, statusPath));
}

/** How many files may be open at once; null for any number, or where the text does not say. */
export function parseOpenFilesLimit(text: string): number | null {
  const limit = /^Max open files +(\d{1,20}) /m.exec(text)?.[1];
  return limit === undefined ? null : Number(limit);
}

/** How many more files this process may open; null where that is not known. */
export function spareDescriptors(root: string): number | null {
  const limit = parseOpenFilesLimit(readTextIfThere(root, limitsPath) ?? "");
  if (limit === null) return null;
  try {
    // One of them is the folder's own.
    return limit - readdirSync(under(root, "/proc/self/fd")).length + 1;
  } catch {
    return null;
  }
}

/** The running executable: by its name, so that `ps` shows it, unless the file there is another by now. */
export function ownExecutable(execPath: string): string {
  const running = "/proc/self/exe";
  try {
    accessSync(execPath, constants.X_OK);
    const [named, own] = [statSync(execPath), statSync(running)];
    return named.ino === own.ino && named.dev === own.dev ? execPath : running;
  } catch {
    return running;
  }
}

/** The device that holds the running executable, as stat(2) gives it. Throws stat's error where there is no /proc. */
export function ownExecutableDevice(): number {
  return statSync("/proc/self/exe").dev;
}

/** Writes to the standard output before anything else happens: the process may be about to block in the kernel. */
export function sayAtOnce(text: string): void {
  writeSync(1, text);
}
