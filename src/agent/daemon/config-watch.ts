/**
 * The settings file as it changes: written in place, replaced by rename, swapped by a symbolic link, removed, appearing
 * later, or with its whole directory. What is told is only that it has changed; the reader compares.
 */
import { lstatSync, readlinkSync, statSync, watch, type FSWatcher } from "node:fs";
import { dirname, join } from "node:path";
import type { Clock, Timer } from "../../base/clock.ts";
import { errnoOf, messageOf } from "../../base/fault.ts";

/** A change is read when nothing more has come for this long: a writer may need several steps. */
const settleMs = 150;
/** … but not later than this after the first. */
const settleMsMax = 1000;
/** Names that one path may take to look up, links followed. The kernel follows 40 links; see path_resolution(7). */
const lookupsMax = 256;
/** Folders may come up while they are being watched; looking this often finds all of a path made by `mkdir -p`. */
const passesMax = 16;

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
  #places: Places = new Map();
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
   * Watches the places that the path leads through as they are now, and looks at the file. A watch dies silently when
   * something is mounted over its folder, so the daemon calls this whenever it is awake anyway.
   */
  refresh(): void {
    if (this.#closed) return;
    let why: string | null = null;
    for (let pass = 0; pass < passesMax; pass++) {
      const { fresh, failed } = this.#watchPlaces();
      why = failed;
      if (!fresh) break;
    }
    this.#options.trouble(why);
    this.#look();
  }

  #watchPlaces(): { readonly fresh: boolean; readonly failed: string | null } {
    this.#places = placesOf(this.#options.path);
    for (const place of this.#watched.keys()) if (!this.#places.has(place)) this.#unwatch(place);
    let fresh = false;
    let failed: string | null = null;
    for (const place of this.#places.keys()) {
      const identity = identityOf(place);
      if (identity !== null && this.#watched.get(place)?.identity === identity) continue;
      this.#unwatch(place);
      const error = identity === null ? "it cannot be looked at" : this.#watch(place, identity);
      if (error === null) fresh = true;
      else failed = `cannot watch ${place}: ${error}`;
    }
    return { fresh, failed };
  }

  /** Returns what went wrong, or null. */
  #watch(place: string, identity: string): string | null {
    try {
      const watcher = watch(place, { persistent: false }, (_, name) => {
        if (name === null || this.#places.get(place)?.has(name) !== false) this.refresh();
      });
      watcher.on("error", () => this.#unwatch(place));
      this.#watched.set(place, { identity, watcher });
      return null;
    } catch (error) {
      return errnoOf(error) ?? messageOf(error);
    }
  }

  #unwatch(place: string): void {
    this.#watched.get(place)?.watcher.close();
    this.#watched.delete(place);
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
    for (const place of this.#watched.keys()) this.#unwatch(place);
  }
}

/** What counts at a place: the names that the path takes there, or null where the place is the file itself. */
type Places = ReadonlyMap<string, ReadonlySet<string> | null>;

/**
 * Every folder in which a name of the path is looked up, links followed, as far as there is something; and the file, since
 * a write through another name of it (a bind mount, a hard link) is told to that name's folder alone.
 */
function placesOf(path: string): Places {
  const folders = new Map<string, Set<string>>();
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
    folders.set(at, (folders.get(at) ?? new Set()).add(name));
    const next = join(at, name);
    const found = entryAt(next);
    if (found === "file") return new Map([...folders, [next, null]]);
    if (found === "nothing") break;
    if (found === "folder") at = next;
    else {
      names = [...found.link.split("/"), ...names];
      if (found.link.startsWith("/")) at = "/";
    }
  }
  return folders;
}

/** `nothing` also for what we may not see. */
function entryAt(path: string): "file" | "folder" | "nothing" | { readonly link: string } {
  try {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) return { link: readlinkSync(path) };
    return stat.isDirectory() ? "folder" : "file";
  } catch {
    return "nothing";
  }
}

/** Null for what is gone, may not be seen, or does not answer (EACCES; ESTALE or EIO of a network's file system). */
function identityOf(place: string): string | null {
  try {
    const { dev, ino } = statSync(place);
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
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
