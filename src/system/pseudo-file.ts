/**
 * Reading files of proc, sysfs, cgroupfs and debugfs. They have no size (`stat` says 0) and make their text while it
 * is read: read from position 0 until 0 bytes come back, always with the synchronous calls (2 us, and the pool's
 * two threads may be held by writes that block in the kernel).
 *
 * Every reader takes `root`: "/" for the machine, or the top of a fixture tree.
 */
import { closeSync, constants, openSync, readSync, writeSync, write } from "node:fs";
import { Fault, errnoOf, faultFrom } from "../base/fault.ts";
import { atOnce } from "../base/turns.ts";
import { displayPath, type FsPath } from "./path-name.ts";

/** What a file that is not there means: a feature is `missing`, a cgroup `vanished`. */
export type Absence = "missing" | "vanished";

const initialBytes = 4096;
const nothing = Buffer.alloc(0);
/** No kernel text comes near it: 65,535 cgroups on 16 nodes are 200 MiB. It bounds the loop if a file never ends. */
const textBytesMax = 2 ** 30;

/** `path` (absolute) inside the tree at `root`. */
export function under(root: string, path: string): string {
  return root === "/" ? path : `${root}${path}`;
}

/** Wraps what node:fs threw on a kernel file; an absent file becomes `absence`. What has no errno is a bug: thrown on. */
export function fileFault(error: unknown, doing: string, path: FsPath, absence: Absence): Fault {
  const what = `${doing} ${displayPath(path)}`;
  const errno = errnoOf(error);
  if (errno === null && !(error instanceof Fault)) throw error;
  if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ENODEV") return faultFrom(error, what, absence);
  return faultFrom(error, what);
}

/** One kernel file, kept open and read again and again into one buffer that grows as needed. */
export class PseudoFile implements Disposable {
  readonly path: FsPath;
  readonly #absence: Absence;
  #fd: number | null;
  #bytes: Buffer = nothing;
  #neededBytes = initialBytes;

  /** Faults: `missing` (or `vanished`, as asked), `denied`, `io`. */
  static open(path: FsPath, absence: Absence = "missing"): PseudoFile {
    return new PseudoFile(path, absence);
  }

  private constructor(path: FsPath, absence: Absence) {
    this.path = path;
    this.#absence = absence;
    this.#fd = openToRead(path, absence);
  }

  /** The buffer that `fill` reads into; another one after it had to grow. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Reads the whole file and returns its length in bytes; the text is in `bytes` until the next call. */
  fill(): number {
    return atOnce(this.filling());
  }

  /** As `fill`, one read of the kernel a step: it gives a page of text at a time, and may take long for each. */
  *filling(): Generator<undefined, number> {
    if (this.#fd === null) throw new Fault("io", `cannot read ${displayPath(this.path)}: it was closed; open it again`);
    if (this.#bytes === nothing) this.#bytes = Buffer.allocUnsafeSlow(this.#neededBytes);
    try {
      let length = 0;
      for (;;) {
        if (length === this.#bytes.length) this.#bytes = grown(this.#bytes, this.path);
        const count = readSync(this.#fd, this.#bytes, length, this.#bytes.length - length, length);
        if (count === 0) return length;
        length += count;
        yield;
      }
    } catch (error) {
      throw fileFault(error, "read", this.path, this.#absence);
    }
  }

  /** Gives a large buffer back until the next read, which gets one of the size that was needed. */
  rest(): void {
    if (this.#bytes === nothing) return;
    this.#neededBytes = this.#bytes.length;
    this.#bytes = nothing;
  }

  /** A view of the whole file, valid until the next read. */
  read(): Buffer {
    const length = this.fill();
    return this.#bytes.subarray(0, length);
  }

  /** The whole file as text. */
  text(): string {
    const length = this.fill();
    return this.#bytes.toString("utf8", 0, length);
  }

  /** Opens the path again, for when the file behind the descriptor is gone. */
  reopen(): void {
    this[Symbol.dispose]();
    this.#fd = openToRead(this.path, this.#absence);
  }

  [Symbol.dispose](): void {
    if (this.#fd === null) return;
    closeSync(this.#fd);
    this.#fd = null;
  }
}

let scratch: Buffer = Buffer.allocUnsafeSlow(initialBytes);

/**
 * Text of a kernel file, read through one buffer that all callers share. Faults: `missing` (or `vanished`, as asked;
 * ENODEV is what a removed cgroup's open file says), `denied`, `unsupported`, `io`.
 */
export function readPath(path: FsPath, absence: Absence = "missing"): string {
  const fd = openToRead(path, absence);
  try {
    let length = 0;
    for (;;) {
      if (length === scratch.length) scratch = grown(scratch, path);
      const count = readSync(fd, scratch, length, scratch.length - length, length);
      if (count === 0) return scratch.toString("utf8", 0, length);
      length += count;
    }
  } catch (error) {
    throw fileFault(error, "read", path, absence);
  } finally {
    closeSync(fd);
  }
}

/** As `readPath`, for a path inside the tree at `root`. */
export function readText(root: string, path: string): string {
  return readPath(under(root, path));
}

/** As `readText`, null where the file is not there. */
export function readTextIfThere(root: string, path: string): string | null {
  return readPathIfThere(under(root, path));
}

/** As `readPath`, null where the file is not there. */
export function readPathIfThere(path: FsPath): string | null {
  try {
    return readPath(path);
  } catch (error) {
    if (error instanceof Fault && (error.kind === "missing" || error.kind === "vanished")) return null;
    throw error;
  }
}

/** Writes a kernel file with one write(2). Faults by errno, as for reading. */
export function writePath(path: FsPath, text: string, absence: Absence = "missing"): void {
  try {
    const fd = openSync(path, constants.O_WRONLY | constants.O_TRUNC);
    try {
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw fileFault(error, `write ${JSON.stringify(text.trim())} to`, path, absence);
  }
}

/** The Fault of a parser. `place` is the file's usual path; `found` what stood there, cut short. */
export function malformed(place: string, state: string, found = ""): Fault {
  const shown = found === "" ? "" : ` ${JSON.stringify(found.slice(0, 60))}`;
  return new Fault("malformed", `cannot understand ${place}: ${state}${shown}; report it with your kernel's release`);
}

/** A decimal number of a kernel text, at most 20 digits; null for anything else. */
export function decimalOrNull(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,20}$/.test(text) ? Number(text) : null;
}

function openToRead(path: FsPath, absence: Absence): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw fileFault(error, "open", path, absence);
  }
}

function grown(bytes: Buffer, path: FsPath): Buffer {
  if (bytes.length >= textBytesMax) {
    throw new Fault("io", `cannot read ${displayPath(path)}: it does not end after 1 GiB; it is no kernel file`);
  }
  const larger = Buffer.allocUnsafeSlow(bytes.length * 2);
  larger.set(bytes);
  return larger;
}

/**
 * One write(2) on a thread of the pool; resolves with the bytes written, rejects with what node:fs throws.
 * The pool has two threads: keep one such write in flight.
 */
export function writeOnPool(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, null, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}
