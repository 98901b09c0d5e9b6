/**
 * The one error type of the program.
 *
 * Code switches on `kind`; people read `message`, which follows one form:
 * *cannot <do> <thing>: <state>; <what to do>*.
 */

/**
 * - `missing`: the file, feature or daemon is not there.
 * - `denied`: it is there, but we may not use it.
 * - `malformed`: text that does not have the form its documentation promises.
 * - `invalid`: a person's input that is refused; `problems` lists every reason.
 * - `unsupported`: this kernel does not know the request.
 * - `vanished`: a cgroup died under us. Normal life, never logged as an error.
 * - `busy`: somebody else has it (a second daemon, a run under way).
 * - `io`: everything else that the operating system refused.
 */
export type FaultKind = "missing" | "denied" | "malformed" | "invalid" | "unsupported" | "vanished" | "busy" | "io";

export class Fault extends Error {
  readonly kind: FaultKind;
  /** Every problem of an input, one line each; for other kinds the message alone. */
  readonly problems: readonly string[];

  constructor(kind: FaultKind, message: string, options: { problems?: readonly string[]; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Fault";
    this.kind = kind;
    this.problems = options.problems ?? [message];
  }
}

/** True for a Fault, and with `kind` only for one of that kind. */
export function isFault(error: unknown, kind?: FaultKind): error is Fault {
  return error instanceof Fault && (kind === undefined || error.kind === kind);
}

/** The errno name (`"ENOENT"`) of an error thrown by node:fs, or null. */
export function errnoOf(error: unknown): string | null {
  if (typeof error !== "object" || error === null || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

const kindOfErrno: Readonly<Record<string, FaultKind>> = {
  ENOENT: "missing",
  ENOTDIR: "missing",
  ENXIO: "missing",
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  ENODEV: "vanished",
  EINVAL: "unsupported",
  EOPNOTSUPP: "unsupported",
  EBUSY: "busy",
  EADDRINUSE: "busy",
};

/** What a person makes of an errno name; where something can be done about it, with that. */
const stateOfErrno: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EISDIR: "it is a folder; name a file",
  EACCES: "permission denied; run this as root",
  EPERM: "not permitted; run this as root",
  EROFS: "the file system can only be read; choose another place",
  ENOSPC: "no space left; make room",
  EMFILE: "too many open files; raise the limit of the process",
};

/** Wraps what node:fs threw. `doing` completes "cannot …", such as `read /proc/meminfo`. */
export function faultFrom(error: unknown, doing: string, kind?: FaultKind): Fault {
  if (error instanceof Fault) return error;
  const errno = errnoOf(error);
  const state = stateOfErrno[errno ?? ""];
  const text = errno === null ? messageOf(error) : state === undefined ? errno : `${errno}, ${state}`;
  return new Fault(kind ?? kindOfErrno[errno ?? ""] ?? "io", `cannot ${doing}: ${text}`, { cause: error });
}

/** The text of whatever was thrown, for a log line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a reader says; null where it ends in a Fault, for what is only shown. Anything else it throws is a flaw of ours. */
export function nullIfFault<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (isFault(error)) return null;
    throw error;
  }
}
