/**
 * What this process itself costs and may do: `/proc/self/{status,smaps_rollup,stat,limits,fd}`, and its executable.
 * proc_pid_status(5), proc_pid_stat(5), Documentation/ABI/testing/procfs-smaps_rollup (Linux 4.14).
 *
 *     RssAnon:            1796 kB                     in status: pages of its own; RssFile of files, RssShmem shared
 *     CapEff: 000001ffffffffff                        in status: capabilities(7) as a mask
 *     Private_Dirty:      1796 kB                     in smaps_rollup
 *     Max open files            1024                 1048576              files        in limits: soft, then hard
 *     1 (a) b) S 0 1 1 0 -1 4194560 … utime stime     in stat: ticks of 10 ms, after the last `)`
 */
import { accessSync, constants, readdirSync, statSync } from "node:fs";
import { numberNeeded } from "./key-values.ts";
import { malformed, readText, readTextIfThere, under } from "./pseudo-file.ts";

export interface SelfStatus {
  readonly rssAnonBytes: number;
  readonly rssFileBytes: number;
  readonly rssShmemBytes: number;
  readonly threads: number;
  /** Times the process gave up the processor, and was made to. */
  readonly voluntarySwitches: number;
  readonly involuntarySwitches: number;
  readonly effectiveCapabilities: bigint;
}

export interface SelfSmaps {
  readonly residentBytes: number;
  /** Resident with each shared page divided by those who share it. */
  readonly proportionalBytes: number;
  readonly privateBytes: number;
  readonly swapBytes: number;
}

export interface SelfTimes {
  readonly userSecs: number;
  readonly systemSecs: number;
}

/** Numbers of capabilities(7) that the agent cares about. */
export const capability = { dacOverride: 1, sysAdmin: 21, sysResource: 24 } as const;

export function hasCapability(mask: bigint, number: number): boolean {
  return ((mask >> BigInt(number)) & 1n) === 1n;
}

const statusPath = "/proc/self/status";
const smapsPath = "/proc/self/smaps_rollup";
const statPath = "/proc/self/stat";
const limitsPath = "/proc/self/limits";

/** USER_HZ: what the kernel tells programs is in hundredths of a second on every machine that we build for. */
const ticksPerSec = 100;

/** Fault `malformed`. */
export function parseSelfStatus(text: string): SelfStatus {
  const mask = /^CapEff:\s*([0-9a-f]{1,16})$/m.exec(text)?.[1];
  if (mask === undefined) throw malformed(statusPath, "no line CapEff");
  return {
    rssAnonBytes: numberNeeded(text, "RssAnon", statusPath) * 1024,
    rssFileBytes: numberNeeded(text, "RssFile", statusPath) * 1024,
    rssShmemBytes: numberNeeded(text, "RssShmem", statusPath) * 1024,
    threads: numberNeeded(text, "Threads", statusPath),
    voluntarySwitches: numberNeeded(text, "voluntary_ctxt_switches", statusPath),
    involuntarySwitches: numberNeeded(text, "nonvoluntary_ctxt_switches", statusPath),
    effectiveCapabilities: BigInt(`0x${mask}`),
  };
}

/** Fault `malformed`. */
export function parseSelfSmaps(text: string): SelfSmaps {
  const clean = numberNeeded(text, "Private_Clean", smapsPath);
  const dirty = numberNeeded(text, "Private_Dirty", smapsPath);
  return {
    residentBytes: numberNeeded(text, "Rss", smapsPath) * 1024,
    proportionalBytes: numberNeeded(text, "Pss", smapsPath) * 1024,
    privateBytes: (clean + dirty) * 1024,
    swapBytes: numberNeeded(text, "Swap", smapsPath) * 1024,
  };
}

/** Fault `malformed`. The name in parentheses may hold blanks and parentheses. */
export function parseSelfTimes(text: string): SelfTimes {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [userTicks, systemTicks] = [fields[11], fields[12]];
  if (!/^\d{1,20}$/.test(userTicks ?? "") || !/^\d{1,20}$/.test(systemTicks ?? "")) {
    throw malformed(statPath, "no times in", text);
  }
  return { userSecs: Number(userTicks) / ticksPerSec, systemSecs: Number(systemTicks) / ticksPerSec };
}

/** Faults: `missing`, `malformed`, `io`. */
export function readSelfStatus(root: string): SelfStatus {
  return parseSelfStatus(readText(root, statusPath));
}

/** Costs the kernel a walk over all mappings: about a millisecond. Faults: `missing`, `malformed`, `io`. */
export function readSelfSmaps(root: string): SelfSmaps {
  return parseSelfSmaps(readText(root, smapsPath));
}

/** Faults: `missing`, `malformed`, `io`. */
export function readSelfTimes(root: string): SelfTimes {
  return parseSelfTimes(readText(root, statPath));
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
