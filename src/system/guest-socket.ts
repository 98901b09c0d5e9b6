/**
 * The way to an agent in a guest, from the host. Over vsock(7) where the VMM uses the kernel's (QEMU); where it gives
 * vsock as a unix socket (Firecracker, Cloud Hypervisor, Kata): connect, send `CONNECT PORT\n`, read `OK N\n`; from then
 * on it is the connection. See docs/vsock.md of Firecracker.
 *
 * `fetch` can do neither, so it is given a unix socket of our own that is joined to the connection.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GuestAddress } from "../base/address.ts";
import { connectOn, splice, type Spliced, splicing, unspliced } from "./splice.ts";
import { connectVsock } from "./vsock.ts";

/** Firecracker answers with the host port, at most `OK 4294967295\n`. */
const answerBytesMax = 32;

/** The VMM is there, and the guest behind it does not take the connection. */
export class GuestRefused extends Error {
  override readonly name = "GuestRefused";
}

type Connection = Bun.Socket<Spliced>;

/** A socket for one request to the guest. */
export class GuestSocket implements AsyncDisposable {
  readonly path: string;
  readonly #folder: string;
  readonly #server: Bun.UnixSocketListener<Spliced>;
  readonly #guest: Connection;

  private constructor(folder: string, path: string, server: Bun.UnixSocketListener<Spliced>, guest: Connection) {
    this.#folder = folder;
    this.path = path;
    this.#server = server;
    this.#guest = guest;
  }

  /** Errors: those of connect(2), GuestRefused, the signal's reason. */
  static async open(address: GuestAddress, signal: AbortSignal | null): Promise<GuestSocket> {
    const guest =
      address.kind === "vsock"
        ? await connectOn(await connectVsock(address.cid, address.port, signal))
        : await throughVmm(address.path, address.port, signal);
    guest.pause();
    let folder: string | null = null;
    try {
      // mkdtemp makes it with mode 0700: nobody else gets to the guest through it.
      folder = await mkdtemp(join(tmpdir(), "mem-agent-"));
      const path = join(folder, "guest.sock");
      return new GuestSocket(folder, path, joinedTo(guest, path), guest);
    } catch (error) {
      guest.terminate();
      if (folder !== null) await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#guest.terminate();
    this.#server.stop(true);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** There is one connection to the guest, so one client is served. */
function joinedTo(guest: Connection, path: string): Bun.UnixSocketListener<Spliced> {
  return Bun.listen<Spliced>({
    unix: path,
    allowHalfOpen: true,
    socket: {
      ...splicing,
      open(client) {
        client.data = unspliced();
        if (guest.data.other !== null || guest.data.closed) client.terminate();
        else splice(client, guest);
      },
    },
  });
}

async function throughVmm(path: string, port: number, signal: AbortSignal | null): Promise<Connection> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const aborted = (): void => reject(signal?.reason);
  const ended = (): void => reject(new GuestRefused(`no agent listens on port ${port} of the guest`));
  promise.catch(() => null);
  let answer = "";
  const handshake: Bun.SocketHandler<Spliced> = {
    open: (guest) => void guest.write(`CONNECT ${port}\n`),
    data: (_guest, bytes) => {
      answer += bytes.toString("latin1");
      if (/^OK \d+\n$/.test(answer)) resolve();
      else if (answer.includes("\n") || answer.length > answerBytesMax)
        reject(new Error("what answers there does not speak the vsock handshake"));
    },
    end: ended,
    close: ended,
    error: (_guest, error) => reject(error),
  };
  const guest = await Bun.connect<Spliced>({ unix: path, data: unspliced(), allowHalfOpen: true, socket: handshake });
  signal?.addEventListener("abort", aborted);
  try {
    await promise;
    guest.reload({ socket: splicing });
    return guest;
  } catch (error) {
    guest.terminate();
    throw error;
  } finally {
    signal?.removeEventListener("abort", aborted);
  }
}
