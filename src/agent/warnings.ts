/** What is wrong now: said once when it begins and once when it ends, shown in status in between. */
import type { Logger } from "../base/log.ts";
import type { Clock } from "../base/clock.ts";
import type { Events } from "./events.ts";
import type { Warning } from "./status.ts";

/** More than this at once would be a fault of ours: each kind of warning has one key. */
const warningsMax = 64;

export class Warnings {
  readonly #standing = new Map<string, Warning>();
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #events: Events;

  constructor(clock: Clock, log: Logger, events: Events) {
    this.#clock = clock;
    this.#log = log;
    this.#events = events;
  }

  get list(): readonly Warning[] {
    return [...this.#standing.values()];
  }

  has(key: string): boolean {
    return this.#standing.has(key);
  }

  /** Raises a warning, or changes the text of the active one under this key. */
  raise(key: string, message: string, remedy: string | null): void {
    const standing = this.#standing.get(key);
    if (standing?.message === message) return;
    if (standing === undefined && this.#standing.size >= warningsMax) return;
    const since = standing?.since ?? new Date(this.#clock.wallMs()).toISOString();
    this.#standing.set(key, { key, since, message, remedy });
    this.#log.warn(message, remedy === null ? { warning: key } : { warning: key, remedy });
    this.#events.emit({ event: "warning_raised", key, message });
  }

  clear(key: string): void {
    const standing = this.#standing.get(key);
    if (standing === undefined) return;
    this.#standing.delete(key);
    this.#log.info(`over: ${standing.message}`, { warning: key });
    this.#events.emit({ event: "warning_cleared", key });
  }
}
