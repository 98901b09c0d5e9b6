/**
 * Pressure Stall Information: `/proc/pressure/{memory,io,cpu}` and the cgroup's `{memory,io,cpu}.pressure`.
 * Linux 4.20, Documentation/accounting/psi.rst. A cgroup's numbers include its children's.
 *
 *     some avg10=0.00 avg60=0.12 avg300=0.05 total=123456
 *     full avg10=0.00 avg60=0.00 avg300=0.00 total=654
 *
 * avgN: percent of the last N seconds; total: microseconds of stall since boot. `full` may be missing (cpu before 5.13).
 * With PSI compiled in but switched off the files are not there, or reading them is EOPNOTSUPP.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { fileFault, malformed, under, type Absence } from "../system/pseudo-file.ts";
import type { FsPath } from "../system/path-name.ts";

export type PressureResource = "memory" | "io" | "cpu";

const place = "a pressure file";

/** Path of the whole system's pressure. */
export function systemPressurePath(root: string, resource: PressureResource): string {
  return under(root, `/proc/pressure/${resource}`);
}

/** Room for the line `some`, which comes first and is at most 80 bytes long. */
const head = Buffer.allocUnsafeSlow(256);

/**
 * Microseconds of `some` stall since boot, made for many files a run: one open, one read, no text.
 * Faults: `missing` or `vanished` as asked, `unsupported` (PSI is switched off), `malformed`.
 */
export function readSomeTotalUs(file: FsPath, absence: Absence = "missing"): number {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (error) {
    throw fileFault(error, "read", file, absence);
  }
  try {
    return readOpenSomeTotalUs(fd, file, absence);
  } finally {
    closeSync(fd);
  }
}

/** As `readSomeTotalUs`, of a file that is open already. */
export function readOpenSomeTotalUs(fd: number, file: FsPath, absence: Absence = "missing"): number {
  let length: number;
  try {
    length = readSync(fd, head, 0, head.length, 0);
  } catch (error) {
    throw fileFault(error, "read", file, absence);
  }
  return scanSomeTotalUs(head, length);
}

const newline = 0x0a;
const zero = 0x30;
const lineStart = "some avg10=";
const beforeTotal = " total=";

/** The total of the line `some` in the first `length` bytes. Fault `malformed`. */
export function scanSomeTotalUs(bytes: Uint8Array, length: number): number {
  const end = bytes.indexOf(newline);
  let digits = end;
  // From the end of the line: it is the last word, and few steps away.
  while (digits > 0 && isDigit(bytes[digits - 1])) digits--;
  const found =
    end < length &&
    digits < end &&
    end - digits <= 20 &&
    isAt(bytes, 0, lineStart) &&
    isAt(bytes, digits - beforeTotal.length, beforeTotal);
  if (!found) throw malformed(place, "no total of `some`", Buffer.from(bytes.subarray(0, length)).toString("latin1"));
  let total = 0;
  for (let at = digits; at < end; at++) total = total * 10 + ((bytes[at] ?? zero) - zero);
  return total;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte <= zero + 9;
}

function isAt(bytes: Uint8Array, at: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (bytes[at + index] !== text.charCodeAt(index)) return false;
  }
  return true;
}
