/** The routes over HTTP and JSON, answered from a DaemonControl: on the control socket, and behind the door for the host. */
import type { DaemonControl } from "../agent/control.ts";
import type { Clock } from "../base/clock.ts";
import { jsonText } from "../base/log-line.ts";
import type { Logger } from "../base/log.ts";
import { answers } from "./answers.ts";
import { readJson } from "./body.ts";
import { eventStream, type EventStream } from "./event-stream.ts";
import { admit } from "./gate.ts";
import { listen, listenHidden, type Listener } from "./listener.ts";
import { errorAnswer, Refusal, statusOf } from "./refusal.ts";
import type { MetricsText } from "./metrics.ts";
import { routes, versionHeader, type AnswerForm, type RouteName } from "./routes.ts";

export interface ServeOptions {
  readonly daemon: DaemonControl;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called for each request. */
  readonly asked?: () => void;
  /** Why those who come in here may change nothing; null where they may. */
  readonly readOnly?: () => string | null;
}

export interface SocketServer extends Pick<Listener, "path" | "ensurePresent"> {
  /** Ends event streams, lets requests under way be answered for half a second, and removes the socket. */
  stop(): Promise<void>;
}

/**
 * Bun refuses what is larger without an answer that says why; ours comes first for anything that a person would send by
 * mistake, and ends the connection.
 */
const bunBodyBytesMax = 64 * 1024 * 1024;
const stopGraceMs = 500;

const contentTypes: Readonly<Record<AnswerForm, string>> = {
  json: "application/json",
  lines: "application/jsonl",
  text: "text/plain; version=0.0.4; charset=utf-8",
};

/**
 * Serves `daemon` at `path` (from `parseAddr`), mode 0600. Fault `busy` when a daemon lives there already, `denied` when something that is no
 * socket is in its place.
 */
export async function serveSocket(options: ServeOptions & { readonly path: string }): Promise<SocketServer> {
  const serving = servingOf(options);
  const listener = await listen(options.path, (path) => serveRoutes(path, serving));
  return {
    path: listener.path,
    ensurePresent: () => listener.ensurePresent(),
    stop: () => stopServing(serving, listener),
  };
}

/** As `serveSocket`, on a socket without a name, which only this process reaches, at `path`. Fault `denied`, `io`. */
export function serveHidden(
  options: ServeOptions & { readonly directory: string },
): Omit<SocketServer, "ensurePresent"> {
  const serving = servingOf(options);
  const listener = listenHidden(options.directory, (path) => serveRoutes(path, serving));
  return { path: listener.path, stop: () => stopServing(serving, listener) };
}

function servingOf(options: ServeOptions): Serving {
  return { ...options, streams: new Set(), metrics: metricsWhenAsked() };
}

function serveRoutes(path: string, serving: Serving): Bun.Server<undefined> {
  return Bun.serve({
    // Bun closes a connection after 10 silent seconds, and gives a request's head as long, however it drips in.
    unix: path,
    maxRequestBodySize: bunBodyBytesMax,
    development: false,
    fetch: (request) => answer(request, serving),
    error: (error) => failure(error, serving),
  });
}

async function stopServing({ streams }: Serving, listener: Pick<Listener, "stop">): Promise<void> {
  for (const stream of streams) stream.close();
  await listener.stop(stopGraceMs);
}

interface Serving extends ServeOptions {
  readonly streams: Set<EventStream>;
  readonly metrics: () => Promise<MetricsText>;
}

/** Loaded with the first scrape: a daemon that nobody scrapes does not pay for it. */
function metricsWhenAsked(): () => Promise<MetricsText> {
  let loaded: Promise<MetricsText> | null = null;
  return () => (loaded ??= import("./metrics.ts").then(({ MetricsText }) => new MetricsText()));
}

async function answer(request: Request, serving: Serving): Promise<Response> {
  serving.asked?.();
  try {
    const { name, save } = admit({
      method: request.method,
      url: request.url,
      header: (name) => request.headers.get(name),
    });
    const closed = routes[name].method === "GET" ? null : (serving.readOnly?.() ?? null);
    if (closed !== null) throw readOnlyRefusal(`${request.method} ${routes[name].path}`, closed);
    if (name === "events") return respond(name, serving, openStream(serving));
    const body = await readJson(request.body);
    if (body !== null && routes[name].body === null && !isEmptyObject(body)) {
      throw new Refusal(400, `cannot ${request.method} ${routes[name].path} with a body: it takes none; leave it out`);
    }
    const value = await answers[name](serving.daemon, { body, save, metrics: serving.metrics });
    return respond(name, serving, typeof value === "string" ? value : `${jsonText(value)}\n`);
  } catch (error) {
    return failure(error, serving);
  }
}

function readOnlyRefusal(what: string, why: string): Refusal {
  // What the body says is not read, so the connection ends with it.
  return new Refusal(403, `cannot ${what}: ${why}`, { headers: { connection: "close" } });
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function openStream({ daemon, clock, streams }: Serving): ReadableStream<Uint8Array> {
  const stream = eventStream(
    (listener) => daemon.onEvent(listener),
    () => clock.wallMs(),
    () => streams.delete(stream),
  );
  streams.add(stream);
  return stream.body;
}

function respond(name: RouteName, { daemon }: Serving, body: string | ReadableStream<Uint8Array>): Response {
  return new Response(body, {
    headers: {
      "content-type": contentTypes[routes[name].form],
      [versionHeader]: daemon.version,
      "cache-control": "no-store",
    },
  });
}

function failure(error: unknown, { daemon, log }: Serving): Response {
  const status = statusOf(error);
  const { error: message, problems } = errorAnswer(error);
  if (status >= 500) log.error("a request failed", { status, why: error instanceof Error ? error.stack : error });
  else log.debug("a request was refused", { status, why: message });
  return new Response(`${jsonText({ error: message, problems })}\n`, {
    status,
    headers: {
      "content-type": contentTypes.json,
      [versionHeader]: daemon.version,
      ...(error instanceof Refusal ? error.headers : {}),
    },
  });
}
