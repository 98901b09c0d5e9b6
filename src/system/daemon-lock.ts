/**
 * One daemon a machine: a process that runs a feature holds flock(2) on one file. The lock ends with the process, also with one
 * that is killed; what the file says counts only until then.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { errnoOf, faultFrom } from "../base/fault.ts";
import { tryLock } from "./libc.ts";
import { under } from "./pseudo-file.ts";
import { daemonLockPath, type RunningDaemon } from "./running-daemon.ts";

/** Private: who may open it may hold the lock, and so keep the daemon from starting. */
const openFlags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
const privateMode = 0o600;
/** Each attempt after the first means that another daemon ended between our opening the file and locking it. */
const attemptsMax = 16;

export class DaemonLock implements Disposable {
  readonly #path: string;
  readonly #fd: number;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /** Null while another process holds it. Faults: `denied`, `missing`, `io`. */
  static take(root: string): DaemonLock | null {
    const path = under(root, daemonLockPath);
    try {
      mkdirSync(dirname(path), { recursive: true });
      for (let attempt = 0; attempt < attemptsMax; attempt++) {
        const fd = openSync(path, openFlags, privateMode);
        const locked = tryLock(fd);
        // One that ended meanwhile took the file away: then this lock is on a file without a name.
        if (locked && isAt(path, fd)) return new DaemonLock(path, fd);
        closeSync(fd);
        if (!locked) return null;
      }
      return null;
    } catch (error) {
      throw faultFrom(error, `lock ${path}, which keeps a second daemon from starting`);
    }
  }

  /** Writes down where this process listens. Never throws: it helps others to find it, and no more. */
  note({ pid, addr }: RunningDaemon): void {
    try {
      ftruncateSync(this.#fd);
      writeSync(this.#fd, `${pid} ${addr}\n`, 0);
    } catch {
      // A full file system.
    }
  }

  [Symbol.dispose](): void {
    try {
      if (isAt(this.#path, this.#fd)) unlinkSync(this.#path);
    } catch {
      // It stays, and is nobody's.
    }
    closeSync(this.#fd);
  }
}

function isAt(path: string, fd: number): boolean {
  try {
    const [named, held] = [statSync(path), fstatSync(fd)];
    return named.ino === held.ino && named.dev === held.dev;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
