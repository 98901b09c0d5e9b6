/**
 * Which process is the VMM of which guest, by `/proc/PID/cmdline`, whose words end with NUL: QEMU names the guest's vsock
 * context id there, as an option or (libvirt) as JSON.
 *
 *     -device vhost-vsock-pci,guest-cid=3
 *     -device {"driver":"vhost-vsock-pci","id":"vsock0","guest-cid":3,"vhostfd":"31"}
 */
import { readdirSync } from "node:fs";
import { readTextIfThere, under } from "../system/pseudo-file.ts";

/** The context id in a command line, null where it has none. */
export function parseGuestCid(cmdline: string): number | null {
  for (const word of cmdline.split("\0")) {
    const digits = /(?:,guest-cid=|"guest-cid":\s*)(\d{1,10})\b/.exec(word)?.[1];
    if (digits !== undefined) return Number(digits);
  }
  return null;
}

/** Process ids by context id. Processes that end meanwhile are left out. */
export function readGuestCids(root: string): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (const name of readdirSync(under(root, "/proc"))) {
    if (!/^\d+$/.test(name)) continue;
    const cid = parseGuestCid(cmdlineOf(root, name));
    if (cid !== null) found.set(cid, Number(name));
  }
  return found;
}

function cmdlineOf(root: string, pid: string): string {
  try {
    return readTextIfThere(root, `/proc/${pid}/cmdline`) ?? "";
  } catch {
    return "";
  }
}
