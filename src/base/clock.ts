/** Time as an argument: intervals are monotonic, the wall clock is only ever shown to people. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds on a clock that neither steps nor runs backward. */
  monotonicMs(): number;
  /** Milliseconds since the epoch, for logs and status only. */
  wallMs(): number;
  /** Calls `then` once after `delayMs` unless cancelled. */
  after(delayMs: number, then: () => void): Timer;
}

/** setTimeout holds its delay in 32 bits: a longer one would fire at once. */
export const delayMsMax = 2 ** 31 - 1;

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, then) {
    const timer = setTimeout(then, Math.min(Math.max(delayMs, 0), delayMsMax));
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Resolves after `delayMs`, or at once when `signal` aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** What the work comes to, or null when it takes longer; it then goes on, and what becomes of it nobody hears. */
export async function within<T>(clock: Clock, delayMs: number, work: Promise<T>): Promise<T | null> {
  const over = new AbortController();
  const late = sleep(clock, delayMs, over.signal).then(() => null);
  work.catch(() => null);
  try {
    return await Promise.race([work, late]);
  } finally {
    over.abort();
  }
}
