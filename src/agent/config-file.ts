/**
 * The settings file as it changes: written in place, replaced by rename, swapped by a symbolic link, removed, appearing
 * later, or with its whole directory. What is told is only that it has changed; the reader compares.
 */
import { lstatSync, readFileSync, readlinkSync, statSync, watch, type FSWatcher } from "node:fs";
import { dirname, join } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";
import { errnoOf, faultFrom, messageOf } from "../base/fault.ts";

/** A change is read when nothing more has come for this long: a writer may need several steps. */
const settleMs = 150;
/** … but not later than this after the first. */
const settleMsMax = 1000;
/** Names that one path may take to look up, links followed. The kernel follows 40 links; see path_resolution(7). */
const lookupsMax = 256;
/** Folders may come up while they are being watched; looking this often finds all of a path made by `mkdir -p`. */
const passesMax = 16;

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

export interface ConfigWatchOptions {
  /** Absolute. */
  readonly path: string;
  readonly clock: Clock;
  /** The file is another, or says something else, and has been quiet since. */
  readonly changed: () => void;
  /** Why changes are not told as they happen, or null when they are; called after each `refresh`. */
  readonly trouble: (why: string | null) => void;
}

interface Watched {
  readonly identity: string;
  readonly watcher: FSWatcher;
}

export class ConfigWatch implements Disposable {
  readonly #options: ConfigWatchOptions;
  readonly #watched = new Map<string, Watched>();
  /** The names that the path goes through, by the folder that they are looked up in. */
  #names: ReadonlyMap<string, ReadonlySet<string>> = new Map();
  #seen: string;
  #timer: Timer | null = null;
  #firstMs: number | null = null;
  #closed = false;

  /** What the file says at this moment counts as known. */
  constructor(options: ConfigWatchOptions) {
    this.#options = options;
    this.#seen = stateOf(options.path);
    this.refresh();
  }

  /**
   * Watches the folders that the path leads through as they are now, and looks at the file. A watch dies silently when
   * something is mounted over its folder, so the daemon calls this whenever it is awake anyway.
   */
  refresh(): void {
    if (this.#closed) return;
    let why: string | null = null;
    for (let pass = 0; pass < passesMax; pass++) {
      const { fresh, failed } = this.#watchFolders();
      why = failed;
      if (!fresh) break;
    }
    this.#options.trouble(why);
    this.#look();
  }

  #watchFolders(): { readonly fresh: boolean; readonly failed: string | null } {
    this.#names = namesByFolder(this.#options.path);
    for (const folder of this.#watched.keys()) if (!this.#names.has(folder)) this.#unwatch(folder);
    let fresh = false;
    let failed: string | null = null;
    for (const folder of this.#names.keys()) {
      const identity = identityOf(folder);
      if (identity === null || this.#watched.get(folder)?.identity === identity) continue;
      this.#unwatch(folder);
      const error = this.#watch(folder, identity);
      if (error === null) fresh = true;
      else failed = `cannot watch ${folder}: ${error}`;
    }
    return { fresh, failed };
  }

  /** Returns what went wrong, or null. */
  #watch(folder: string, identity: string): string | null {
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        if (name === null || this.#names.get(folder)?.has(name) === true) this.refresh();
      });
      watcher.on("error", () => this.#unwatch(folder));
      this.#watched.set(folder, { identity, watcher });
      return null;
    } catch (error) {
      return errnoOf(error) ?? messageOf(error);
    }
  }

  #unwatch(folder: string): void {
    this.#watched.get(folder)?.watcher.close();
    this.#watched.delete(folder);
  }

  /** Begins to wait for quiet when the file is not what it was; what else happens in its folders is nothing to us. */
  #look(): void {
    const state = stateOf(this.#options.path);
    if (state === this.#seen) return;
    this.#seen = state;
    const nowMs = this.#options.clock.monotonicMs();
    this.#firstMs ??= nowMs;
    this.#after(Math.min(settleMs, this.#firstMs + settleMsMax - nowMs), () => this.#settle());
  }

  #after(delayMs: number, then: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(Math.max(0, delayMs), () => {
      this.#timer = null;
      then();
    });
  }

  /** Bun drops an event that comes within a millisecond of one like it, so the file is looked at before and after. */
  #settle(): void {
    const { clock, path, changed } = this.#options;
    const patient = this.#firstMs !== null && clock.monotonicMs() < this.#firstMs + settleMsMax;
    if (patient && stateOf(path) !== this.#seen) {
      this.#look();
      return;
    }
    this.#firstMs = null;
    this.#seen = stateOf(path);
    changed();
    this.#after(settleMs, () => this.#look());
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const folder of this.#watched.keys()) this.#unwatch(folder);
  }
}

/**
 * Every folder in which a name of the path is looked up, links followed, with these names; as far as there is something.
 * A change of what the path leads to is a change of one of these names.
 */
function namesByFolder(path: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  let at = "/";
  let names = path.split("/");
  for (let lookup = 0; lookup < lookupsMax && names.length > 0; lookup++) {
    const [name = "", ...rest] = names;
    names = rest;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      at = dirname(at);
      continue;
    }
    found.set(at, (found.get(at) ?? new Set()).add(name));
    const next = join(at, name);
    const step = stepTo(next);
    if (step === null) break;
    if (step.link === null) at = next;
    else {
      names = [...step.link.split("/"), ...names];
      if (step.link.startsWith("/")) at = "/";
    }
  }
  return found;
}

/** What a link says, or that there is a folder; null where the way ends: at a file, at nothing, at what we may not see. */
function stepTo(path: string): { readonly link: string | null } | null {
  try {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) return { link: readlinkSync(path) };
    return stat.isDirectory() ? { link: null } : null;
  } catch {
    return null;
  }
}

function identityOf(folder: string): string | null {
  const stat = statSync(folder, { throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`;
}

/** Differs whenever the path leads to another file, or somebody wrote to this one. */
function stateOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(":");
  } catch (error) {
    return errnoOf(error) ?? messageOf(error);
  }
}
