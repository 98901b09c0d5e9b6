/**
 * When the two features run by themselves: each has a timer of its own, and neither waits for the other. Only where both
 * are due at the same time eviction goes first: what it frees is what compaction makes whole.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { isDue } from "../core/schedule.ts";

/** What the schedule asks of a feature each time: settings change while it waits. */
export interface ScheduledFeature {
  /** When it is due, on the monotonic clock; null while it never is. */
  dueMs(): number | null;
  /** A run is under way, scheduled or asked for. */
  running(): boolean;
  periodMs(): number;
  /** Runs, and resolves when that is over; rejects for bugs alone. */
  run(): Promise<unknown>;
}

export type FeatureName = "memcg" | "compact";
type Features = Readonly<Record<FeatureName, ScheduledFeature>>;

export class Schedule {
  readonly #clock: Clock;
  readonly #features: Features;
  readonly #timers = new Map<FeatureName, Timer>();
  /** Runs that this started, and a compaction that waits for the run before it. */
  readonly #begun = new Map<FeatureName, Promise<void>>();
  #stopped = false;

  constructor(clock: Clock, features: Features) {
    this.#clock = clock;
    this.#features = features;
  }

  /** Sets both timers again: at the start, when settings changed, and when a run that somebody asked for has ended. */
  refresh(): void {
    this.#arm("memcg");
    this.#arm("compact");
  }

  /** Starts nothing more. Resolves when what was started has ended; to end it early is the features' own task. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    await Promise.all(this.#begun.values());
  }

  /** A feature that runs has no timer: when the run has ended, `refresh` sets it. */
  #arm(name: FeatureName): void {
    this.#timers.get(name)?.cancel();
    this.#timers.delete(name);
    if (!this.#isIdle(name)) return;
    const dueMs = this.#features[name].dueMs();
    if (dueMs === null) return;
    const delayMs = Math.max(0, dueMs - this.#clock.monotonicMs());
    this.#timers.set(
      name,
      this.#clock.after(delayMs, () => this.#fire(name)),
    );
  }

  #isIdle(name: FeatureName): boolean {
    return !this.#stopped && !this.#begun.has(name) && !this.#features[name].running();
  }

  #fire(name: FeatureName): void {
    this.#timers.delete(name);
    if (this.#isDue("memcg")) {
      const evicted = this.#begin("memcg", this.#features.memcg.run());
      // Due soon is soon enough: one wakeup serves both.
      if (this.#isDue("compact")) void this.#begin("compact", this.#compactAfter(evicted));
    } else if (this.#isDue("compact")) void this.#begin("compact", this.#features.compact.run());
    this.#arm(name);
  }

  /** Only compaction has a tolerance here: the targets of memcg have theirs, in the run. */
  #isDue(name: FeatureName): boolean {
    const feature = this.#features[name];
    const dueMs = this.#isIdle(name) ? feature.dueMs() : null;
    return dueMs !== null && isDue(dueMs, this.#clock.monotonicMs(), name === "memcg" ? 0 : feature.periodMs());
  }

  async #compactAfter(evicted: Promise<void>): Promise<void> {
    await evicted;
    const { compact } = this.#features;
    // Meanwhile it may have been switched off, asked for, or the agent stopped.
    const dueMs = compact.dueMs();
    if (this.#stopped || compact.running() || dueMs === null) return;
    if (isDue(dueMs, this.#clock.monotonicMs(), compact.periodMs())) await compact.run();
  }

  #begin(name: FeatureName, run: Promise<unknown>): Promise<void> {
    this.#timers.get(name)?.cancel();
    const ended = run.then(() => {});
    const settled = ended.finally(() => {
      this.#begun.delete(name);
      this.#arm(name);
    });
    this.#begun.set(name, settled);
    return settled;
  }
}
