/** The settings file of a daemon: what it says, when it changes, and how it is replaced. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  type Stats,
  lstatSync,
  readlinkSync,
  statSync,
  watch,
  type FSWatcher,
  fchmodSync,
  fchownSync,
  fsyncSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Clock, Timer } from "../../base/clock.ts";
import { errnoOf, Fault, faultFrom, nullIfFault, messageOf } from "../../base/fault.ts";
import { parseBootSettings } from "../../config/boot.ts";
import { startSettings, type LiveSettings } from "../../config/merge.ts";
import { problemsFault } from "../../config/problems.ts";
import type { SettingsOverrides } from "../../config/schema.ts";
import { parseConfig } from "../../config/toml.ts";
import { readCmdline } from "../../kernel/cmdline.ts";

const fileBytesMax = 2 ** 20;
/** Write permission for the group and for others; see inode(7). */
const writableByOthers = 0o022;
/** A FIFO without a writer would hold the open, and a terminal would become ours. */
const openFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** `root_only`: a file that others than root may write is refused. */
export type Writers = "anybody" | "root_only";

/**
 * The text of a settings file, null where there is none. Faults: `invalid` for what is no regular file, is larger than
 * 1 MiB, or may be written by those who must not; `denied`, `io`.
 */
export function readConfigText(path: string, writers: Writers = "anybody"): string | null {
  let fd: number;
  try {
    fd = openSync(path, openFlags);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return null;
    if (errno === "ENXIO") throw refused(path, "it is a socket or a device; name a regular file");
    throw faultFrom(error, `read ${path}`);
  }
  try {
    const why = whyRefused(fstatSync(fd), path, writers);
    if (why !== null) throw refused(path, why);
    return readBounded(fd, path);
  } catch (error) {
    throw faultFrom(error, `read ${path}`);
  } finally {
    closeSync(fd);
  }
}

function whyRefused(stats: Stats, path: string, writers: Writers): string | null {
  if (!stats.isFile()) return `it is ${kindOf(stats)}; name a regular file`;
  if (writers === "anybody") return null;
  if (stats.uid !== 0) return `it belongs to user ${stats.uid}, who can change what root does; chown root ${path}`;
  if ((stats.mode & writableByOthers) === 0) return null;
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, "0");
  return `others than root may write it (mode ${mode}); chmod go-w ${path}`;
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a FIFO";
  return stats.isSocket() ? "a socket" : "a device";
}

/** Files of proc say a size of 0, and any file may grow meanwhile: what counts is what is read. */
function readBounded(fd: number, path: string): string {
  const bytes = Buffer.allocUnsafe(Math.min(fstatSync(fd).size, fileBytesMax) + 1);
  const chunks: Buffer[] = [];
  let length = 0;
  for (;;) {
    const count = readSync(fd, bytes, 0, bytes.length, length);
    if (count === 0) return Buffer.concat(chunks).toString("utf8");
    length += count;
    if (length > fileBytesMax) throw refused(path, "it is larger than 1 MiB; settings are far shorter");
    chunks.push(Buffer.from(bytes.subarray(0, count)));
  }
}

function refused(path: string, why: string): Fault {
  return new Fault("invalid", `cannot read ${path}: ${why}`);
}

/** Who may write the file of a daemon: run by root, what it says is done by root. */
function daemonWriters(): Writers {
  return process.geteuid?.() === 0 ? "root_only" : "anybody";
}

/** As `readConfigText`, for a daemon. */
export function readDaemonConfigText(path: string): string | null {
  return readConfigText(path, daemonWriters());
}

/**
 * What the settings are before anything runs: the file, then the kernel's command line, then the flags. Fault `invalid`
 * with every problem of the file.
 */
export async function readSettings(
  file: string,
  flags: SettingsOverrides,
  boot: SettingsOverrides = {},
): Promise<LiveSettings> {
  return startSettings({ file: (await readConfig(file)).overrides, boot, flags });
}

/** What the kernel's command line says; nothing where there is none to read. Fault `invalid` with every problem of it. */
export function readBootSettings(root: string): SettingsOverrides {
  const parameters = nullIfFault(() => readCmdline(root));
  const { overrides, problems } = parseBootSettings(parameters ?? new Map());
  if (problems.length > 0) throw problemsFault("use the kernel's command line", problems);
  return overrides;
}

export interface ReadConfig {
  /** Null where there is no file. */
  readonly text: string | null;
  readonly overrides: SettingsOverrides;
}

/** Faults: `invalid` with every problem of the file, `denied`, `io`. */
export async function readConfig(file: string): Promise<ReadConfig> {
  const text = readDaemonConfigText(file);
  return { text, overrides: await parsedConfig(text ?? "", file) };
}

/** What a text says. Fault `invalid` with every problem of it. */
export async function parsedConfig(text: string, file: string): Promise<SettingsOverrides> {
  const { overrides, problems } = await parseConfig(text, { file });
  if (problems.length > 0) throw problemsFault(`use ${file}`, problems);
  return overrides;
}

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
  /** Why changes are not seen as they happen, or null when they are; called after each `refresh`. */
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
 * a write through another name of it (a bind mount, a hard link) is reported to that name's folder alone.
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
