/**
 * Long work in short steps. JavaScript has one thread: as long as a loop goes on, no request is answered and no signal
 * heard. Work over thousands of cgroups gives way now and then.
 */
import type { Clock } from "./clock.ts";

/** Half of what may hold the event loop: the step that is under way when the time is over is finished first. */
const turnMs = 10;

export class Turns {
  readonly #clock: Clock;
  #sinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  /** Whether it is time to give way. Asked in a loop, so that most rounds of it cost no promise. */
  get due(): boolean {
    return this.#clock.monotonicMs() - this.#sinceMs >= turnMs;
  }

  /** Resolves after the event loop has gone round: sockets, timers and signals had their turn. */
  async giveWay(): Promise<void> {
    await new Promise((resolve) => void setImmediate(resolve));
    this.#sinceMs = this.#clock.monotonicMs();
  }

  /** Takes the steps of `work`, gives way between them where it is due, and returns what they come to. */
  async through<T>(work: Generator<undefined, T>): Promise<T> {
    for (;;) {
      const step = work.next();
      if (step.done === true) return step.value;
      if (this.due) await this.giveWay();
    }
  }
}

/** Takes all steps at once, where nobody can wait. */
export function atOnce<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
