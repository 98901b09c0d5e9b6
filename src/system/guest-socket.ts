/**
 * The way to an agent in a guest, from the host, where the VMM gives vsock as a unix socket (Firecracker, Cloud
 * Hypervisor, Kata): connect, send `CONNECT PORT\n`, read `OK N\n`; from then on it is the connection.
 * See docs/vsock.md of Firecracker.
 *
 * `fetch` cannot send those lines first, so it is given a unix socket of our own that forwards to the connection.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Firecracker answers with the host port, at most `OK 4294967295\n`. */
const answerBytesMax = 32;

/** The VMM is there, and the guest behind it does not take the connection. */
export class GuestRefused extends Error {
  override readonly name = "GuestRefused";
}

/** A socket for one request to the guest. */
export class GuestSocket implements AsyncDisposable {
  readonly path: string;
  readonly #folder: string;
  readonly #server: Server;
  readonly #guest: Socket;

  private constructor(folder: string, path: string, server: Server, guest: Socket) {
    this.#folder = folder;
    this.path = path;
    this.#server = server;
    this.#guest = guest;
  }

  /** Connected to `port` of the guest. Errors: those of connect(2), GuestRefused, the signal's reason. */
  static async open(vmmPath: string, port: number, signal: AbortSignal | null): Promise<GuestSocket> {
    const guest = await connected(vmmPath, port, signal);
    let folder: string | null = null;
    try {
      // mkdtemp makes it with mode 0700: nobody else gets to the guest through it.
      folder = await mkdtemp(join(tmpdir(), "mem-agent-"));
      const path = join(folder, "guest.sock");
      const server = await listening(path, guest);
      return new GuestSocket(folder, path, server, guest);
    } catch (error) {
      guest.destroy();
      if (folder !== null) await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#guest.destroy();
    this.#server.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function listening(path: string, guest: Socket): Promise<Server> {
  const server = createServer((client) => {
    // There is one connection to the guest, so one client is served.
    server.close();
    if (guest.destroyed) {
      client.destroy();
      return;
    }
    client.on("error", () => guest.destroy());
    guest.on("error", () => client.destroy());
    guest.on("close", () => client.destroy());
    client.pipe(guest).pipe(client);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(path, resolve);
  await promise;
  return server;
}

async function connected(vmmPath: string, port: number, signal: AbortSignal | null): Promise<Socket> {
  signal?.throwIfAborted();
  const guest = connect(vmmPath);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let answer = "";
  const take = (chunk: Buffer): void => {
    answer += chunk.toString("latin1");
    if (/^OK \d+\n$/.test(answer)) resolve();
    else if (answer.includes("\n") || answer.length > answerBytesMax)
      reject(new Error("what answers there does not speak the vsock handshake"));
  };
  const ended = (): void => reject(new GuestRefused(`no agent listens on port ${port} of the guest`));
  const aborted = (): void => reject(signal?.reason);
  signal?.addEventListener("abort", aborted);
  guest.on("error", reject).on("data", take).on("close", ended).on("end", ended);
  guest.once("connect", () => guest.write(`CONNECT ${port}\n`));
  try {
    await promise;
    guest.off("data", take).pause();
    return guest;
  } catch (error) {
    guest.destroy();
    throw error;
  } finally {
    guest.off("close", ended).off("end", ended);
    signal?.removeEventListener("abort", aborted);
  }
}
