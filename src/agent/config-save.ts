/** Writes the settings file as a whole or not at all: beside it, then over it, with its owner and mode. */
import {
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { faultFrom } from "../base/fault.ts";

/** Owner only, for a file that was not there. */
const modeOfNew = 0o600;

/** Faults: `denied` (a read-only file system too), `missing` (no such directory), `io`; then the file is as it was. */
export function replaceFile(path: string, text: string): void {
  const target = targetOf(path);
  const standing = statSync(target, { throwIfNoEntry: false });
  const temporary = join(dirname(target), `.${process.pid}.${Bun.randomUUIDv7()}.tmp`);
  try {
    const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, modeOfNew);
    try {
      writeSync(fd, text);
      fchmodSync(fd, standing === undefined ? modeOfNew : standing.mode & 0o7777);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (standing !== undefined) chownSync(temporary, standing.uid, standing.gid);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw faultFrom(error, `save settings into ${path}`);
  }
}

/** A symbolic link stays one: what it leads to is replaced. */
function targetOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
