/** The live event stream of one client: bounded, however slowly it reads. */
import { jsonText } from "../base/log-line.ts";
import type { TimedEvent } from "../agent/events.ts";
import type { EventLine } from "./routes.ts";

/** Lines kept for a slow reader beyond what the socket holds; what comes then is counted, not kept. */
const waitingLinesMax = 256;

/**
 * How often an empty line is sent. Bun closes a connection that was silent for `idleTimeout` (12 s), and a client that
 * is gone shows itself only when something is written.
 */
const signOfLifeMs = 5000;

export interface EventStream {
  readonly body: ReadableStream<Uint8Array>;
  /** Ends the stream; harmless when it has ended. */
  close(): void;
}

/**
 * A stream of one JSON object a line for each event that `listen` delivers, until the client or `close` ends it.
 * Throws what `listen` throws (Fault `busy` when too many listen). `closed` is called once, however it ended.
 */
export function eventStream(
  listen: (listener: (event: TimedEvent) => void) => () => void,
  wallMs: () => number,
  closed: () => void,
): EventStream {
  const waiting: Uint8Array[] = [];
  const encoder = new TextEncoder();
  let lost = 0;
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null;

  const lineOf = (line: EventLine): Uint8Array => encoder.encode(`${jsonText(line)}\n`);
  const hasRoom = (): boolean => (controller?.desiredSize ?? 0) > 0;

  const drain = (): void => {
    while (waiting.length > 0 && hasRoom()) controller?.enqueue(waiting.shift());
    if (lost === 0 || !hasRoom()) return;
    controller?.enqueue(lineOf({ time: new Date(wallMs()).toISOString(), event: "lost", count: lost }));
    lost = 0;
  };
  const unlisten = listen((event) => {
    if (waiting.length >= waitingLinesMax) lost += 1;
    else waiting.push(lineOf(event));
    drain();
  });
  const beat = setInterval(() => {
    if (hasRoom()) controller?.enqueue(encoder.encode("\n"));
  }, signOfLifeMs);

  const end = (): void => {
    if (controller === null) return;
    controller = null;
    clearInterval(beat);
    unlisten();
    closed();
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start(own) {
        controller = own;
        // Headers go out with the first byte: without it a client could not tell that it is being heard.
        own.enqueue(encoder.encode("\n"));
      },
      pull: drain,
      cancel: end,
    },
    { highWaterMark: 16 },
  );
  const close = (): void => {
    const own = controller;
    // What nobody had room for yet is still sent: the last line says why it ends.
    for (const line of waiting.splice(0)) own?.enqueue(line);
    end();
    own?.close();
  };
  return { body, close };
}
