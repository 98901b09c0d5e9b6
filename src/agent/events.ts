/** What happened, as it happens: one value an event, JSON-ready, with a bound on how many listeners there are. */
import { Fault } from "../base/fault.ts";
import type { Origin } from "../config/merge.ts";
import type { MemcgRunReport, CompactRunReport, GivebackReport } from "./status.ts";
import type { EndedEnd } from "../core/ended.ts";
import type { EndReason } from "../core/reason.ts";

export type AgentEvent =
  | { readonly event: "started"; readonly version: string }
  | { readonly event: "stopped" }
  | { readonly event: "memcg_run"; readonly report: MemcgRunReport }
  | { readonly event: "compact_run"; readonly report: CompactRunReport }
  | { readonly event: "giveback"; readonly report: GivebackReport }
  | {
      readonly event: "target_end";
      readonly path: string;
      readonly node: number;
      readonly end: EndReason;
      /** The run left it out: it had stalled too much in its waiting period. */
      readonly skipped: boolean;
      readonly evicted_bytes: number;
      /** Its waiting period from now on, and whether it is idle. */
      readonly period_secs: number;
      readonly idle: boolean;
    }
  | {
      readonly event: "ended_units";
      /** The living cgroup through which they were evicted. */
      readonly path: string;
      readonly end: EndedEnd;
      readonly evicted_bytes: number;
      /** What living cgroups beside them lost. */
      readonly lost_bytes: number;
    }
  | {
      readonly event: "setting_changed";
      readonly key: string;
      readonly from: unknown;
      readonly to: unknown;
      /** Whose word it was: "default" (a key left the file), "file", "cmdline", "flag", "socket", or "library": the program around it. */
      readonly origin: Origin;
    }
  | { readonly event: "reloaded"; readonly file: string | null; readonly changes: number }
  | { readonly event: "reload_failed"; readonly file: string | null; readonly problems: readonly string[] }
  | { readonly event: "paused"; readonly until: string }
  | { readonly event: "resumed" }
  | { readonly event: "warning_raised"; readonly key: string; readonly message: string }
  | { readonly event: "warning_cleared"; readonly key: string };

/** An event with the wall clock's time in ISO 8601. */
export type TimedEvent = AgentEvent & { readonly time: string };

const listenersMax = 64;

/** `but_targets`: without the one event for each target of each run. */
export type EventChoice = "all" | "but_targets";

export class Events {
  readonly #listeners = new Map<(event: TimedEvent) => void, EventChoice>();
  readonly #wallMs: () => number;
  readonly #failed: (error: unknown) => void;

  /** @param failed called with what a listener threw: it ends neither the run that emitted the event nor the program. */
  constructor(wallMs: () => number, failed: (error: unknown) => void = () => {}) {
    this.#wallMs = wallMs;
    this.#failed = failed;
  }

  /** Calls `listener` for each event until the returned function is called. Fault `busy` above 64 listeners. */
  on(listener: (event: TimedEvent) => void, choice: EventChoice = "all"): () => void {
    if (this.#listeners.size >= listenersMax) {
      throw new Fault("busy", `cannot listen for events: ${listenersMax} listeners are connected; close one`);
    }
    this.#listeners.set(listener, choice);
    return () => this.#listeners.delete(listener);
  }

  /** True when somebody listens to targets too: else a run over a thousand of them saves itself the work. */
  get heard(): boolean {
    return this.#listeners.values().some((choice) => choice === "all");
  }

  emit(event: AgentEvent): void {
    if (this.#listeners.size === 0) return;
    const timed = { time: new Date(this.#wallMs()).toISOString(), ...event };
    for (const [listener, choice] of this.#listeners) {
      if (choice !== "all" && event.event === "target_end") continue;
      try {
        listener(timed);
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}
