/** The host's end of a guest's command port. The guest's end is root/guest-server, which says what the lines mean. */

import { createServer, type Server, type Socket } from "node:net";

export interface Answer {
  /** As a shell reports it: 128 and the signal's number where a signal ended the command. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Job {
  readonly id: number;
  /** The process (and process group) of the command in the guest. */
  readonly started: Promise<number>;
  readonly done: Promise<Answer>;
}

interface Waiting {
  readonly started: PromiseWithResolvers<number>;
  readonly done: PromiseWithResolvers<Answer>;
}

export type PortLine =
  | { readonly kind: "ready" }
  | { readonly kind: "started"; readonly id: number; readonly pid: number }
  | { readonly kind: "done"; readonly id: number; readonly answer: Answer };

/** One line from the guest; null for anything that is not of a known form. */
export function parsePortLine(line: string): PortLine | null {
  if (line === "ready") return { kind: "ready" };
  const started = /^started (\d+) (\d+)$/.exec(line);
  if (started !== null) return { kind: "started", id: Number(started[1]), pid: Number(started[2]) };
  const done = /^done (\d+) (\d+) ([A-Za-z0-9+/=]*) ([A-Za-z0-9+/=]*)$/.exec(line);
  if (done === null) return null;
  const [, id, status, out = "", err = ""] = done;
  const answer = { status: Number(status), stdout: decoded(out), stderr: decoded(err) };
  return { kind: "done", id: Number(id), answer };
}

function decoded(base64: string): string {
  return Buffer.from(base64, "base64").toString("utf8");
}

/** Listens on a unix socket before QEMU starts, so that the guest never finds the port without a host. */
export class CommandPort {
  readonly ready: Promise<void>;
  readonly #ready = Promise.withResolvers<void>();
  readonly #waiting = new Map<number, Waiting>();
  readonly #server: Server;
  #socket: Socket | null = null;
  #partial: Buffer[] = [];
  #nextId = 1;
  #failure: Error | null = null;

  private constructor(server: Server) {
    this.#server = server;
    this.ready = this.#ready.promise;
    this.#ready.promise.catch(() => undefined);
  }

  static async listen(path: string): Promise<CommandPort> {
    const server = createServer();
    const port = new CommandPort(server);
    server.on("connection", (socket) => {
      port.#socket = socket;
      socket.on("data", (part: Buffer) => port.#take(part));
      // Its end is the end of QEMU, which whoever started that sees too, and with the console to tell why.
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    return port;
  }

  /** Starts a shell script in the guest. */
  start(script: string): Job {
    const id = this.#nextId++;
    const waiting: Waiting = { started: Promise.withResolvers<number>(), done: Promise.withResolvers<Answer>() };
    // Whoever awaits them gets the failure; nobody has to.
    waiting.started.promise.catch(() => undefined);
    waiting.done.promise.catch(() => undefined);
    if (this.#failure !== null || this.#socket === null) {
      const failure = this.#failure ?? new Error("the guest has not connected");
      waiting.started.reject(failure);
      waiting.done.reject(failure);
    } else {
      this.#waiting.set(id, waiting);
      this.#socket.write(`run ${id} ${Buffer.from(script).toString("base64")}\n`);
    }
    return { id, started: waiting.started.promise, done: waiting.done.promise };
  }

  /** Every command that is not answered yet, and every later one, fails with this. The first failure stands. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#ready.reject(this.#failure);
    for (const waiting of this.#waiting.values()) {
      waiting.started.reject(this.#failure);
      waiting.done.reject(this.#failure);
    }
    this.#waiting.clear();
  }

  close(): void {
    this.fail(new Error("the guest was closed"));
    this.#socket?.destroy();
    this.#server.close();
  }

  #take(part: Buffer): void {
    let rest = part;
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      this.#partial.push(rest.subarray(0, end));
      this.#answer(parsePortLine(Buffer.concat(this.#partial).toString("latin1")));
      this.#partial = [];
      rest = rest.subarray(end + 1);
    }
    if (rest.length > 0) this.#partial.push(rest);
  }

  #answer(line: PortLine | null): void {
    if (line === null) return;
    if (line.kind === "ready") return this.#ready.resolve();
    const waiting = this.#waiting.get(line.id);
    if (line.kind === "started") return waiting?.started.resolve(line.pid);
    this.#waiting.delete(line.id);
    waiting?.done.resolve(line.answer);
  }
}
