/** Writes the settings file as a whole or not at all: beside it, then over it, with its owner and mode. */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { errnoOf, Fault, faultFrom } from "../../base/fault.ts";

/** Owner only, for a file that was not there. */
const modeOfNew = 0o600;
/** As many as the kernel follows; see path_resolution(7). */
const linksMax = 40;

/** What keeps a file from being replaced, as a person would say it. */
const states: Readonly<Record<string, string>> = {
  EROFS: "its file system is read-only; make it writable, or set without --save",
  ENOENT: "its directory is not there; make it, or set without --save",
  ENOTDIR: "its directory is not there; make it, or set without --save",
  EACCES: "permission is denied; let the daemon write into its directory, or set without --save",
  EPERM: "the file or its directory is protected; let the daemon replace it, or set without --save",
  ENOSPC: "the file system is full; make room, or set without --save",
  EDQUOT: "the quota is used up; make room, or set without --save",
  EBUSY: "something is mounted at its name, so it cannot be replaced; mount its directory, or edit it by hand",
};

/** Faults: `denied` (a read-only file system too), `missing` (no such directory), `busy`, `io`; then the file is as it was. */
export function replaceFile(path: string, text: string): void {
  const target = targetOf(path);
  const temporary = join(dirname(target), `.${process.pid}.${Bun.randomUUIDv7()}.tmp`);
  let made = false;
  try {
    const standing = statSync(target, { throwIfNoEntry: false });
    const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, modeOfNew);
    made = true;
    try {
      writeFileSync(fd, text);
      // In this order: to be given to another owner takes special bits away.
      if (standing !== undefined) fchownSync(fd, standing.uid, standing.gid);
      fchmodSync(fd, standing === undefined ? modeOfNew : standing.mode & 0o7777);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, target);
    syncFolder(dirname(target));
  } catch (error) {
    if (made) rmSync(temporary, { force: true });
    throw saveFault(error, path);
  }
}

function saveFault(error: unknown, path: string): Fault {
  const doing = `save settings into ${path}`;
  const state = states[errnoOf(error) ?? ""];
  const fault = faultFrom(error, doing);
  return state === undefined ? fault : new Fault(fault.kind, `cannot ${doing}: ${state}`, { cause: error });
}

/** Makes the new name survive a loss of power. Not every file system can; the file is whole in any case. */
function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // The file was replaced all the same.
  }
}

/** A symbolic link stays one: what it leads to is replaced, or made where it leads to nothing yet. */
function targetOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return danglingTarget(path);
  }
}

function danglingTarget(path: string): string {
  let target = path;
  for (let links = 0; links < linksMax; links++) {
    try {
      target = resolve(dirname(target), readlinkSync(target));
    } catch {
      return target;
    }
  }
  return target;
}
