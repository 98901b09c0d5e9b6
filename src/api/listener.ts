/**
 * A listening unix socket whose file is private from the first moment, never another's, and always there.
 *
 * Of many daemons that start at once one gets the path: each holds flock(2) on its folder while it sees who is there,
 * removes what a dead daemon left, and links its own socket to the path. It listens under another name first, mode 0600,
 * so that nobody finds a socket there that is not yet private or not yet served.
 */
import { closeSync, linkSync, lstatSync, mkdirSync, openSync, unlinkSync, type Stats } from "node:fs";
import { basename, dirname } from "node:path";
import { socketPathBytesMax } from "../base/address.ts";
import { errnoOf, Fault, faultFrom } from "../base/fault.ts";
import { tryLock } from "../system/libc.ts";

type BunServer = Bun.Server<undefined>;
export type MakeServer = (path: string) => BunServer;

export interface Listener {
  readonly path: string;
  /**
   * Makes sure that the path still leads here: a file that was removed, with its directory or without, is made again.
   * Costs one lstat where all is well. Fault `busy` when another daemon has the path, `denied` when something that is no
   * socket is there, and whatever the file system says; worth trying again later.
   */
  ensurePresent(): Promise<"present" | "restored">;
  /** Closes the listening socket and removes its file. Requests under way get `graceMs` to be answered. */
  stop(graceMs: number): Promise<void>;
}

/** How often to ask for the lock of the folder: longer than the one before takes to find somebody silent. */
const lockAttemptsMax = 200;
const lockPauseMs = 10;
/** A daemon that takes the connection and stays silent (stopped, or very busy) is a live one all the same. */
const probeMs = 500;

type Occupant = "nobody" | "dead" | "alive";

/** Listens at `path`. Fault `busy` when a daemon lives there, `denied` when no socket is there but something else. */
export async function listen(path: string, makeServer: MakeServer): Promise<Listener> {
  let held = await claim(path, makeServer);
  let restoring: Promise<"present" | "restored"> | null = null;
  let stopped = false;

  const restore = async (): Promise<"present" | "restored"> => {
    const fresh = await claim(path, makeServer);
    const old = held;
    held = fresh;
    if (stopped) {
      release(path, fresh);
      await fresh.server.stop(true);
    }
    // Connections that are there go on; only the listening socket that nobody can reach is closed.
    void old.server.stop(false);
    return "restored";
  };

  return {
    path,
    async ensurePresent() {
      if (stopped || isSame(fileAt(path), held.file)) return "present";
      restoring ??= restore().finally(() => (restoring = null));
      return restoring;
    },
    async stop(graceMs) {
      if (stopped) return;
      stopped = true;
      release(path, held);
      await stopWithin(held.server, graceMs);
    },
  };
}

/** O_PATH: a handle on a file that opens nothing. The same number on x86-64 and arm64. */
const handleOnly = 0o10000000;

/**
 * Listens on a socket whose name is gone when this returns: it is reached through `path`, by this process alone, and a
 * killed daemon leaves nothing of it behind. Fault `denied`, `io`.
 */
export function listenHidden(directory: string, makeServer: MakeServer): Pick<Listener, "path" | "stop"> {
  makeDirectory(directory);
  const hidden = hiddenName(`${directory}/${crypto.randomUUID()}`);
  const server = listenPrivately(hidden, makeServer, hidden);
  let handle: number;
  try {
    handle = openSync(hidden, handleOnly);
  } catch (error) {
    void server.stop(true);
    throw faultFrom(error, `listen in ${directory}`);
  } finally {
    removeIfThere(hidden);
  }
  return {
    path: `/proc/self/fd/${handle}`,
    async stop(graceMs) {
      await stopWithin(server, graceMs);
      closeSync(handle);
    },
  };
}

/** Requests under way get `graceMs` to be answered. */
async function stopWithin(server: BunServer, graceMs: number): Promise<void> {
  const answered = server.stop(false).then(() => true);
  const inTime = await Promise.race([answered, Bun.sleep(graceMs).then(() => false)]);
  if (!inTime) await server.stop(true);
}

interface Held {
  readonly server: BunServer;
  readonly file: Stats;
}

async function claim(path: string, makeServer: MakeServer): Promise<Held> {
  const directory = dirname(path);
  makeDirectory(directory);
  using cleanup = new DisposableStack();
  cleanup.use(await lockFolder(directory, path));
  const occupant = await occupantOf(path);
  if (occupant === "alive") throw taken(path);
  const hidden = hiddenName(path);
  // What a daemon left that was killed right here.
  removeIfThere(hidden);
  const server = listenPrivately(hidden, makeServer, path);
  try {
    const file = lstatSync(hidden);
    if (occupant === "dead") unlinkSync(path);
    linkSync(hidden, path);
    return { server, file };
  } catch (error) {
    await server.stop(true);
    throw faultFrom(error, `listen on ${path}`);
  } finally {
    removeIfThere(hidden);
  }
}

/** Until it is disposed of, no other daemon takes or gives away a path in this folder. */
async function lockFolder(directory: string, path: string): Promise<Disposable> {
  const fd = openFolder(directory, path);
  for (let attempt = 0; attempt < lockAttemptsMax; attempt++) {
    if (tryLock(fd)) return { [Symbol.dispose]: () => closeSync(fd) };
    await Bun.sleep(lockPauseMs);
  }
  closeSync(fd);
  throw new Fault("busy", `cannot listen on ${path}: another process holds the lock of ${directory}; end that one`);
}

function openFolder(directory: string, path: string): number {
  try {
    return openSync(directory, "r");
  } catch (error) {
    throw faultFrom(error, `listen on ${path}`);
  }
}

/** Nine characters, whatever the socket's own name. Fault `invalid` when the folder leaves no room for them. */
function hiddenName(path: string): string {
  const directory = dirname(path);
  const room = socketPathBytesMax - "/.1234567".length;
  if (Buffer.byteLength(directory) > room) {
    throw new Fault(
      "invalid",
      `cannot listen on ${path}: its directory's path is longer than ${room} bytes; use a shorter one`,
    );
  }
  return `${directory}/.${Bun.hash.crc32(basename(path)).toString(36)}`;
}

function taken(path: string): Fault {
  return new Fault("busy", `cannot listen on ${path}: a daemon is running there; stop it`);
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw faultFrom(error, `make the directory ${path} for the socket`);
  }
}

function listenPrivately(ownPath: string, makeServer: MakeServer, path: string): BunServer {
  const before = process.umask(0o177);
  try {
    return makeServer(ownPath);
  } catch (error) {
    throw faultFrom(error, `listen on ${path}`);
  } finally {
    process.umask(before);
  }
}

/** Who is at `path`. Fault `denied` when it is no socket, or one that we may not ask. */
async function occupantOf(path: string): Promise<Occupant> {
  const file = fileAt(path);
  if (file === null) return "nobody";
  if (!file.isSocket()) {
    const what = file.isSymbolicLink() ? "a symbolic link" : file.isDirectory() ? "a directory" : "a file";
    throw new Fault("denied", `cannot listen on ${path}: ${what} is there; remove it or choose another --addr`);
  }
  // Not Bun.connect: it reports a full backlog as a refused connection, and a busy daemon would pass for a dead one.
  try {
    await fetch("http://localhost/healthz", { unix: path, signal: AbortSignal.timeout(probeMs) });
    return "alive";
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ECONNREFUSED") return "dead";
    if (errno === "ENOENT") return "nobody";
    if (errno === "EACCES" || errno === "EPERM") throw faultFrom(error, `ask who listens on ${path}`);
    return "alive";
  }
}

function fileAt(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}

function isSame(file: Stats | null, own: Stats): boolean {
  return file !== null && file.ino === own.ino && file.dev === own.dev;
}

/** Removes the path if it still leads to our socket: another daemon's is not ours to remove. */
function release(path: string, held: Held): void {
  if (isSame(fileAt(path), held.file)) removeIfThere(path);
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already, with its directory or without: as it should be.
  }
}
