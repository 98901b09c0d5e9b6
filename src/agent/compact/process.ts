/**
 * One compaction: a child process, looked at every 50 ms while it lives, and killed when it must end.
 *
 * The system's pressure counts from when the child has said that it is ready. To start, it may have to read the program
 * from the disk: what that stalls is its own, and no other program's.
 */
import { sleep, type Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/fault.ts";
import { percentText } from "../../base/units.ts";
import type { CompactSettings } from "../../config/schema.ts";
import type { CompactEnd } from "../../core/compaction.ts";
import type { StallShare } from "../../core/pressure.ts";
import { ownExecutable } from "../../system/self.ts";
import { CompactGuard, guardWindowMs, type OwnPressure } from "./guard.ts";

const lookMs = 50;
/** How long a killed process may take before its end is no longer waited for. The agent's own end allows a second. */
export const killGraceMs = 400;
const errorCharsMax = 1000;

/** A started process, as far as a compaction needs it. */
export interface CompactChild {
  readonly pid: number;
  /** Resolves when the process is about to compact. Never rejects, and may never resolve. */
  readonly ready: Promise<void>;
  /** Resolves with null after exit status 0, else with what went wrong. Never rejects. */
  readonly ended: Promise<string | null>;
  /** SIGKILL. */
  kill(): void;
}

export type SpawnChild = (command: readonly string[]) => CompactChild;

/**
 * Starts a process without a shell, and with nothing of our environment but the word to Bun that it ends with us:
 * killed with SIGKILL we could not end it ourselves.
 */
export const spawnCompactChild: SpawnChild = (command) => {
  const [program = "", ...words] = command;
  // The file of that name may be another by now, or gone: an update replaces it under us.
  const child = Bun.spawn([program === process.execPath ? ownExecutable(program) : program, ...words], {
    cwd: "/",
    env: { BUN_FEATURE_FLAG_NO_ORPHANS: "1" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  return { pid: child.pid, ready: firstBytes(child.stdout), ended: endOf(child), kill: () => child.kill("SIGKILL") };
};

async function firstBytes(stdout: ReadableStream<Uint8Array>): Promise<void> {
  const { done } = await stdout.getReader().read();
  // One that ended without a word is known by its end.
  if (done) await new Promise(() => {});
}

async function endOf(child: Bun.Subprocess<"ignore", "pipe", "pipe">): Promise<string | null> {
  const [said, status] = await Promise.all([new Response(child.stderr).text().catch(messageOf), child.exited]);
  if (status === 0 && child.signalCode === null) return null;
  const how = child.signalCode === null ? `exit ${status}` : `killed by ${child.signalCode}`;
  return said.trim() === "" ? how : `${how}: ${said.trim().slice(0, errorCharsMax)}`;
}

export interface CompactionOutcome {
  readonly end: CompactEnd;
  /** What went wrong; null unless `end` is "failed". */
  readonly error: string | null;
  /** Which pressure ended it, and how much that was; null unless `end` is "pressure". */
  readonly stall: string | null;
  /** The process if it was killed and has not ended yet. */
  readonly lingering: CompactChild | null;
}

export interface CompactionOrder {
  readonly root: string;
  readonly clock: Clock;
  readonly spawn: SpawnChild;
  readonly command: readonly string[];
  readonly settings: CompactSettings;
  /** Whose stall does not count; null where nobody's is told apart. */
  readonly own: OwnPressure | null;
  /** Aborted: the agent ends. */
  readonly signal: AbortSignal;
  /** Called once with the process when there is one. */
  readonly onStart: (child: CompactChild) => void;
}

/** Compacts, and resolves when that has ended or was ended. Faults: as `readSystemStall`, and then nothing was started. */
export async function compactGuarded(order: CompactionOrder): Promise<CompactionOutcome> {
  const { clock } = order;
  using guard = new CompactGuard(order.root, clock, order.settings.psi_percent_limit, order.own);
  let child: CompactChild;
  try {
    child = order.spawn(order.command);
  } catch (error) {
    return { end: "failed", error: `cannot start the process: ${messageOf(error)}`, stall: null, lingering: null };
  }
  order.onStart(child);

  const gone = new AbortController();
  const ended = child.ended.finally(() => gone.abort());
  const ready = new AbortController();
  void child.ready.then(() => ready.abort());
  const cut = await watch(order, guard, ready.signal, gone.signal);
  if (cut === null) {
    const error = await ended;
    return { end: error === null ? "done" : "failed", error, stall: null, lingering: null };
  }
  child.kill();
  await sleep(clock, killGraceMs, gone.signal);
  return { ...cut, lingering: gone.signal.aborted ? null : child };
}

type Cut = Omit<CompactionOutcome, "lingering">;

/** Looks until the process is gone (null) or must be killed. Bounded by sec_max. */
async function watch(
  order: CompactionOrder,
  guard: CompactGuard,
  ready: AbortSignal,
  gone: AbortSignal,
): Promise<Cut | null> {
  const { clock, settings, signal } = order;
  const limit = settings.psi_percent_limit;
  const deadlineMs = clock.monotonicMs() + settings.sec_max * 1000;
  const wake = AbortSignal.any([gone, signal]);
  let watching = false;
  for (;;) {
    await sleep(clock, Math.min(lookMs, deadlineMs - clock.monotonicMs()), wake);
    if (gone.aborted) return null;
    if (signal.aborted) return { end: "stopped", error: null, stall: null };
    if (clock.monotonicMs() >= deadlineMs) return { end: "timeout", error: null, stall: null };
    if (!ready.aborted) continue;
    try {
      if (!watching) guard.restart();
      watching = true;
      const stall = guard.above();
      if (stall !== null) return { end: "pressure", error: null, stall: stallText(stall, limit) };
    } catch (error) {
      // Unwatched it must not go on.
      return { end: "failed", error: messageOf(error), stall: null };
    }
  }
}

function stallText({ resource, percent }: StallShare, limitPercent: number): string {
  return (
    `/proc/pressure/${resource}: ${percentText(percent)} of the last ${guardWindowMs} ms and more ` +
    `(psi_percent_limit ${percentText(limitPercent)})`
  );
}
