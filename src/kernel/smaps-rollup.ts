/**
 * `/proc/PID/smaps_rollup`, Linux 4.14: what a process has mapped, all together. Documentation/filesystems/proc.rst.
 * Only root and the process's own user may read it. The kernel walks its page tables for it: milliseconds for each GiB.
 *
 *     55d0c1a00000-7ffd3c1ff000 ---p 00000000 00:00 0    [rollup]
 *     Rss:              884 kB
 *     Pss:              385 kB
 */
import { readFile } from "node:fs/promises";
import { under } from "../system/pseudo-file.ts";

/** Bytes of the proportional set size, in which what several share is shared out; null where it is not there. */
export function parsePss(text: string): number | null {
  const kib = /^Pss:\s+(\d+) kB$/m.exec(text)?.[1];
  return kib === undefined ? null : Number(kib) * 1024;
}

/** Null where the process is gone, or is not ours to look at. */
export async function readPss(root: string, pid: number): Promise<number | null> {
  try {
    return parsePss(await readFile(under(root, `/proc/${pid}/smaps_rollup`), "latin1"));
  } catch {
    return null;
  }
}
