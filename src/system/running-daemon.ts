/** The daemon that runs on this machine, as its lock's file and systemd know it. Without the C library, for commands. */
import { existsSync } from "node:fs";
import { readTextIfThere, under } from "./pseudo-file.ts";

/**
 * What its holder writes into it: process and address.
 *
 *     4711 unix:///run/mem-agent.sock
 */
export const daemonLockPath = "/run/mem-agent.lock";

export interface RunningDaemon {
  readonly pid: number;
  readonly addr: string;
}

/** Who wrote last that it runs; null where nobody did, or it may not be read. It may have been killed since. */
export function runningDaemon(root: string): RunningDaemon | null {
  try {
    const [, pid, addr] = /^(\d{1,10}) (\S+)\n$/.exec(readTextIfThere(root, daemonLockPath) ?? "") ?? [];
    return pid === undefined || addr === undefined ? null : { pid: Number(pid), addr };
  } catch {
    return null;
  }
}

/** The systemd service that a process belongs to, `mem-agent.service`; null for none. See systemd.slice(5), cgroups(7). */
export function serviceOf(root: string, pid: number): string | null {
  try {
    const text = readTextIfThere(root, `/proc/${pid}/cgroup`) ?? "";
    return /^\d+:[^:]*:\/.*?([^/\s]+\.service)(?:\/|$)/m.exec(text)?.[1] ?? null;
  } catch {
    return null;
  }
}

/** There while systemd is process 1; see sd_booted(3). */
const bootedPath = "/run/systemd/system";
/** Where units are laid that somebody installed; see systemd.unit(5). */
const unitFolders = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
];
const unitName = "mem-agent.service";

/** Whether this machine runs systemd and has the daemon as a service of its usual name. */
export function hasService(root: string): boolean {
  return existsSync(under(root, bootedPath)) && unitFolders.some((at) => existsSync(under(root, `${at}/${unitName}`)));
}
