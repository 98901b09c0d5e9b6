/**
 * `/proc/meminfo`: the machine's swap and slab. proc_meminfo(5). `kB` are KiB. Only what somebody reads is parsed: a line
 * that a kernel lacks must not fail a run that has no use for it.
 *
 *     SwapFree:          56316 kB
 */
import { numberOf } from "../system/key-values.ts";
import { readText } from "../system/pseudo-file.ts";

export interface Meminfo {
  /** 0 where the machine has no swap. */
  readonly swapTotalBytes: number;
  readonly swapFreeBytes: number;
  /** Kernel objects that reclaim may free: dentries, inodes. */
  readonly slabReclaimableBytes: number;
}

const place = "/proc/meminfo";

/** Fault `malformed`. */
export function parseMeminfo(text: string): Meminfo {
  return {
    swapTotalBytes: (numberOf(text, "SwapTotal", place) ?? 0) * 1024,
    swapFreeBytes: (numberOf(text, "SwapFree", place) ?? 0) * 1024,
    slabReclaimableBytes: (numberOf(text, "SReclaimable", place) ?? 0) * 1024,
  };
}

/** Faults: `missing`, `malformed`, `io`. */
export function readMeminfo(root: string): Meminfo {
  return parseMeminfo(readText(root, place));
}
