/**
 * The settings file as it changes: written in place, replaced by rename, swapped by a symbolic link, removed, appearing
 * later, or with its whole directory. What is told is only that it may have changed; the reader compares.
 */
import { readFileSync, realpathSync, statSync, watch, type FSWatcher } from "node:fs";
import { dirname } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";
import { errnoOf, faultFrom, messageOf } from "../base/fault.ts";
import type { Logger } from "../base/log.ts";

/** A change is read when nothing more has come for this long: a writer may need several steps. */
const settleMs = 150;
/** … but not later than this after the first. */
const settleMsMax = 1000;

/** The file's text, null where there is none. Faults: `denied`, `io`. */
export function readConfigText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return null;
    throw faultFrom(error, `read ${path}`);
  }
}

export class ConfigWatch implements Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #changed: () => void;
  readonly #watchers = new Map<string, { readonly inode: number; readonly watcher: FSWatcher }>();
  #timer: Timer | null = null;
  #firstMs: number | null = null;
  #closed = false;

  /** Calls `changed` after the file may have changed and is quiet again. */
  constructor(path: string, clock: Clock, log: Logger, changed: () => void) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
    this.#changed = changed;
    this.refresh();
  }

  /**
   * Watches the directories that the file is reached through as they are now. A watch dies silently when its directory is
   * replaced, so the daemon calls this whenever it is awake anyway. Returns true when a directory was another one.
   */
  refresh(): boolean {
    if (this.#closed) return false;
    let replaced = false;
    const wanted = new Set(this.#folders());
    for (const [folder, { watcher }] of this.#watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of wanted) {
      const inode = inodeOf(folder);
      const standing = this.#watchers.get(folder);
      if (inode === null || standing?.inode === inode) continue;
      if (standing !== undefined) {
        standing.watcher.close();
        this.#watchers.delete(folder);
        replaced = true;
      }
      this.#watch(folder, inode);
    }
    if (replaced) this.#touch();
    return replaced;
  }

  #watch(folder: string, inode: number): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#touch());
      watcher.on("error", (error) => this.#log.debug("watch ended", { folder, error: messageOf(error) }));
      this.#watchers.set(folder, { inode, watcher });
    } catch (error) {
      this.#log.debug("cannot watch", { folder, error: messageOf(error) });
    }
  }

  /** The folder of the name and of what it leads to, and the folder above each: that one sees a folder being replaced. */
  #folders(): string[] {
    const near = [dirname(this.#path)];
    try {
      near.push(dirname(realpathSync(this.#path)));
    } catch {
      // There is no file now; the folder of its name will show it.
    }
    return near.flatMap((folder) => [existingFolder(folder), existingFolder(dirname(folder))]);
  }

  #touch(): void {
    if (this.#closed) return;
    const nowMs = this.#clock.monotonicMs();
    this.#firstMs ??= nowMs;
    this.#timer?.cancel();
    const delayMs = Math.max(0, Math.min(settleMs, this.#firstMs + settleMsMax - nowMs));
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = null;
      this.#firstMs = null;
      this.refresh();
      this.#changed();
    });
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }
}

function existingFolder(folder: string): string {
  let at = folder;
  while (at !== "/" && inodeOf(at) === null) at = dirname(at);
  return at;
}

function inodeOf(folder: string): number | null {
  return statSync(folder, { throwIfNoEntry: false })?.ino ?? null;
}
