/**
 * Giving back our own memory: what a tool that frees others' memory keeps for itself is looked at first.
 *
 * The engine collects by itself only while it allocates, and its timer that does so at rest is switched off, since it
 * wakes the process every second for minutes. So it is asked to here, 20 s after the last work. Then no timer is left.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import { dropOwnFiles, sweepExecutable } from "../../system/executable-pages.ts";

/** What is done after how long a quiet. */
export interface TrimStage {
  readonly quietMs: number;
  /** Least time between two of it: within that it is left out. */
  readonly pauseMs: number;
  readonly giveBack: () => void;
}

export interface TrimWork {
  /** Done once, so long after the start, also while there is work. */
  readonly start: { readonly delayMs: number; readonly giveBack: () => void };
  readonly stages: readonly TrimStage[];
}

export class Trimmer {
  readonly #clock: Clock;
  readonly #work: TrimWork;
  readonly #start: Timer;
  #touchedMs: number;
  /** When each stage was last done. */
  readonly #doneMs = new Map<TrimStage, number>();
  #stage = 0;
  #timer: Timer | null = null;

  constructor(clock: Clock, work: TrimWork = ownMemory()) {
    this.#clock = clock;
    this.#work = work;
    this.#touchedMs = clock.monotonicMs();
    this.#start = clock.after(work.start.delayMs, work.start.giveBack);
    this.#arm();
  }

  /** Something was done. Cheap: a timer that is armed already finds out when it fires. */
  touched(): void {
    this.#touchedMs = this.#clock.monotonicMs();
    this.#stage = 0;
    if (this.#timer === null) this.#arm();
  }

  stop(): void {
    this.#start.cancel();
    this.#timer?.cancel();
    this.#timer = null;
    this.#stage = this.#work.stages.length;
  }

  #arm(): void {
    const stage = this.#work.stages[this.#stage];
    this.#timer = null;
    if (stage === undefined) return;
    const delayMs = this.#touchedMs + stage.quietMs - this.#clock.monotonicMs();
    this.#timer = this.#clock.after(delayMs, () => this.#fire());
  }

  #fire(): void {
    const stage = this.#work.stages[this.#stage];
    const nowMs = this.#clock.monotonicMs();
    if (stage !== undefined && nowMs - this.#touchedMs >= stage.quietMs) {
      this.#stage++;
      const doneMs = this.#doneMs.get(stage);
      if (doneMs === undefined || nowMs - doneMs >= stage.pauseMs) {
        this.#doneMs.set(stage, nowMs);
        stage.giveBack();
      }
    }
    this.#arm();
  }
}

const collectPauseMs = 5 * 60_000;

/**
 * What the start needed of the executable is mostly never needed again: it is dropped, at once and with what the first
 * collection walks through. What runs touch afterwards comes back page by page and stays mapped; dropped is then only
 * what nobody has mapped, such as what a control command left. A run after a quiet so finds its code where it was.
 *
 * 20 s is longer than the usual interval of a scrape, which would else find everything gone each time.
 */
function ownMemory(): TrimWork {
  let started = false;
  return {
    start: { delayMs: 3000, giveBack: () => whereItCan(dropOwnFiles) },
    stages: [
      // Bun.shrink() left as much, and the code that it throws away is made again in the next run.
      { quietMs: 20_000, pauseMs: collectPauseMs, giveBack: () => Bun.gc(true) },
      // The collection goes on in the background for a moment.
      {
        quietMs: 21_000,
        pauseMs: 0,
        giveBack: () => {
          whereItCan(started ? sweepExecutable : dropOwnFiles);
          started = true;
        },
      },
      // What the code that dropped it has brought back meanwhile.
      { quietMs: 23_000, pauseMs: collectPauseMs, giveBack: () => whereItCan(sweepExecutable) },
    ],
  };
}

/** A kernel without it, or no /proc: the pages stay, which costs memory and nothing else. */
function whereItCan(giveBack: () => void): void {
  try {
    giveBack();
  } catch (error) {
    if (!isFault(error)) throw error;
  }
}
