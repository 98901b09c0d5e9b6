/** Asks many guests at once, and no guest longer than its own time-out. */
import { isFault, messageOf } from "../../base/fault.ts";
import { exitCodes, Failure } from "../failure.ts";
import type { FleetGuest } from "./guests.ts";

export interface Gathered<Answer> {
  readonly guest: FleetGuest;
  readonly answer: Answer | null;
  /** Why there is no answer, null where there is one. */
  readonly error: string | null;
  /** What the command would end with, were this its only guest. */
  readonly exitCode: number;
}

/** So many are asked at a time. */
const askedMax = 64;

/** The answer of each guest, or why there is none, in their order. Never throws for a guest's sake. */
export async function gather<Answer>(
  guests: readonly FleetGuest[],
  ask: (guest: FleetGuest) => Promise<Answer>,
): Promise<Gathered<Answer>[]> {
  const gathered: Gathered<Answer>[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < guests.length; at = next++) {
      const guest = guests[at];
      if (guest !== undefined) gathered[at] = await askOne(guest, ask);
    }
  };
  await Promise.all(Array.from({ length: Math.min(askedMax, guests.length) }, worker));
  return gathered;
}

async function askOne<Answer>(
  guest: FleetGuest,
  ask: (guest: FleetGuest) => Promise<Answer>,
): Promise<Gathered<Answer>> {
  try {
    return { guest, answer: await ask(guest), error: null, exitCode: exitCodes.done };
  } catch (error) {
    if (!(error instanceof Failure) && !isFault(error)) throw error;
    const lines = error instanceof Failure ? error.lines : error.problems;
    const exitCode = error instanceof Failure ? error.exitCode : exitCodes.failed;
    return { guest, answer: null, error: shortError(lines.join("; ") || messageOf(error), guest), exitCode };
  }
}

/** Without what the row says anyway. */
function shortError(text: string, { address }: FleetGuest): string {
  const start = `cannot reach mem-agent at ${address}: `;
  return text.startsWith(start) ? text.slice(start.length) : text;
}

/** The worst of all, so that a script sees that one of a hundred failed. */
export function worstExit(gathered: readonly Gathered<unknown>[]): number {
  return Math.max(exitCodes.done, ...gathered.map(({ exitCode }) => exitCode));
}
