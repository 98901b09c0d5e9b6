/**
 * The multi-gen LRU's files: `/sys/kernel/debug/lru_gen` (read and command) and `/sys/kernel/mm/lru_gen/enabled`.
 * Linux 6.1, Documentation/admin-guide/mm/multigen_lru.rst. For the form of the text see lru-gen-scan.ts.
 *
 * Kernel lockdown closes lru_gen, since it can be written. `lru_gen_full` stays readable then, but shows only what could
 * not be aged or evicted: `prerequisites.ts` finds lru_gen denied and chooses memory.reclaim.
 *
 * Commands, several in one write, one a line:
 *
 *     + ID NODE MAX_SEQ CAN_SWAP                      age: makes generation MAX_SEQ + 1
 *     - ID NODE MIN_SEQ SWAPPINESS NR_TO_RECLAIM      evict up to so many pages of generations up to MIN_SEQ
 *
 * A write returns when the work is done: it is made on the pool, one at a time. The first command that fails ends it
 * with its errno, and those before it have run. The kernel ignores memory.min and memory.low here.
 */
import { closeSync, constants, openSync } from "node:fs";
import { Fault, errnoOf, faultFrom } from "../base/fault.ts";
import { LruGenScanner, type LruGenScan, type LruGenVisitor } from "./lru-gen-scan.ts";
import { writeOnPool, PseudoFile, malformed, readText, under, writePath } from "../system/pseudo-file.ts";

export const lruGenPath = "/sys/kernel/debug/lru_gen";
export const lruGenEnabledPath = "/sys/kernel/mm/lru_gen/enabled";
/** Every part of the multi-gen LRU: the lists, and clearing accessed bits in batches of leaf and other entries. */
export const lruGenEnabledAll = 7;

export interface AgeCommand {
  readonly id: string;
  readonly node: number;
  readonly maxSeq: number;
  /** Also walk page tables for anonymous pages. */
  readonly swap: boolean;
}

export interface EvictCommand {
  readonly id: string;
  readonly node: number;
  /** The oldest generation's. It must be at least 2 older than the youngest. */
  readonly minSeq: number;
  /** 0 file pages only, up to 200 anonymous pages only. */
  readonly swappiness: number;
  readonly pages: number;
}

/** 0 and 1 mean the same on all kernels, where newer ones take a swappiness here. */
export function formatAge(command: AgeCommand): string {
  return `+ ${command.id} ${command.node} ${command.maxSeq} ${command.swap ? 1 : 0}`;
}

export function formatEvict(command: EvictCommand): string {
  return `- ${command.id} ${command.node} ${command.minSeq} ${command.swappiness} ${command.pages}`;
}

/** `interrupted`: a signal cut the work short, part of it is done. Not a failure. */
export type WriteEnd = "done" | "interrupted";

/** The open file: one descriptor to read, one to write. */
export class LruGen implements Disposable {
  readonly #file: PseudoFile;
  readonly #scanner = new LruGenScanner();
  #writeFd: number | null;
  #writing = false;
  #closing = false;

  /** Opens lru_gen to read and write. Faults: `missing` (no debugfs, or no multi-gen LRU in this kernel), `denied`, `io`. */
  static open(root: string): LruGen {
    const path = under(root, lruGenPath);
    const file = PseudoFile.open(path);
    try {
      return new LruGen(file, openToWrite(path));
    } catch (error) {
      file[Symbol.dispose]();
      throw error;
    }
  }

  private constructor(file: PseudoFile, writeFd: number) {
    this.#file = file;
    this.#writeFd = writeFd;
  }

  /** Whether ids are the inodes of the cgroups' folders, as on Linux 7.2: known during a scan. */
  get idsAreInodes(): boolean {
    return this.#scanner.idsAreInodes;
  }

  /**
   * Reads the file whole and visits each node of each cgroup. Names that were there at the last call are the same
   * string objects. Faults: `denied`, `vanished`, `io`, and what `visit` throws.
   */
  scan(visit: LruGenVisitor): LruGenScan {
    const length = this.#file.fill();
    return this.#scanner.scan(this.#file.bytes, length, visit);
  }

  /** As `scan`, in short steps; all visits are in the last of them. */
  *scanning(visit: LruGenVisitor): Generator<undefined, LruGenScan> {
    const length = yield* this.#file.filling();
    return this.#scanner.scan(this.#file.bytes, length, visit);
  }

  /** No read is due soon: the buffer of the text is given back until then. */
  rest(): void {
    this.#file.rest();
  }

  /**
   * Runs commands in one write, off the event loop. Faults: `unsupported` (EINVAL: an id, node, generation or value
   * that this kernel does not take; so too when the cgroup was removed), `denied`, `busy` (a write is under way), `io`.
   */
  async write(commands: readonly string[]): Promise<WriteEnd> {
    if (this.#writeFd === null) throw new Fault("io", "cannot command lru_gen: it was closed; open it again");
    if (this.#writing) throw new Fault("busy", "cannot command lru_gen: another write is under way; wait for it");
    if (commands.length === 0) return "done";
    this.#writing = true;
    try {
      await writeOnPool(this.#writeFd, Buffer.from(commands.join("\n")));
      return "done";
    } catch (error) {
      if (errnoOf(error) === "EINTR") return "interrupted";
      throw faultFrom(error, `command lru_gen with ${JSON.stringify(commands[0])} (${commands.length} in all)`);
    } finally {
      this.#writing = false;
      if (this.#closing) this.#close();
    }
  }

  /** Closes both descriptors; the one for writing after a write that is under way. */
  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
    this.#closing = true;
    if (!this.#writing) this.#close();
  }

  #close(): void {
    if (this.#writeFd !== null) closeSync(this.#writeFd);
    this.#writeFd = null;
  }
}

/** The mask of switched-on parts: 0 is off, 7 is all. `0x0007`. Fault `malformed`. */
export function parseEnabled(text: string): number {
  const match = /^0x([0-9a-f]{1,8})\n?$/i.exec(text);
  if (match === null) throw malformed(lruGenEnabledPath, "not a hexadecimal mask", text);
  return Number.parseInt(match[1] ?? "", 16);
}

/** Faults: `missing` (no multi-gen LRU in this kernel), `denied`, `malformed`, `io`. */
export function readEnabled(root: string): number {
  return parseEnabled(readText(root, lruGenEnabledPath));
}

/** Switches parts on and off; see `lruGenEnabledAll`. Faults: `missing`, `denied`, `io`. */
export function writeEnabled(root: string, mask: number): void {
  writePath(under(root, lruGenEnabledPath), `${mask}\n`);
}

function openToWrite(path: string): number {
  try {
    return openSync(path, constants.O_WRONLY);
  } catch (error) {
    throw faultFrom(error, `open ${path} to write`);
  }
}
