/** Why a request is not carried out, and the status and body that say so. */
import { isFault, messageOf, type FaultKind } from "../base/fault.ts";
import type { ErrorAnswer } from "./routes.ts";

export class Refusal extends Error {
  readonly status: number;
  readonly problems: readonly string[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    message: string,
    options: { problems?: readonly string[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.name = "Refusal";
    this.status = status;
    this.problems = options.problems ?? [message];
    this.headers = options.headers ?? {};
  }
}

/** What the caller can correct is a 4xx, anything else a 500. */
const statusOfKind: Readonly<Record<FaultKind, number>> = {
  invalid: 422,
  malformed: 422,
  unsupported: 422,
  busy: 409,
  missing: 409,
  vanished: 409,
  denied: 500,
  io: 500,
};

/** The status for whatever a handler threw. */
export function statusOf(error: unknown): number {
  if (error instanceof Refusal) return error.status;
  return isFault(error) ? statusOfKind[error.kind] : 500;
}

/** The body for whatever a handler threw. What is no error of ours is a bug, whose text belongs into the log. */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof Refusal || isFault(error)) return { error: error.message, problems: error.problems };
  const message = "cannot answer: the daemon failed; see its log";
  return { error: message, problems: [message, messageOf(error)] };
}
