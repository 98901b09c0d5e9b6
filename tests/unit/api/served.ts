/** A server on a socket of its own, and the means to speak to it byte by byte. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveSocket, type SocketServer } from "../../../src/api/server.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { FakeControl } from "./fake-control.ts";

export interface Served extends AsyncDisposable {
  readonly dir: string;
  readonly path: string;
  readonly daemon: FakeControl;
  readonly log: ReturnType<typeof recordingLog>;
  readonly server: SocketServer;
}

export function scratchDir(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "mem-agent-api-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function serve(): Promise<Served> {
  const dir = scratchDir();
  const path = join(dir.path, "run", "mem-agent.sock");
  const daemon = new FakeControl();
  const log = recordingLog();
  const server = await serveSocket({ path, daemon, log, clock: systemClock });
  return {
    dir: dir.path,
    path,
    daemon,
    log,
    server,
    async [Symbol.asyncDispose]() {
      await server.stop();
      dir[Symbol.dispose]();
    },
  };
}

/** Resolves when `condition` holds; throws after `deadlineMs`. */
export async function until(condition: () => boolean, deadlineMs = 5000): Promise<void> {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > deadlineMs) throw new Error(`not within ${deadlineMs} ms: ${condition.toString()}`);
    await Bun.sleep(5);
  }
}

/** Everything that the server says to these bytes, until it closes or says nothing for `quietMs` after its answer. */
export function exchange(path: string, bytes: string | Uint8Array, quietMs = 2000): Promise<string> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(path, () => socket.write(bytes));
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(said);
    };
    const timer = setTimeout(done, quietMs);
    socket.on("data", (chunk) => {
      said += chunk.toString("latin1");
    });
    socket.on("close", done);
    socket.on("error", done);
  });
}

/** A connection that says `bytes` and then stays. */
export function hold(path: string, bytes: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      if (bytes !== "") socket.write(bytes);
      resolve(socket);
    });
    socket.on("error", reject);
  });
}

export interface Asked {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: unknown;
}

export async function ask(path: string, target: string, init: RequestInit = {}): Promise<Asked> {
  const response = await fetch(`http://localhost${target}`, { ...init, unix: path } as RequestInit);
  const text = await response.text();
  let json: unknown = null;
  try {
    json = JSON.parse(text);
  } catch {
    // Not every answer is JSON.
  }
  return { status: response.status, headers: response.headers, text, json };
}
