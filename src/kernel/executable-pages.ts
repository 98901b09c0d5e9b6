/**
 * Letting go of our own executable and its libraries: `/proc/self/smaps` (proc_pid_smaps(5)) and madvise(2). Start-up
 * touches 20 to 30 MB of the file, hardly any of which is needed at rest.
 *
 *     00200000-03c00000 r-xp 00000000 fe:00 1234      /usr/bin/mem-agent
 *     Rss:                5348 kB
 *     Anonymous:             0 kB
 *     Swap:                  0 kB
 */
import { letGo, pageOut } from "./libc.ts";
import { malformed, readText } from "./pseudo-file.ts";

export interface FileMapping {
  readonly startAddress: number;
  readonly bytes: number;
  /** `r-xp` and the like. */
  readonly permissions: string;
  /** The file, with ` (deleted)` after it where it was replaced. */
  readonly file: string;
  /** Pages that are not the file's any more, in memory or in swap: written, or relocated when the program was loaded. Null: not told. */
  readonly ownBytes: number | null;
}

const place = "/proc/self/smaps";
const headPattern =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][ps]) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ \d+(?: +(.*))?$/;
const fieldPattern = /^\w+: /;
const ownPattern = /^(?:Anonymous|Swap): +(\d{1,12}) kB$/;

/** Mappings of files, without those of memory and of the kernel (`[heap]`). Fault `malformed`. */
export function parseFileMappings(text: string): FileMapping[] {
  const mappings: {
    startAddress: number;
    bytes: number;
    permissions: string;
    file: string;
    ownBytes: number | null;
  }[] = [];
  for (const line of text.split("\n")) {
    const own = ownPattern.exec(line)?.[1];
    const last = mappings.at(-1);
    if (own !== undefined && last !== undefined) last.ownBytes = (last.ownBytes ?? 0) + Number(own) * 1024;
    else if (line !== "" && !fieldPattern.test(line)) mappings.push(mappingOf(line));
  }
  return mappings.filter(({ file }) => file.startsWith("/"));
}

function mappingOf(line: string): FileMapping {
  const head = headPattern.exec(line);
  if (head === null) throw malformed(place, "unexpected line", line);
  const [, start = "", end = "", permissions = "", file = ""] = head;
  const startAddress = Number.parseInt(start, 16);
  return { startAddress, bytes: Number.parseInt(end, 16) - startAddress, permissions, file, ownBytes: null };
}

/**
 * Takes the pages of executable and libraries out of this process, and returns how many bytes of mappings those were.
 * Where no page is our own and none can become so, they stay in the page cache, from where they come back when they are
 * touched, and where they may grow cold like any file's. Of the others the kernel is asked to drop what it can: our
 * own pages among them (0.2 MiB) go to swap, where there is any. Faults: `missing`, `malformed`, `unsupported`, `io`.
 */
export function letGoOfExecutable(): number {
  const mappings = parseFileMappings(readText("/", place)).filter(({ permissions }) => permissions.endsWith("p"));
  for (const { startAddress, bytes, permissions, ownBytes } of mappings) {
    if (ownBytes === 0 && !permissions.includes("w")) letGo(startAddress, bytes);
    else pageOut(startAddress, bytes);
  }
  return mappings.reduce((sum, { bytes }) => sum + bytes, 0);
}
