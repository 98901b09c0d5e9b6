/**
 * `/sys/dev/block/MAJOR:MINOR/queue/read_ahead_kb`: how much more of a file than was asked for the kernel reads from
 * this disk. A partition has it in the folder of its disk. Linux, Documentation/ABI/stable/sysfs-block.
 *
 *     128
 */
import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { decimalOrNull, malformed, readTextIfThere, under } from "../system/pseudo-file.ts";

export interface ReadAhead {
  /** The kernel's name of the disk, such as `vda`. */
  readonly disk: string;
  readonly kib: number;
}

/** `device` as stat(2) gives it. Null for a file system without a disk of its own. Faults: `malformed`, `io`. */
export function readReadAhead(root: string, device: number): ReadAhead | null {
  const major = ((device >> 8) & 0xfff) >>> 0;
  const minor = ((device & 0xff) | ((device >> 12) & 0xfff00)) >>> 0;
  const place = `/sys/dev/block/${major}:${minor}`;
  if (!existsSync(under(root, place))) return null;
  const own = realpathSync(under(root, place));
  const disk = existsSync(join(own, "partition")) ? dirname(own) : own;
  const text = readTextIfThere("/", join(disk, "queue/read_ahead_kb"));
  if (text === null) return null;
  const kib = decimalOrNull(text.trim());
  if (kib === null) throw malformed(`${place}/queue/read_ahead_kb`, "no number", text);
  return { disk: basename(disk), kib };
}
