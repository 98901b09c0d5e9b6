/**
 * `/proc/pagetypeinfo`: free blocks of memory by size and by what may live there. Linux 2.6.24, mode 0400,
 * Documentation/filesystems/proc.rst.
 *
 *     Page block order: 9
 *     Pages per block:  512
 *
 *     Free pages count per migrate type at order       0      1      2      3 …
 *     Node    0, zone    DMA32, type      Movable  >100000     2      4      2 …
 *
 * Column N counts free blocks of 2^N pages. Since Linux 5.5 counting stops at 100,000 and `>100000` is printed.
 * A second table, of blocks by type, follows and is not read. Each node has its own two tables, parted by empty lines.
 */
import { decimalOrNull, malformed, readText } from "../system/pseudo-file.ts";

export interface BlockCount {
  readonly count: number;
  /** The kernel stopped counting: there are more. */
  readonly atLeast: boolean;
}

export interface PageTypeRow {
  readonly node: number;
  readonly zone: string;
  /** `Movable`, `Unmovable`, `Reclaimable`, `HighAtomic`, `CMA`, `Isolate`. */
  readonly type: string;
  /** Free blocks; the index is the order. */
  readonly freeBlocks: readonly BlockCount[];
}

const place = "/proc/pagetypeinfo";
const tableHeading = "Free pages count per migrate type";
const rowPattern = /^Node +(\d{1,6}), zone +(\S+), type +(\S+) +(.+)$/;

/** The rows of free blocks, in the order of the file. Fault `malformed`. */
export function parsePagetypeinfo(text: string): PageTypeRow[] {
  const rows: PageTypeRow[] = [];
  let inTable = false;
  let tables = 0;
  for (const line of text.split("\n")) {
    if (line.startsWith(tableHeading)) {
      inTable = true;
      tables++;
    } else if (line === "") {
      inTable = false;
    } else if (inTable) {
      rows.push(parseRow(line));
    }
  }
  if (tables === 0) throw malformed(place, "no table of free pages");
  return rows;
}

/** Faults: `missing` (built without compaction), `denied` (only root reads it), `malformed`, `io`. */
export function readPagetypeinfo(root: string): PageTypeRow[] {
  return parsePagetypeinfo(readText(root, place));
}

function parseRow(line: string): PageTypeRow {
  const match = rowPattern.exec(line);
  if (match === null) throw malformed(place, "unexpected line", line);
  const [, node = "", zone = "", type = "", counts = ""] = match;
  const freeBlocks = counts
    .trim()
    .split(/ +/)
    .map((count) => parseCount(count, line));
  return { node: Number(node), zone, type, freeBlocks };
}

function parseCount(text: string, line: string): BlockCount {
  const atLeast = text.startsWith(">");
  const count = decimalOrNull(atLeast ? text.slice(1) : text);
  if (count === null) throw malformed(place, "no count in", line);
  return { count, atLeast };
}
