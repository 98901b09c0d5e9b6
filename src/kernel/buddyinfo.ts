/**
 * `/proc/buddyinfo`: free blocks of memory of each size. Linux 2.6, proc_buddyinfo(5).
 *
 *     Node 0, zone    DMA32     85     71     30     12      4      1      2      2      1      1     35
 *
 * Column N counts free blocks of 2^N pages.
 */
import { decimalOrNull, malformed, readText } from "../system/pseudo-file.ts";

export interface BuddyZone {
  readonly node: number;
  readonly zone: string;
  /** Free blocks; the index is the order. */
  readonly freeBlocks: readonly number[];
}

const place = "/proc/buddyinfo";

/** Fault `malformed`. */
export function parseBuddyinfo(text: string): BuddyZone[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(parseZone);
}

/** Faults: `missing`, `malformed`, `io`. */
export function readBuddyinfo(root: string): BuddyZone[] {
  return parseBuddyinfo(readText(root, place));
}

function parseZone(line: string): BuddyZone {
  const match = /^Node +(\d{1,6}), zone +(\S+) +(.+)$/.exec(line);
  if (match === null) throw malformed(place, "unexpected line", line);
  const [, node = "", zone = "", counts = ""] = match;
  const freeBlocks = counts.trim().split(/ +/).map(decimalOrNull);
  if (!isWhole(freeBlocks)) throw malformed(place, "no count in", line);
  return { node: Number(node), zone, freeBlocks };
}

function isWhole(counts: readonly (number | null)[]): counts is readonly number[] {
  return counts.every((count) => count !== null);
}
