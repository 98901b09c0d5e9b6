/**
 * A listening unix socket whose file is private from the first moment, never another's, and always there.
 *
 * Of many daemons that start at once one gets the path. Each makes its socket under a name of its own, mode 0600, where
 * the others see it, and only then looks for theirs: of any two at least one sees the other, and who sees another steps
 * back. Who sees none is alone; it removes what a dead daemon left, links its socket to the path, and takes the other name
 * away. A killed daemon's names are sockets at which nobody listens, and stand in nobody's way.
 */
import { linkSync, lstatSync, mkdirSync, readdirSync, renameSync, unlinkSync, type Stats } from "node:fs";
import { basename, dirname } from "node:path";
import { socketPathBytesMax } from "../base/address.ts";
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

/** Each attempt after the first means that another daemon started within the same milliseconds. */
const claimAttemptsMax = 20;
const backOffMs = 20;
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
  const directory = dirname(path);
  makeDirectory(directory);
  // Asked before anything is made, so that a second daemon fails without a trace.
  if ((await occupantOf(path)) === "alive") throw taken(path);
  const names = claimNames(path);
  const server = listenPrivately(names.hidden, makeServer, path);
  try {
    const file = lstatSync(names.hidden);
    for (let attempt = 0; attempt < claimAttemptsMax; attempt++) {
      renameSync(names.hidden, names.announced);
      const rivals = await rivalsOf(names, directory);
      // In this order: a rival that has got the path takes its other name away afterwards.
      const occupant = await occupantOf(path);
      if (occupant === "alive") throw taken(path);
      if (!rivals.includes("alive")) {
        if (occupant === "dead") unlinkSync(path);
        linkSync(names.announced, path);
        return { server, file };
      }
      renameSync(names.announced, names.hidden);
      await Bun.sleep(names.share * backOffMs * (attempt + 1));
    }
    throw new Fault("busy", `cannot listen on ${path}: other daemons keep starting there; start one`);
  } catch (error) {
    await server.stop(true);
    throw isFault(error) ? error : faultFrom(error, `listen on ${path}`);
  } finally {
    removeIfThere(names.hidden);
    removeIfThere(names.announced);
  }
}

interface ClaimNames {
  /** Seen by every other daemon that wants the same path. */
  readonly announced: string;
  readonly hidden: string;
  /** What the announced names of all that want this path begin with. */
  readonly prefix: string;
  /** Drawn with the name, from 0 to 1: rivals that step back together come again at different times. */
  readonly share: number;
}

/** Names of twelve characters, whatever the socket's own. Fault `invalid` when the directory leaves no room for them. */
function claimNames(path: string): ClaimNames {
  const directory = dirname(path);
  const room = socketPathBytesMax - "/.12345-12345".length;
  if (Buffer.byteLength(directory) > room) {
    throw new Fault(
      "invalid",
      `cannot listen on ${path}: its directory's path is longer than ${room} bytes; use a shorter one`,
    );
  }
  const prefix = `.${Bun.hash.crc32(basename(path)).toString(36).slice(0, 5)}-`;
  const share = (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
  const own = Math.floor(share * 36 ** 5).toString(36);
  return { announced: `${directory}/${prefix}${own}`, hidden: `${directory}/.${own}`, prefix, share };
}

/** The others that want the path right now; what the killed among them left is removed. */
async function rivalsOf(names: ClaimNames, directory: string): Promise<Occupant[]> {
  const own = basename(names.announced);
  const rivals: Occupant[] = [];
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(names.prefix) || name === own) continue;
    const rival = await occupantOf(`${directory}/${name}`);
    if (rival === "dead") removeIfThere(`${directory}/${name}`);
    rivals.push(rival);
  }
  return rivals;
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
