/**
 * Two sockets made into one connection: what one says the other hears, at the pace of the slower, and the end of one is
 * the end of the other once all is said. No more than one piece of a read is held for either.
 */
import { closeSync } from "node:fs";

export interface Spliced {
  /** Null until the other end is there; the socket is paused as long. */
  other: Bun.Socket<Spliced> | null;
  /** What this socket has still to take. */
  rest: Uint8Array | null;
  /** The other will say no more: once `rest` is out, so will we. */
  lastWord: boolean;
  closed: boolean;
}

export function unspliced(): Spliced {
  return { other: null, rest: null, lastWord: false, closed: false };
}

/** Joins two sockets that `splicing` handles. */
export function splice(one: Bun.Socket<Spliced>, other: Bun.Socket<Spliced>): void {
  one.data.other = other;
  other.data.other = one;
  one.resume();
  other.resume();
}

export const splicing = {
  data(socket: Bun.Socket<Spliced>, bytes: Uint8Array): void {
    const { other } = socket.data;
    if (other === null) return;
    const taken = Math.max(0, other.write(bytes));
    if (taken === bytes.length) return;
    // The buffer is the runtime's, and used again.
    other.data.rest = bytes.slice(taken);
    socket.pause();
  },

  drain(socket: Bun.Socket<Spliced>): void {
    const { rest, other } = socket.data;
    if (rest !== null) {
      const taken = Math.max(0, socket.write(rest));
      socket.data.rest = taken === rest.length ? null : rest.subarray(taken);
      if (socket.data.rest !== null) return;
    }
    if (socket.data.lastWord) socket.end();
    else other?.resume();
  },

  end(socket: Bun.Socket<Spliced>): void {
    finish(socket);
  },

  close(socket: Bun.Socket<Spliced>): void {
    socket.data.closed = true;
    finish(socket);
  },

  error(socket: Bun.Socket<Spliced>): void {
    socket.terminate();
  },
};

function finish(socket: Bun.Socket<Spliced>): void {
  const { other } = socket.data;
  if (other === null || other.data.lastWord || other.data.closed) return;
  other.data.lastWord = true;
  if (other.data.rest === null) other.end();
}

/** Accepts on a socket that listens; it is the listener's from here on. The types of Bun know no such option. */
export function acceptOn(fd: number, socket: Bun.SocketHandler<Spliced>): Bun.TCPSocketListener<Spliced> {
  try {
    const options = { fd, allowHalfOpen: true, socket };
    return Bun.listen<Spliced>(options as unknown as Bun.TCPSocketListenOptions<Spliced>);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Reads and writes a socket that is connected; it is the connection's from here on. */
export async function connectOn(fd: number): Promise<Bun.Socket<Spliced>> {
  try {
    const options = { fd, data: unspliced(), allowHalfOpen: true, socket: splicing };
    return await Bun.connect<Spliced>(options as unknown as Bun.TCPSocketConnectOptions<Spliced>);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The types of Bun leave it out. */
export function descriptorOf(socket: Bun.Socket<Spliced>): number {
  return (socket as Bun.Socket<Spliced> & { readonly fd: number }).fd;
}
