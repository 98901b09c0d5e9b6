/**
 * Dropping the clean pages of our own executable: `/proc/self/maps` (proc_pid_maps(5)) and madvise(MADV_PAGEOUT)
 * (Linux 5.4). Start-up touches 20 to 30 MB of the file, hardly any of which is needed at rest; what is needed again
 * is read from the page cache or the disk.
 *
 *     00200000-03c00000 r-xp 00000000 fe:00 1234      /usr/bin/mem-agent
 */
import { pageOut } from "./libc.ts";
import { malformed, readText } from "./pseudo-file.ts";

export interface FileMapping {
  readonly startAddress: number;
  readonly bytes: number;
  /** `r-xp` and the like. */
  readonly permissions: string;
  /** The file, with ` (deleted)` after it where it was replaced. */
  readonly file: string;
}

const place = "/proc/self/maps";
const linePattern =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][ps]) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ \d+(?: +(.*))?$/;

/** Mappings of files, without those of memory and of the kernel (`[heap]`). Fault `malformed`. */
export function parseFileMappings(text: string): FileMapping[] {
  const mappings: FileMapping[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const match = linePattern.exec(line);
    if (match === null) throw malformed(place, "unexpected line", line);
    const [, start = "", end = "", permissions = "", file = ""] = match;
    if (!file.startsWith("/")) continue;
    const startAddress = Number.parseInt(start, 16);
    mappings.push({ startAddress, bytes: Number.parseInt(end, 16) - startAddress, permissions, file });
  }
  return mappings;
}

/**
 * Asks the kernel to drop the pages of the executable and its libraries from this process, and returns how many bytes of
 * mappings that were. Pages that others have mapped too stay. Of the mappings that can be written the pages of our
 * own (0.2 MiB) go to swap, where there is any.
 * Faults: `missing`, `unsupported` (before 5.4), `malformed`, `io`.
 */
export function pageOutExecutable(): number {
  const mappings = parseFileMappings(readText("/", place));
  for (const mapping of mappings) pageOut(mapping.startAddress, mapping.bytes);
  return mappings.reduce((sum, mapping) => sum + mapping.bytes, 0);
}
