/**
 * Giving back our own memory once work is done: what a tool that frees others' memory keeps for itself is looked at first.
 *
 * The engine collects by itself only while it allocates, and its timer that does so at rest is switched off, since it
 * wakes the process every second for minutes. So it is asked to here, 20 s after the last work. Then no
 * timer is left.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import { OwnExecutable } from "../../system/executable-pages.ts";

/** What is done after how long a quiet. */
export interface TrimStage {
  readonly quietMs: number;
  readonly giveBack: () => void;
}

export interface TrimWork {
  readonly stages: readonly TrimStage[];
  /** What a look around at rest needs afterwards. */
  readonly again: () => void;
}

export class Trimmer {
  readonly #clock: Clock;
  readonly #work: TrimWork;
  #touchedMs: number;
  #stage = 0;
  #timer: Timer | null = null;

  constructor(clock: Clock, work: TrimWork = ownMemory()) {
    this.#clock = clock;
    this.#work = work;
    this.#touchedMs = clock.monotonicMs();
    this.#arm();
  }

  /** Something was done. Cheap: a timer that is armed already finds out when it fires. */
  touched(): void {
    this.#touchedMs = this.#clock.monotonicMs();
    this.#stage = 0;
    if (this.#timer === null) this.#arm();
  }

  /** Something was looked at that is no work. Before all is given back it is given back with the rest. */
  looked(): void {
    if (this.#stage === this.#work.stages.length) this.#work.again();
  }

  stop(): void {
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
    if (stage !== undefined && this.#clock.monotonicMs() - this.#touchedMs >= stage.quietMs) {
      stage.giveBack();
      this.#stage++;
    }
    this.#arm();
  }
}

/**
 * Collecting walks through much of the executable, and goes on in the background for a moment: its pages go after it.
 * Longer than the usual interval of a scrape, which would else find everything gone each time.
 *
 * What the start needed of the executable is mostly never needed again, and is dropped from the page cache too. What
 * runs need is left there later: reading it from the disk took the first gibibyte after a quiet from 0.9 to 1.3 s.
 */
function ownMemory(): TrimWork {
  const executable = new OwnExecutable();
  let started = false;
  return {
    stages: [
      // Bun.shrink() left as much, and the code that it throws away is made again in the next run.
      { quietMs: 20_000, giveBack: () => Bun.gc(true) },
      {
        quietMs: 21_000,
        giveBack: () => {
          whereItCan(() => (started ? executable.letGo() : executable.drop()));
          started = true;
        },
      },
    ],
    again: () => whereItCan(() => executable.letGoAgain()),
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
