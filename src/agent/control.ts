/** What the routes ask of a running daemon. Tests have a fake one. */
import type { SettingInForce } from "../config/in-force.ts";
import type { TimedEvent } from "./events.ts";
import type { AgentStatus, CompactStatus, GivebackReport, HistoryStatus, MemcgStatus, RunReport } from "./status.ts";
import type { GivebackRequest } from "./giveback.ts";

export interface ChangeAnswer {
  /** Keys that really changed, each with what it was and is. */
  readonly changes: readonly { readonly key: string; readonly from: unknown; readonly to: unknown }[];
  /** File the change was also written into, null without `save`. */
  readonly saved: string | null;
}

/** The longest pause: a week. */
export const pauseSecsMax = 7 * 86_400;

export interface PauseAnswer {
  /** Null where nothing is paused any more. */
  readonly paused_until: string | null;
}

export interface DaemonControl {
  readonly version: string;
  /** As in `status`; reads nothing, so that it can be asked every second. */
  health(): AgentStatus["health"];
  /** Reads neither /proc/pagetypeinfo nor, after the first time, the prerequisites. */
  status(): AgentStatus;
  memcgStatus(): MemcgStatus;
  compactStatus(): CompactStatus;
  /** What the runs of the last 24 hours did. */
  history(): HistoryStatus;
  /** Validates and applies a change whole. Fault `invalid` with every problem, and then nothing is applied. */
  memcgSet(change: unknown, options: { save: boolean }): Promise<ChangeAnswer>;
  compactSet(change: unknown, options: { save: boolean }): Promise<ChangeAnswer>;
  logLevelSet(level: unknown, options: { save: boolean }): Promise<ChangeAnswer>;
  /** Effective settings, each with its origin; rules too. */
  configShow(): readonly SettingInForce[];
  /** Reads the file again. Fault `invalid` with every problem of the file. */
  reload(): Promise<ChangeAnswer>;
  /** Runs a period now and resolves with what it did. Fault `busy` while one is under way. */
  run(what: "memcg" | "compact", options: { dryRun: boolean }): Promise<RunReport>;
  /** Gives back as much as possible by a deadline. Fault `busy` while another is on, `invalid` in a dry run. */
  giveback(request: GivebackRequest): Promise<GivebackReport>;
  /** Nothing runs by itself for so many seconds; 0 ends a pause. */
  pause(secs: number): PauseAnswer;
  onEvent(listener: (event: TimedEvent) => void): () => void;
}
