/**
 * `/proc/meminfo`: the machine's memory. proc_meminfo(5). `kB` are KiB.
 *
 *     MemTotal:         480020 kB
 *     SwapFree:          56316 kB
 */
import { numberNeeded, numberOf } from "../system/key-values.ts";
import { readText } from "../system/pseudo-file.ts";

export interface Meminfo {
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** What programs could still get without swapping, Linux 3.14. */
  readonly availableBytes: number;
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
    totalBytes: numberNeeded(text, "MemTotal", place) * 1024,
    freeBytes: numberNeeded(text, "MemFree", place) * 1024,
    availableBytes: numberNeeded(text, "MemAvailable", place) * 1024,
    swapTotalBytes: (numberOf(text, "SwapTotal", place) ?? 0) * 1024,
    swapFreeBytes: (numberOf(text, "SwapFree", place) ?? 0) * 1024,
    slabReclaimableBytes: (numberOf(text, "SReclaimable", place) ?? 0) * 1024,
  };
}

/** Faults: `missing`, `malformed`, `io`. */
export function readMeminfo(root: string): Meminfo {
  return parseMeminfo(readText(root, place));
}
