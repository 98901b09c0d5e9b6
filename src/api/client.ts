/**
 * Asks a daemon over its socket. Loads nothing but the route table: a control command shall take milliseconds.
 *
 * Answers are believed, not validated: they come from the same program, and a daemon of another version is pointed out.
 */
import { parseAgentAddr, type AgentAddress, type GuestAddress } from "../base/address.ts";
import { errnoOf, Fault, faultFrom, isFault, messageOf, type FaultKind } from "../base/fault.ts";
import { escapeControls } from "../base/log-line.ts";
import { hasService } from "../system/running-daemon.ts";
import {
  routes,
  versionHeader,
  type AnswerOf,
  type BodyOf,
  type ErrorAnswer,
  type EventLine,
  type RouteName,
} from "./routes.ts";

/** No daemon answers at the address: exit code 3. */
export class NoDaemon extends Fault {
  constructor(place: string, state: string, cause: unknown, remedy = startText("/")) {
    super("missing", `cannot reach mem-agent at ${place}: ${state}; ${remedy}`, { cause });
    this.name = "NoDaemon";
  }
}

/** How a person starts it here. Under systemd the daemon may be running, and only its socket's file be gone. */
export function startText(root: string): string {
  return `start it with "${hasService(root) ? "systemctl restart mem-agent" : "mem-agent serve"}"`;
}

/** Something listens there, and it is no mem-agent. */
export class NoMemAgent extends NoDaemon {}

/** The daemon refused (a 4xx), with every problem that it named: exit code 4. */
export class Refused extends Fault {
  readonly status: number;

  constructor(status: number, kind: FaultKind, answer: ErrorAnswer) {
    super(kind, answer.error, { problems: answer.problems });
    this.name = "Refused";
    this.status = status;
  }
}

export interface CallOptions<Name extends RouteName> {
  readonly body?: BodyOf<Name>;
  /** Also write the change into the daemon's configuration file. */
  readonly save?: boolean;
  /** How long to wait for the answer; null waits for ever. 10 s, and for ever for `run` and `giveback`, where it is left out. */
  readonly timeoutMs?: number | null;
  readonly signal?: AbortSignal;
  /** The caller's version: a daemon of another one is reported to `warn`. */
  readonly version?: string;
  readonly warn?: (message: string) => void;
}

const answerMs = 10_000;
const eventLineLengthMax = 4 * 1024 * 1024;

/**
 * The daemon's answer to one request. `addr` is `unix:///path`, a path, `vsock://CID:PORT` or
 * `hvsock:///path:PORT`.
 * NoDaemon when nobody is there, Refused for a 4xx, Fault `denied` without permission, Fault `io` for everything else.
 */
export async function call<Name extends Exclude<RouteName, "events">>(
  addr: string,
  name: Name,
  options: CallOptions<Name> = {},
): Promise<AnswerOf<Name>> {
  await using reached = await ask(addr, name, options);
  const { response } = reached;
  try {
    const answer: unknown = routes[name].form === "text" ? await response.text() : await response.json();
    return answer as AnswerOf<Name>;
  } catch (error) {
    throw faultFrom(error, `read the daemon's answer to ${routes[name].path}`, "io");
  }
}

/** What happens, as it happens, until `signal` aborts, the caller stops iterating, or the daemon stops. */
export async function* callEvents(
  addr: string,
  options: CallOptions<"events"> = {},
): AsyncGenerator<EventLine, void, undefined> {
  await using reached = await ask(addr, "events", { ...options, timeoutMs: options.timeoutMs ?? null });
  const { response, place } = reached;
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const chunk of response.body ?? []) {
      const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > eventLineLengthMax) throw new Fault("malformed", "cannot read events: a line has no end");
      for (const line of lines) if (line !== "") yield JSON.parse(line) as EventLine;
    }
  } catch (error) {
    if (options.signal?.aborted === true) return;
    throw faultFrom(error, `go on reading events from ${place}`, "io");
  }
}

/** An answer whose body is still to be read; disposed of when it is. */
interface Reached extends AsyncDisposable {
  readonly response: Response;
  /** Where it came from, for messages. */
  readonly place: string;
}

async function ask<Name extends RouteName>(addr: string, name: Name, options: CallOptions<Name>): Promise<Reached> {
  const address = parseAgentAddr(addr);
  const timeoutMs = options.timeoutMs === undefined ? (isLong(name) ? null : answerMs) : options.timeoutMs;
  const signals = [options.signal, timeoutMs === null ? undefined : AbortSignal.timeout(timeoutMs)].filter(
    (signal) => signal !== undefined,
  );
  const signal = signals.length === 0 ? null : AbortSignal.any(signals);
  const place = address.kind === "unix" ? address.path : addr;
  await using cleanup = new AsyncDisposableStack();
  let response: Response;
  try {
    const path = address.kind === "unix" ? address.path : cleanup.use(await openGuest(address, signal)).path;
    response = await request(path, name, options, signal);
  } catch (error) {
    throw unreachable(error, place, { name, timeoutMs, address });
  }
  const theirs = response.headers.get(versionHeader);
  // What it says is not ours to repeat: it may be a page of anything.
  if (theirs === null) {
    const remedy = "name the socket of mem-agent with --addr";
    throw new NoMemAgent(place, "what answers there is no mem-agent", null, remedy);
  }
  pointOutVersion(theirs, options);
  if (!response.ok) throw await refused(response);
  const kept = cleanup.move();
  return { response, place, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Takes as long as it takes. */
function isLong(name: RouteName): boolean {
  return name === "run" || name === "giveback";
}

async function openGuest(address: GuestAddress, signal: AbortSignal | null) {
  const { GuestSocket } = await import("../system/guest-socket.ts");
  return GuestSocket.open(address, signal);
}

async function request<Name extends RouteName>(
  socketPath: string,
  name: Name,
  options: CallOptions<Name>,
  signal: AbortSignal | null,
): Promise<Response> {
  const { method, path } = routes[name];
  const headers: Record<string, string> = { host: "localhost" };
  if (options.body !== undefined) headers["content-type"] = "application/json";
  return fetch(`http://localhost${path}${options.save === true ? "?save=true" : ""}`, {
    unix: socketPath,
    method,
    headers,
    // Bun gives up after five silent minutes of its own; a run may take longer.
    timeout: false,
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    ...(signal === null ? {} : { signal }),
  } as RequestInit);
}

interface Asked {
  readonly name: RouteName;
  readonly timeoutMs: number | null;
  readonly address: AgentAddress;
}

function unreachable(error: unknown, place: string, { name, timeoutMs, address }: Asked): Fault {
  const errno = errnoOf(error) ?? errnoOf(error instanceof Fault ? error.cause : null);
  const state = address.kind === "unix" ? unixStates[errno ?? ""] : guestState(error, errno, address);
  if (state !== undefined) {
    const [what, remedy] = typeof state === "string" ? [state] : state;
    return new NoDaemon(place, what, error, remedy);
  }
  if (errno === "EACCES" || errno === "EPERM") {
    const message = `cannot reach mem-agent at ${place}: permission denied; run this as root`;
    return new Fault("denied", message, { cause: error });
  }
  if (error instanceof Error && error.name === "TimeoutError") {
    return new Fault(
      "io",
      `cannot reach mem-agent at ${place}: no answer within ${(timeoutMs ?? 0) / 1000} s; see its log`,
    );
  }
  // What is no HTTP comes from something else; but a daemon may have ended while it was at something long.
  if (isLong(name) && errno === "ECONNRESET") {
    return new Fault("io", `cannot wait for mem-agent at ${place}: it ended before it finished; see its log`);
  }
  if (errno === "ECONNRESET" || errno === "EPIPE" || /HTTP/i.test(errno ?? "")) {
    const what = "what is there gives no answer that a mem-agent gives";
    return new NoMemAgent(place, what, error, "name the socket of mem-agent with --addr, or see its log");
  }
  return new Fault("io", `cannot reach mem-agent at ${place}: ${errno ?? messageOf(error)}; see its log`, {
    cause: error,
  });
}

/** Why nobody is there, and what to do where that is not to start the daemon. */
type Absence = string | readonly [state: string, remedy: string];

const unixStates: Readonly<Record<string, Absence>> = {
  ENOENT: "there is no such socket",
  ENOTDIR: "there is no such socket",
  ECONNREFUSED: "nobody listens there",
};

function guestState(error: unknown, errno: string | null, address: GuestAddress): Absence | undefined {
  const listening = `no agent listens on port ${address.port} of the guest`;
  const open = `set control.vsock = "vsock://:${address.port}" in the guest`;
  if (error instanceof Error && error.name === "GuestRefused") return [listening, open];
  if (errno === "ECONNRESET") return address.kind === "vsock" && isFault(error) ? [listening, open] : closed;
  if (address.kind === "hvsock") {
    const remedy = "see that the VM runs and has a vsock device with this socket";
    const state = unixStates[errno ?? ""];
    return typeof state === "string" ? [state, remedy] : undefined;
  }
  if (isFault(error, "unsupported")) return ["this kernel has no vsock", "modprobe vhost_vsock"];
  return vsockStates[errno ?? ""];
}

const closed: Absence = [
  "it closed the connection without a word",
  "see that control.vsock_peers in the guest names this machine",
];
const noGuest: Absence = ["no VM has this context id", "see that the VM runs, and what its vsock option says"];
const vsockStates: Readonly<Record<string, Absence>> = {
  ENODEV: noGuest,
  ENETUNREACH: noGuest,
  EHOSTUNREACH: noGuest,
  EADDRNOTAVAIL: noGuest,
  ETIMEDOUT: noGuest,
  ECONNREFUSED: ["it refuses the connection", "see that the guest has booted"],
};

function pointOutVersion(theirs: string, { version, warn }: Pick<CallOptions<RouteName>, "version" | "warn">): void {
  if (version === undefined || theirs === version) return;
  warn?.(`the daemon is version ${escapeControls(theirs)}, this command ${version}; restart the daemon`);
}

const kindOfStatus: Readonly<Record<number, FaultKind>> = {
  400: "malformed",
  403: "denied",
  404: "missing",
  409: "busy",
};

async function refused(response: Response): Promise<Fault> {
  const { status } = response;
  const answer = errorAnswerOf(await response.text().catch(() => "")) ?? {
    error: `cannot do that: the daemon answered ${status} without a reason; see its log`,
    problems: [],
  };
  if (status >= 500) return new Fault("io", answer.error, { problems: answer.problems });
  return new Refused(status, kindOfStatus[status] ?? "invalid", answer);
}

function errorAnswerOf(text: string): ErrorAnswer | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("error" in value) || !("problems" in value)) return null;
    const { error, problems } = value;
    if (typeof error !== "string" || !Array.isArray(problems)) return null;
    return { error, problems: problems.map(String) };
  } catch {
    return null;
  }
}
