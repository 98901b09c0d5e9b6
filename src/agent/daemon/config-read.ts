/** What the settings file says now. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { errnoOf, Fault, faultFrom, nullIfFault } from "../../base/fault.ts";
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
