/**
 * The pages of our own executable and its libraries: `/proc/self/maps` (proc_pid_maps(5)), madvise(2),
 * posix_fadvise(2). Start-up touches 20 to 30 MB of the file and readahead brings more, hardly any of which is needed
 * at rest.
 *
 *     00200000-03c00000 r-xp 00000000 fe:00 1234      /usr/bin/mem-agent
 */
import { closeSync, openSync } from "node:fs";
import { isFault } from "../base/fault.ts";
import { cachedPages, dropUnmapped, letGo, noHugePages, pageOut, readAhead, readByPage, splitMapping } from "./libc.ts";
import { pageBytes } from "./page-size.ts";
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
const executable = "/proc/self/exe";
const headPattern =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][ps]) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ \d+(?: +(.*))?$/;

/** Mappings of files, without those of memory and of the kernel (`[heap]`). Fault `malformed`. */
export function parseFileMappings(text: string): FileMapping[] {
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map(mappingOf).filter(({ file }) => file.startsWith("/"));
}

function mappingOf(line: string): FileMapping {
  const head = headPattern.exec(line);
  if (head === null) throw malformed(place, "unexpected line", line);
  const [, start = "", end = "", permissions = "", file = ""] = head;
  const startAddress = Number.parseInt(start, 16);
  return { startAddress, bytes: Number.parseInt(end, 16) - startAddress, permissions, file };
}

/** The executable and its libraries as they were at the start: where they are does not change while the process runs. */
let loaded: readonly FileMapping[] | null = null;

/** Those that `endSwiftly` has read ahead again. */
let readAheadAtEnd: readonly FileMapping[] = [];

function ownMappings(): FileMapping[] {
  return parseFileMappings(readText("/", place)).filter(({ permissions }) => permissions.endsWith("p"));
}

/** Four pages: with larger ones the agent keeps more code than it needs, with smaller ones the kernel's lists of them weigh more. */
const codeBytes = 16 * 1024;

/** Linux 6.16 and later read code ahead as far as the disk is set to, whatever was advised. */
export function readsCodeAhead(kernelRelease: string): boolean {
  const [major = 0, minor = 0] = kernelRelease.split(".").map((part) => Number.parseInt(part, 10));
  return major > 6 || (major === 6 && minor >= 16);
}

/** To be the first act of a process that stays. Where the kernel or a policy forbids it the pages stay, no more. */
export function startSparingly(): void {
  try {
    noHugePages();
    readOwnFilesByPage(readsCodeAhead(readText("/", "/proc/sys/kernel/osrelease")));
  } catch (error) {
    if (!isFault(error)) throw error;
  }
}

/**
 * From here on what this process touches of its executable is read by itself. Readahead brings up to twenty times as
 * much, which nobody maps and no madvise() reaches. Linux 6.16 and later read code ahead whatever was advised, but not
 * beyond the end of its mapping: `splitCode` makes one mapping of each 16 KiB there.
 * Faults: `missing`, `malformed`, `io`.
 */
export function readOwnFilesByPage(splitCode: boolean): void {
  loaded = ownMappings();
  readAheadAtEnd = splitCode ? [] : loaded;
  for (const { startAddress, bytes, permissions } of loaded) {
    readByPage(startAddress, bytes);
    if (!splitCode || !permissions.includes("x")) continue;
    for (let at = codeBytes; at + codeBytes < bytes; at += 2 * codeBytes) splitMapping(startAddress + at, codeBytes);
  }
}

/**
 * The process is about to end: it needs much of its code once more, and soon, and keeps none of it. Read by page from a
 * slow disk that took seconds. Never throws.
 *
 * Nothing changes where the code was split. Those kernels read up to 8 MiB ahead for each page: seen on an emulated
 * 7.2, five seconds after the start, the end then took up to 4.0 s, and 0.8 s at most without it.
 */
export function endSwiftly(): void {
  try {
    for (const { startAddress, bytes } of readAheadAtEnd) readAhead(startAddress, bytes);
  } catch (error) {
    if (!isFault(error)) throw error;
  }
}

/** What code is running is read again at once, and drawn from the disk: each time there is less of it. */
const dropRounds = 2;

/**
 * Drops the executable and its libraries, from the page cache as well where nobody else has them mapped; our own pages
 * (0.2 MiB) go to swap, where there is any. What is needed again is read from the disk.
 * Faults: `missing`, `malformed`, `unsupported` (before 5.4), `io`.
 */
export function dropOwnFiles(): void {
  const mappings = loaded ?? ownMappings();
  for (let round = 0; round < dropRounds; round++) {
    for (const { startAddress, bytes, permissions } of mappings) {
      pageOut(startAddress, bytes);
      // What another process has mapped as well stays with that. Code is never written, nor relocated.
      if (permissions === "r-xp") letGo(startAddress, bytes);
    }
    sweepExecutable();
  }
}

/** Drops of the executable what is in the page cache and not mapped by any process. Faults: `missing`, `io`. */
export function sweepExecutable(): void {
  withExecutable(dropUnmapped);
}

/** Bytes of the executable in the page cache, no matter who read them; null before Linux 6.5. Faults: `missing`, `io`. */
export function cachedExecutableBytes(): number | null {
  const pages = withExecutable(cachedPages);
  return pages === null ? null : pages * pageBytes();
}

function withExecutable<T>(act: (fd: number) => T): T {
  const fd = openSync(executable, "r");
  try {
    return act(fd);
  } finally {
    closeSync(fd);
  }
}
