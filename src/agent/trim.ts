/**
 * Giving back our own memory once work is done: what a tool that frees others' memory keeps for itself is looked at first.
 *
 * The engine collects by itself only while it allocates, and its timer that does so at rest is switched off, since it
 * wakes the process every second for minutes. So it is asked to here, 20 s after the last work. Then no
 * timer is left.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { isFault } from "../base/fault.ts";
import { pageOutExecutable } from "../kernel/executable-pages.ts";

/**
 * What is done after how long a quiet. Collecting walks through much of the executable, and goes on in the background
 * for a moment: its pages are dropped after it. Longer than the usual interval of a scrape, which would else find
 * everything gone each time.
 */
const stages: readonly { readonly quietMs: number; readonly giveBack: () => void }[] = [
  { quietMs: 20_000, giveBack: shrinkHeap },
  { quietMs: 21_000, giveBack: dropExecutable },
];

export class Trimmer {
  readonly #clock: Clock;
  readonly #stages: typeof stages;
  #touchedMs: number;
  #stage = 0;
  #timer: Timer | null = null;

  constructor(clock: Clock, stagesOfTrimming: typeof stages = stages) {
    this.#clock = clock;
    this.#stages = stagesOfTrimming;
    this.#touchedMs = clock.monotonicMs();
    this.#arm();
  }

  /** Something was done. Cheap: a timer that is armed already finds out when it fires. */
  touched(): void {
    this.#touchedMs = this.#clock.monotonicMs();
    this.#stage = 0;
    if (this.#timer === null) this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#stage = this.#stages.length;
  }

  #arm(): void {
    const stage = this.#stages[this.#stage];
    this.#timer = null;
    if (stage === undefined) return;
    const delayMs = this.#touchedMs + stage.quietMs - this.#clock.monotonicMs();
    this.#timer = this.#clock.after(delayMs, () => this.#fire());
  }

  #fire(): void {
    const stage = this.#stages[this.#stage];
    if (stage !== undefined && this.#clock.monotonicMs() - this.#touchedMs >= stage.quietMs) {
      stage.giveBack();
      this.#stage++;
    }
    this.#arm();
  }
}

/** Collects garbage, drops compiled code (it is made again from the bytecode in the executable), frees empty blocks. */
function shrinkHeap(): void {
  Bun.shrink();
}

/** What is needed again of the executable comes from the page cache, or from the disk. */
function dropExecutable(): void {
  try {
    pageOutExecutable();
  } catch (error) {
    // A kernel without it, or no /proc: the pages stay, which costs memory and nothing else.
    if (!isFault(error)) throw error;
  }
}
