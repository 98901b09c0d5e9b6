/** What happened, as it happens: one value an event, JSON-ready, with a bound on how many listeners there are. */
import { Fault } from "../base/fault.ts";
import type { MemcgRunReport, CompactRunReport } from "./status.ts";
import type { EndReason } from "../core/reason.ts";

export type AgentEvent =
  | { readonly event: "started"; readonly version: string }
  | { readonly event: "stopped" }
  | { readonly event: "memcg_run"; readonly report: MemcgRunReport }
  | { readonly event: "compact_run"; readonly report: CompactRunReport }
  | {
      readonly event: "target_end";
      readonly path: string;
      readonly node: number;
      readonly end: EndReason;
      readonly evicted_bytes: number;
    }
  | {
      readonly event: "setting_changed";
      readonly key: string;
      readonly from: unknown;
      readonly to: unknown;
      readonly origin: string;
    }
  | { readonly event: "reloaded"; readonly file: string | null; readonly changes: number }
  | { readonly event: "reload_failed"; readonly file: string | null; readonly problems: readonly string[] }
  | { readonly event: "warning_raised"; readonly key: string; readonly message: string }
  | { readonly event: "warning_cleared"; readonly key: string };

/** An event with the wall clock's time in ISO 8601. */
export type TimedEvent = AgentEvent & { readonly time: string };

const listenersMax = 64;

export class Events {
  readonly #listeners = new Set<(event: TimedEvent) => void>();
  readonly #wallMs: () => number;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  /** Calls `listener` for each event until the returned function is called. Fault `busy` above 64 listeners. */
  on(listener: (event: TimedEvent) => void): () => void {
    if (this.#listeners.size >= listenersMax) {
      throw new Fault("busy", `cannot listen for events: ${listenersMax} listeners are there; close one`);
    }
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** True when somebody listens: a caller may save itself the work of making an event. */
  get heard(): boolean {
    return this.#listeners.size > 0;
  }

  emit(event: AgentEvent): void {
    if (this.#listeners.size === 0) return;
    const timed = { time: new Date(this.#wallMs()).toISOString(), ...event };
    for (const listener of this.#listeners) listener(timed);
  }
}
