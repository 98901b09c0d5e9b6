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

/** The executable and its libraries, as this process has them mapped. */
export class OwnExecutable {
  /** Where no page is our own and none can become so: known since the last `drop` or `letGo`. */
  #clean: readonly FileMapping[] = [];

  /**
   * Drops all of it, from the page cache as well where nobody else has it mapped; our own pages (0.2 MiB) go to swap,
   * where there is any. What is needed again is read from the disk. Returns how many bytes of mappings that were.
   * Faults: `missing`, `malformed`, `unsupported` (before 5.4), `io`.
   */
  drop(): number {
    const mappings = ownMappings();
    this.#clean = mappings.filter(isClean);
    for (const { startAddress, bytes } of mappings) pageOut(startAddress, bytes);
    return sizeOf(mappings);
  }

  /**
   * As `drop`, but leaves in the page cache what has no page of our own: there it comes back from when it is touched,
   * and there it may grow cold like any file.
   */
  letGo(): number {
    const mappings = ownMappings();
    this.#clean = mappings.filter(isClean);
    for (const { startAddress, bytes } of this.#clean) letGo(startAddress, bytes);
    for (const { startAddress, bytes } of mappings.filter((mapping) => !isClean(mapping))) pageOut(startAddress, bytes);
    return sizeOf(mappings);
  }

  /** As `letGo`, only of what had no page of our own then: no file is read, a call for each of some ten mappings. */
  letGoAgain(): void {
    for (const { startAddress, bytes } of this.#clean) letGo(startAddress, bytes);
  }
}

function ownMappings(): readonly FileMapping[] {
  return parseFileMappings(readText("/", place)).filter(({ permissions }) => permissions.endsWith("p"));
}

function isClean({ ownBytes, permissions }: FileMapping): boolean {
  return ownBytes === 0 && !permissions.includes("w");
}

function sizeOf(mappings: readonly FileMapping[]): number {
  return mappings.reduce((sum, { bytes }) => sum + bytes, 0);
}
