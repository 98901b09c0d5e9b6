/** A clock for tests. */
import type { Clock } from "../../../src/base/clock.ts";

/** Time moves when a test says so; a timer that became due fires then. */
export class SteppedClock implements Clock {
  #nowMs = 1_000_000;
  readonly #timers = new Set<{ readonly atMs: number; readonly act: () => void }>();

  /** So much time goes by whenever somebody asks what time it is. */
  ticksMs = 0;

  monotonicMs(): number {
    this.#nowMs += this.ticksMs;
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, then: () => void): { cancel(): void } {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), act: then };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Milliseconds until the first timer; null where none is armed. */
  get nextMs(): number | null {
    const times = [...this.#timers].map(({ atMs }) => atMs - this.#nowMs);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** How many timers are armed. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Moves without letting anything else happen: what a system call takes. */
  advance(ms: number): void {
    this.#nowMs += ms;
  }

  /** Moves, and lets everything happen that is due then and that follows from it. */
  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const timer of this.#timers) {
      if (timer.atMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      timer.act();
    }
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}
