/** Results to stdout, problems to stderr, each written whole before the process goes on. */
import { fstatSync, writeSync } from "node:fs";
import { errnoOf } from "../base/fault.ts";
import { escapeControls, jsonText } from "../base/log-line.ts";

/** The reader of stdout has gone, as with `| head`: no error, there is only nobody to write for. */
export class ReaderGone extends Error {}

const stdoutFd = 1;
const stderrFd = 2;
/** A pipe that was made non-blocking by its other user may be full; this is how often it is tried again. */
const fullTriesMax = 6000;
const fullPauseMs = 5;

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  let offset = 0;
  let tries = 0;
  while (offset < bytes.length && tries < fullTriesMax) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EPIPE") throw new ReaderGone();
      if (errno !== "EAGAIN" && errno !== "EINTR") throw error;
      tries += 1;
      Bun.sleepSync(fullPauseMs);
    }
  }
}

/** Writes a result. Throws `ReaderGone` when nobody reads any more. */
export function writeOut(text: string): void {
  writeAll(stdoutFd, text);
}

export function writeLines(lines: readonly string[]): void {
  writeOut(`${lines.join("\n")}\n`);
}

/** The JSON of a value, readable, with a newline. */
export function writeJson(value: unknown): void {
  writeOut(`${jsonText(value, 2)}\n`);
}

/**
 * Writes a line to stderr, with everything escaped that would steer a terminal: names of files and what settings say may
 * hold it. Where stderr is closed there is nowhere left to say so.
 */
export function complain(line: string): void {
  try {
    writeAll(stderrFd, `${escapeControls(line)}\n`);
  } catch {
    // Nobody hears it.
  }
}

/** Whether standard output is a character device, as every terminal is. To ask node:tty takes 3 ms, for loading it. */
export function mayBeTerminal(): boolean {
  try {
    return fstatSync(1).isCharacterDevice();
  } catch {
    return false;
  }
}
