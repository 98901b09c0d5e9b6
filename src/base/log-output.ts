/**
 * Where log lines go: a descriptor that is there, or a file that is appended to. A full disk, a broken pipe or a file
 * that cannot be opened again never reaches the caller: lines are dropped and counted, and the loss is said once it is
 * over.
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { errnoOf, Fault, faultFrom } from "./fault.ts";

/** What keeps lines from being written right now. */
export interface LogTrouble {
  readonly dropped: number;
  /** The errno name of the last failure, such as `ENOSPC`. */
  readonly why: string;
}

export interface LogOutput {
  /** Writes one line, to which the newline is added. Never throws. */
  write(line: string): void;
  /** Opens the file again under its name, as after a rotation. Fault when it cannot be; then the old one stays. */
  reopen(): void;
  close(): void;
  readonly trouble: LogTrouble | null;
}

/** A write that takes part of a line is tried again this often: pipes and full disks take what they can. */
const attemptsMax = 16;

export class DescriptorOutput implements LogOutput {
  protected descriptor: number;
  readonly #lossLine: (trouble: LogTrouble) => string;
  #dropped = 0;
  #why = "";
  /** A line was cut short, so the next one has to begin on its own. */
  #torn = false;

  /** `lossLine` makes the line that tells of dropped ones when writing works again. */
  constructor(descriptor: number, lossLine: (trouble: LogTrouble) => string) {
    this.descriptor = descriptor;
    this.#lossLine = lossLine;
  }

  get trouble(): LogTrouble | null {
    return this.#dropped === 0 ? null : { dropped: this.#dropped, why: this.#why };
  }

  write(line: string): void {
    const { trouble } = this;
    const text = `${this.#torn ? "\n" : ""}${trouble === null ? "" : `${this.#lossLine(trouble)}\n`}${line}\n`;
    const failure = this.#writeAll(Buffer.from(text));
    if (failure === null) {
      this.#dropped = 0;
      return;
    }
    this.#dropped += 1;
    this.#why = failure;
  }

  /** The errno name of what kept the bytes from being written, or null. */
  #writeAll(bytes: Buffer): string | null {
    let written = 0;
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      try {
        written += writeSync(this.descriptor, bytes, written);
      } catch (error) {
        const errno = errnoOf(error) ?? "EIO";
        if (errno === "EINTR") continue;
        if (written > 0) this.#torn = bytes[written - 1] !== 0x0a;
        return errno;
      }
      if (written >= bytes.length) {
        this.#torn = false;
        return null;
      }
    }
    this.#torn = bytes[written - 1] !== 0x0a;
    return "EAGAIN";
  }

  /** A descriptor that was handed to us has no name to open again. */
  reopen(): void {}

  close(): void {}
}

/**
 * O_NONBLOCK keeps a FIFO without a reader from blocking the start for ever; for files it means nothing. O_NOFOLLOW:
 * a user who may write the folder must not choose which file root appends to.
 */
const appendFlags =
  constants.O_WRONLY |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NOCTTY |
  constants.O_NONBLOCK |
  constants.O_NOFOLLOW;

function openForAppend(path: string): number {
  try {
    return openSync(path, appendFlags, 0o600);
  } catch (error) {
    const doing = `append to the log file ${path}`;
    if (errnoOf(error) !== "ELOOP") throw faultFrom(error, doing);
    throw new Fault("denied", `cannot ${doing}: it is a symbolic link; name the file that it leads to`);
  }
}

export class FileOutput extends DescriptorOutput {
  readonly path: string;

  /** Creates the file with mode 0600 where it is missing. Fault when it cannot be opened. */
  constructor(path: string, lossLine: (trouble: LogTrouble) => string) {
    super(openForAppend(path), lossLine);
    this.path = path;
  }

  override reopen(): void {
    const fresh = openForAppend(this.path);
    closeSync(this.descriptor);
    this.descriptor = fresh;
  }

  override close(): void {
    closeSync(this.descriptor);
  }
}
