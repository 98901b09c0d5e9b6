/** One compaction: a child process, looked at every 50 ms while it lives, and killed when it must end. */
import { sleep, type Clock } from "../../base/clock.ts";
import { messageOf } from "../../base/fault.ts";
import type { CompactSettings } from "../../config/schema.ts";
import type { CompactEnd } from "../../core/compaction.ts";
import { ownExecutable } from "../../system/self.ts";
import { CompactGuard } from "./guard.ts";

const lookMs = 50;
/** How long a killed process may take before its end is no longer waited for. The agent's own end allows a second. */
export const killGraceMs = 400;
const errorCharsMax = 1000;

/** A started process, as far as a compaction needs it. */
export interface CompactChild {
  readonly pid: number;
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
    stdout: "ignore",
    stderr: "pipe",
  });
  return { pid: child.pid, ended: endOf(child), kill: () => child.kill("SIGKILL") };
};

async function endOf(child: Bun.Subprocess<"ignore", "ignore", "pipe">): Promise<string | null> {
  const [said, status] = await Promise.all([new Response(child.stderr).text().catch(messageOf), child.exited]);
  if (status === 0 && child.signalCode === null) return null;
  const how = child.signalCode === null ? `exit ${status}` : `killed by ${child.signalCode}`;
  return said.trim() === "" ? how : `${how}: ${said.trim().slice(0, errorCharsMax)}`;
}

export interface CompactionOutcome {
  readonly end: CompactEnd;
  /** What went wrong; null unless `end` is "failed". */
  readonly error: string | null;
  /** The process if it was killed and has not ended yet. */
  readonly lingering: CompactChild | null;
}

export interface CompactionOrder {
  readonly root: string;
  readonly clock: Clock;
  readonly spawn: SpawnChild;
  readonly command: readonly string[];
  readonly settings: CompactSettings;
  /** Aborted: the agent ends. */
  readonly signal: AbortSignal;
  /** Called once with the process when there is one. */
  readonly onStart: (child: CompactChild) => void;
}

/** Compacts, and resolves when that has ended or was ended. Faults: as `readSystemStall`, and then nothing was started. */
export async function compactGuarded(order: CompactionOrder): Promise<CompactionOutcome> {
  const { clock } = order;
  using guard = new CompactGuard(order.root, clock, order.settings.psi_percent_limit);
  let child: CompactChild;
  try {
    child = order.spawn(order.command);
  } catch (error) {
    return { end: "failed", error: `cannot start the process: ${messageOf(error)}`, lingering: null };
  }
  order.onStart(child);

  const gone = new AbortController();
  const ended = child.ended.finally(() => gone.abort());
  const cut = await watch(order, guard, gone.signal);
  if (cut === null) {
    const error = await ended;
    return { end: error === null ? "done" : "failed", error, lingering: null };
  }
  child.kill();
  await sleep(clock, killGraceMs, gone.signal);
  return { ...cut, lingering: gone.signal.aborted ? null : child };
}

type Cut = Omit<CompactionOutcome, "lingering">;

/** Looks until the process is gone (null) or must be killed. Bounded by sec_max. */
async function watch(order: CompactionOrder, guard: CompactGuard, gone: AbortSignal): Promise<Cut | null> {
  const { clock, settings, signal } = order;
  const deadlineMs = clock.monotonicMs() + settings.sec_max * 1000;
  const wake = AbortSignal.any([gone, signal]);
  for (;;) {
    await sleep(clock, Math.min(lookMs, deadlineMs - clock.monotonicMs()), wake);
    if (gone.aborted) return null;
    if (signal.aborted) return { end: "stopped", error: null };
    if (clock.monotonicMs() >= deadlineMs) return { end: "timeout", error: null };
    try {
      if (guard.above() !== null) return { end: "pressure", error: null };
    } catch (error) {
      // Unwatched it must not go on.
      return { end: "failed", error: messageOf(error) };
    }
  }
}
