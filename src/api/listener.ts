/**
 * A listening unix socket whose file is private from the first moment, never another's, and always there.
 *
 * The socket is made under a name that nobody knows, with mode 0600, and then linked to its path. link(2) fails where
 * something is: of two daemons that start at once exactly one gets the path. What is in the way is removed only when it is
 * a socket at which nobody listens.
 */
import { linkSync, lstatSync, mkdirSync, renameSync, unlinkSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { errnoOf, Fault, faultFrom, isFault } from "../base/fault.ts";

type BunServer = Bun.Server<undefined>;
export type MakeServer = (path: string) => BunServer;

export interface Listener {
  readonly path: string;
  /**
   * Makes sure that the path still leads here: a file that was removed, with its directory or without, is made again.
   * Costs one lstat where all is well. Fault `busy` when another daemon has the path, `denied` when something that is no
   * socket stands there, and whatever the file system says; worth trying again later.
   */
  ensurePresent(): Promise<"present" | "restored">;
  /** Closes the listening socket and removes its file. Requests under way get `graceMs` to be answered. */
  stop(graceMs: number): Promise<void>;
}

/** Each turn means that somebody else changed the path between two of our system calls. */
const claimAttemptsMax = 16;
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
      const answered = held.server.stop(false).then(() => true);
      const inTime = await Promise.race([answered, Bun.sleep(graceMs).then(() => false)]);
      if (!inTime) await held.server.stop(true);
    },
  };
}

interface Held {
  readonly server: BunServer;
  readonly file: Stats;
}

async function claim(path: string, makeServer: MakeServer): Promise<Held> {
  makeDirectory(dirname(path));
  // Asked before anything is made, so that a second daemon fails without a trace.
  if ((await occupantOf(path)) === "alive") throw taken(path);
  const ownPath = secretPath(path);
  const server = listenPrivately(ownPath, makeServer, path);
  try {
    const file = lstatSync(ownPath);
    for (let attempt = 0; attempt < claimAttemptsMax; attempt++) {
      if (linkUnlessTaken(ownPath, path)) return { server, file };
      if ((await occupantOf(path)) === "alive") throw taken(path);
      await removeDead(path);
    }
    throw new Fault("busy", `cannot listen on ${path}: others keep taking and leaving it; stop them`);
  } catch (error) {
    await server.stop(true);
    throw isFault(error) ? error : faultFrom(error, `listen on ${path}`);
  } finally {
    removeIfThere(ownPath);
  }
}

function taken(path: string): Fault {
  return new Fault(
    "busy",
    `cannot listen on ${path}: a daemon is running there; stop it, or give this one another --addr`,
  );
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw faultFrom(error, `make the directory ${path} for the socket`);
  }
}

/** A name beside `path`, no longer than it where that is possible. */
function secretPath(path: string): string {
  const random = crypto.getRandomValues(new Uint8Array(5)).toHex();
  return `${dirname(path)}/.${random}`;
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

/** False when something is at `to`. Throws what else link(2) says. */
function linkUnlessTaken(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Moves the dead socket aside before it is removed, and looks again: between our question and the move another daemon
 * may have put its own there, and that one is put back.
 */
async function removeDead(path: string): Promise<void> {
  const aside = secretPath(path);
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  const live = (await occupantOf(aside)) === "alive";
  // Where even a third one has the path by now, the daemon that was put aside finds out in its ensurePresent.
  if (live) linkUnlessTaken(aside, path);
  removeIfThere(aside);
  if (live) throw taken(path);
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
