/**
 * Giving back our own memory: what a tool that frees others' memory keeps for itself is looked at first.
 *
 * The engine collects by itself only while it allocates, and its timer that does so at rest is switched off, since it
 * wakes the process every second for minutes. So it is asked to here, some seconds after the last work. Then no timer is left.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import { dropOwnFiles, sweepExecutable } from "../../system/executable-pages.ts";

/** What is done after how long a quiet. */
export interface TrimStage {
  readonly quietMs: number;
  /** Least time between two of it: what is due sooner waits. */
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
    this.#timer = this.#clock.after(this.#dueMs(stage) - this.#clock.monotonicMs(), () => this.#fire());
  }

  #dueMs(stage: TrimStage): number {
    const doneMs = this.#doneMs.get(stage) ?? Number.NEGATIVE_INFINITY;
    return Math.max(this.#touchedMs + stage.quietMs, doneMs + stage.pauseMs);
  }

  #fire(): void {
    const stage = this.#work.stages[this.#stage];
    const nowMs = this.#clock.monotonicMs();
    if (stage !== undefined && nowMs >= this.#dueMs(stage)) {
      this.#stage++;
      this.#doneMs.set(stage, nowMs);
      stage.giveBack();
    }
    this.#arm();
  }
}

const pauseMs = 60_000;

/**
 * What the start needed of the executable is mostly never needed again: it is dropped, at once and with what the first
 * collection walks through. What runs touch afterwards comes back page by page and stays mapped; dropped is then only
 * what nobody has mapped, such as what a control command left. A run after a quiet so finds its code where it was.
 *
 * 12 s is shorter than the shortest usual period, so that it happens while runs follow each other as well; once a minute
 * is enough, and leaves most scrapes what they need in the page cache.
 */
function ownMemory(): TrimWork {
  let started = false;
  return {
    start: { delayMs: 3000, giveBack: () => whereItCan(dropOwnFiles) },
    stages: [
      // Bun.shrink() left as much, and the code that it throws away is made again in the next run.
      { quietMs: 12_000, pauseMs, giveBack: () => Bun.gc(true) },
      // The collection goes on in the background for a moment.
      {
        quietMs: 13_000,
        pauseMs,
        giveBack: () => {
          whereItCan(started ? sweepExecutable : dropOwnFiles);
          started = true;
        },
      },
      // What the code that dropped it has brought back meanwhile.
      { quietMs: 15_000, pauseMs, giveBack: () => whereItCan(sweepExecutable) },
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
