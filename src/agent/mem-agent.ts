/**
 * The agent as a library: finds cold memory, gives it back, compacts, and says what it did.
 *
 *     import { MemAgent } from "mem-agent";
 *     const agent = new MemAgent({ settings: { memcg: { period_secs: 300 } } });
 *     await agent.start();
 *
 * Without socket and without file; the daemon is this and those two.
 */
import { systemClock, type Clock, type Timer } from "../base/clock.ts";
import { Fault, isFault, messageOf } from "../base/fault.ts";
import { quietLog, type Logger } from "../base/log.ts";
import { secsOf } from "../base/units.ts";
import { parseCompactChange, parseMemcgChange, type ParsedChange } from "../config/change.ts";
import {
  applyChange,
  startSettings,
  type LiveSettings,
  type Merged,
  type Origin,
  type SettingChange,
} from "../config/merge.ts";
import { problemsFault } from "../config/problems.ts";
import type { CompactSettings, Settings, SettingsOverrides } from "../config/schema.ts";
import { mostCameBack } from "../core/health.ts";
import { dueMs } from "../core/schedule.ts";
import { LruGen } from "../kernel/lru-gen.ts";
import { compactChildCommand } from "./compact/child.ts";
import { Compactor } from "./compact/run.ts";
import { History } from "./history.ts";
import { Events, type EventChoice, type TimedEvent } from "./events.ts";
import type { ChangeAnswer, PauseAnswer } from "./control.ts";
import type { GivebackRequest } from "./giveback.ts";
import { MemcgService } from "./memcg/service.ts";
import { meetPrerequisites } from "./doctor/prerequisites.ts";
import { Schedule, type FeatureName } from "./schedule.ts";
import type {
  CompactRunReport,
  CompactStatus,
  HistoryStatus,
  GivebackReport,
  MemcgRunReport,
  MemcgStatus,
  MemcgSummary,
  RunReport,
  Warning,
} from "./status.ts";
import { Warnings } from "./warnings.ts";

export interface MemAgentOptions {
  /** What differs from the defaults. Checked by type only: parse what comes from people. */
  readonly settings?: SettingsOverrides;
  /** Age and decide everything, but evict and compact nothing. */
  readonly dryRun?: boolean;
  /** Root of the kernel's files; "/" unless a test has its own. */
  readonly kernelRoot?: string;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** The path of a cgroup that is left alone unless a rule names it: the daemon's own. */
  readonly ownCgroup?: string | null;
  /**
   * What compacts in a process of its own, given the kernel root as its last argument. It writes a word to its standard
   * output right before it compacts: from then on the system's pressure ends it. See `compactChildCommand`.
   */
  readonly compactCommand?: readonly string[];
}

const cameBackWarning = "comes_back";

export class MemAgent {
  readonly events: Events;
  readonly warnings: Warnings;
  readonly #root: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #dryRun: boolean;
  readonly #memcg: MemcgService;
  readonly #compactor: Compactor;
  readonly #history = new History();
  /** What had come back when the last run was noted. */
  #notedRefaultedBytes = 0;
  readonly #schedule: Schedule;
  #live: LiveSettings;
  #state: "new" | "started" | "stopped" = "new";
  #compactRanMs: number | null = null;
  #pause: { readonly untilMs: number; readonly until: string; readonly timer: Timer } | null = null;
  #givingBack: Promise<GivebackReport> | null = null;

  constructor(options: MemAgentOptions = {}) {
    this.#root = options.kernelRoot ?? "/";
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? quietLog;
    this.#dryRun = options.dryRun ?? false;
    this.#live = startSettings({ flags: options.settings ?? {} });
    this.events = new Events(
      () => this.#clock.wallMs(),
      (error) => this.#log.error("a listener of events failed", { why: messageOf(error) }),
    );
    this.warnings = new Warnings(this.#clock, this.#log, this.events);
    this.#memcg = new MemcgService({
      root: this.#root,
      clock: this.#clock,
      log: this.#log,
      events: this.events,
      warnings: this.warnings,
      settings: this.#live.settings,
      ownCgroup: options.ownCgroup ?? null,
      dryRun: this.#dryRun,
      openLruGen: (root) => LruGen.open(root),
    });
    this.#compactor = new Compactor({
      root: this.#root,
      clock: this.#clock,
      warnings: this.warnings,
      command: options.compactCommand ?? compactChildCommand(),
      ownCgroup: options.ownCgroup ?? null,
    });
    this.#schedule = new Schedule(this.#clock, {
      memcg: {
        dueMs: () => (this.#state === "started" ? this.#memcg.nextDueMs() : null),
        running: () => this.#memcg.running,
        periodMs: () => this.#live.settings.memcg.period_secs * 1000,
        run: () => this.#runMemcg(false, false).catch(onlyFaults),
      },
      compact: {
        dueMs: () => (this.#state === "started" ? this.#compactDueMs() : null),
        // Giving back compacts last, with what time is left.
        running: () => this.#compactor.running || this.#givingBack !== null,
        periodMs: () => this.#live.settings.compact.period_secs * 1000,
        run: () => this.#runCompact(false).catch((error: unknown) => this.#compactFailed(error)),
      },
    });
  }

  /** The settings in force. */
  get settings(): Settings {
    return this.#live.settings;
  }

  /** The settings with where each came from. */
  get live(): LiveSettings {
    return this.#live;
  }

  /** Whether all is decided and nothing evicted or compacted. */
  get dryRun(): boolean {
    return this.#dryRun;
  }

  /**
   * Checks and fixes what the kernel must offer, and begins to run. Faults: `missing` with one problem for each
   * prerequisite that an enabled feature lacks.
   */
  start(): void {
    if (this.#state !== "new") throw new Fault("busy", "cannot start: this agent was started before; make a new one");
    const { memcg, compact } = this.#live.settings;
    if (this.#memcg.disabled)
      meetPrerequisites(this.#root, { memcg: { ...memcg, disabled: true }, compact }, this.#log);
    else this.#memcg.open();
    this.#compactor.begin(compact);
    this.#compactRanMs = this.#clock.monotonicMs();
    this.#state = "started";
    this.#schedule.refresh();
  }

  /**
   * Nothing runs by itself for so many seconds; 0 ends a pause. A run that the agent began stops at its next batch; a
   * compaction under way ends by itself. What is asked for (`run`, `giveback`) is done all the same. A pause ends with the
   * process, too.
   */
  pause(secs: number): PauseAnswer {
    const was = this.#pause;
    was?.timer.cancel();
    this.#pause = null;
    if (secs > 0) {
      const until = new Date(this.#clock.wallMs() + secs * 1000).toISOString();
      const timer = this.#clock.after(secs * 1000, () => void this.pause(0));
      this.#pause = { untilMs: this.#clock.monotonicMs() + secs * 1000, until, timer };
      this.#log.info("paused", { until });
      this.events.emit({ event: "paused", until });
    } else if (was !== null) {
      this.#log.info("resumed");
      this.events.emit({ event: "resumed" });
    }
    this.#memcg.pause(this.#pause?.untilMs ?? null);
    this.#schedule.refresh();
    return { paused_until: this.pausedUntil };
  }

  /** When a pause ends, in ISO 8601; null without one. */
  get pausedUntil(): string | null {
    return this.#pause?.until ?? null;
  }

  /** Ends a run at its next batch and a compaction at once. Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#state = "stopped";
    this.#pause?.timer.cancel();
    await Promise.all([this.#schedule.stop(), this.#memcg.stop(), this.#compactor.stop()]);
    await this.#givingBack?.catch(() => null);
  }

  /**
   * Every cgroup and node with its generations, counts and settings, in bytes, seconds and percent. Costs one reading of
   * the kernel's numbers, but at most one a second. Never throws: what cannot be read is null, or as it was.
   */
  memcgStatus(): MemcgStatus {
    return { ...this.#memcg.status(), free: this.#compactor.free(this.#live.settings.compact) };
  }

  /** As `memcgStatus` without its targets: cheap however many cgroups there are. */
  memcgSummary(): MemcgSummary {
    return this.#memcg.summary();
  }

  /** Mask of lru_gen/enabled when a run last read it; null before the first, and where the kernel has none. */
  get lruGenMask(): number | null {
    return this.#memcg.lruGenMask;
  }

  /** Free memory by size of block, decisions and compactions so far. Never throws: what cannot be read is null. */
  compactStatus(): CompactStatus {
    return this.#compactStatus("counted");
  }

  /** As `compactStatus`, with `wanted` as it was when free memory was last counted by type: cheap. */
  compactSummary(): CompactStatus {
    return this.#compactStatus("known");
  }

  #compactStatus(wanted: "counted" | "known"): CompactStatus {
    const due = this.#compactDueMs();
    const secs = due === null ? null : secsOf(Math.max(0, due - this.#clock.monotonicMs()));
    return { ...this.#compactor.status(this.#live.settings.compact, secs, wanted), dry_run: this.#dryRun };
  }

  /** What the runs of the last day did, minute by minute. */
  history(): HistoryStatus {
    return this.#history.status(this.#clock.monotonicMs(), this.#clock.wallMs());
  }

  /** What is wrong now, oldest first. */
  get warningList(): readonly Warning[] {
    return this.warnings.list;
  }

  /** Changes memcg settings, whole or not at all. Fault `invalid` with every problem. */
  memcgSet(change: unknown): ChangeAnswer {
    return this.#change("memcg", parseMemcgChange(change));
  }

  /** Changes compact settings, whole or not at all. Fault `invalid` with every problem. */
  compactSet(change: unknown): ChangeAnswer {
    return this.#change("compact", parseCompactChange(change));
  }

  #change(what: FeatureName, parsed: ParsedChange): ChangeAnswer {
    return { changes: this.adopt(this.merged(`change ${what} settings`, parsed, "library"), true), saved: null };
  }

  /** What a parsed change would make of the settings. Fault `invalid` with every problem. */
  merged(doing: string, parsed: ParsedChange, origin: Origin): Merged {
    if (parsed.problems.length > 0) throw problemsFault(doing, parsed.problems);
    const result = applyChange(this.#live, parsed.change, origin);
    if (!result.ok) throw problemsFault(doing, result.problems);
    return result;
  }

  /** Puts settings in force. `announce` logs each change and tells those who listen. */
  adopt(merged: Merged, announce: boolean): readonly SettingChange[] {
    this.#live = merged.live;
    this.#memcg.applySettings(merged.live.settings);
    if (this.#state === "started") this.#beginCompaction();
    for (const { key, from, to, origin } of announce ? merged.changes : []) {
      this.#log.info("setting changed", { key, from: plain(from), to: plain(to), origin });
      this.events.emit({ event: "setting_changed", key, from, to, origin });
    }
    this.#schedule.refresh();
    return merged.changes;
  }

  #beginCompaction(): void {
    try {
      this.#compactor.begin(this.#live.settings.compact);
    } catch (error) {
      this.#compactFailed(error);
    }
  }

  /**
   * Runs a period now, due or not. Faults: `busy` while one is under way, `invalid` for a feature that is disabled and
   * for a dry run of a compaction, and what keeps the run from being made.
   */
  async run(what: FeatureName, options: { readonly dryRun?: boolean } = {}): Promise<RunReport> {
    if (this.#state !== "started") throw new Fault("missing", "cannot run: the agent is not started; start it");
    const { dryRun = false } = options;
    if (dryRun && what === "compact") {
      const message = "cannot compact: a dry run is of memcg only; `mem-agent compactstatus` says what a run would do";
      throw new Fault("invalid", message);
    }
    try {
      return what === "memcg" ? await this.#runMemcg(true, dryRun) : await this.#runCompact(true);
    } finally {
      this.#schedule.refresh();
    }
  }

  /**
   * Gives back as much as possible by a deadline, before the guest is snapshot or paused: the coldest memory of all
   * cgroups first, then a compaction. A memcg run under way stops for it. What could not be done is in the report. Faults:
   * `busy` while another is on, `invalid` in a dry run.
   */
  async giveback(request: GivebackRequest = {}): Promise<GivebackReport> {
    if (this.#state !== "started") throw new Fault("missing", "cannot give back: the agent is not started; start it");
    if (this.#dryRun) throw new Fault("invalid", "cannot give back: this is a dry run; start without --dry-run");
    if (this.#givingBack !== null)
      throw new Fault("busy", "cannot give back: a giveback is already under way; wait for it");
    this.#givingBack = this.#giveBack(request);
    try {
      return await this.#givingBack;
    } finally {
      this.#givingBack = null;
      void this.#memcg.givenBack().then(() => this.#schedule.refresh());
    }
  }

  async #giveBack(request: GivebackRequest): Promise<GivebackReport> {
    const { compact } = this.#live.settings;
    const startMs = this.#clock.monotonicMs();
    const { giveBack } = await import("./giveback.ts");
    const report = await giveBack(
      {
        root: this.#root,
        clock: this.#clock,
        startMs,
        memcg: this.#memcg,
        free: () => this.#compactor.free(compact),
        compact: ({ secMax, ignorePressure }) => {
          const limits = ignorePressure ? { psi_percent_limit: 100, period_psi_percent_limit: 100 } : {};
          return this.#runCompact(true, { ...compact, sec_max: Math.min(compact.sec_max, secMax), ...limits });
        },
      },
      request,
    );
    const { file_bytes, anon_bytes, slab_bytes } = report.freed_bytes;
    this.#compactor.noteEviction(report.compaction.end === null ? file_bytes + anon_bytes : 0);
    this.#log.info("giveback", {
      freed_bytes: file_bytes + anon_bytes + slab_bytes,
      wall_secs: report.wall_secs,
      within_secs: report.within_secs,
      compaction: report.compaction.end ?? "none",
    });
    this.events.emit({ event: "giveback", report });
    return report;
  }

  /**
   * Calls `listener` with each event until the returned function is called; `but_targets` leaves out the one event for
   * each target of each run. Fault `busy` above 64 listeners.
   */
  onEvent(listener: (event: TimedEvent) => void, choice: EventChoice = "all"): () => void {
    return this.events.on(listener, choice);
  }

  async #runMemcg(asked: boolean, dryRun: boolean): Promise<MemcgRunReport> {
    const report = await this.#memcg.run(asked, dryRun);
    this.#compactor.noteEviction(report.evicted_bytes.anon_bytes + report.evicted_bytes.file_bytes);
    if (!report.dry_run) this.#noteHistory(report);
    return report;
  }

  #noteHistory(report: MemcgRunReport): void {
    const { refaulted_bytes: refaultedBytes, saved_bytes: savedBytes } = this.#memcg.totals();
    this.#history.noteRun(this.#clock.monotonicMs(), {
      evictedBytes: report.evicted_bytes.anon_bytes + report.evicted_bytes.file_bytes,
      refaultedBytes: refaultedBytes === null ? null : Math.max(0, refaultedBytes - this.#notedRefaultedBytes),
      savedBytes,
      stallPercent: this.#memcg.stallPercentMax,
      ends: report.ends,
    });
    this.#notedRefaultedBytes = refaultedBytes ?? 0;
    if (mostCameBack(this.#history.lastHour(this.#clock.monotonicMs()), this.warnings.has(cameBackWarning))) {
      const message = "more than half of what was evicted within an hour was read again: little is saved";
      this.warnings.raise(cameBackWarning, message, "mem-agent memcgstatus --sort evicted");
    } else this.warnings.clear(cameBackWarning);
  }

  async #runCompact(
    asked: boolean,
    settings: CompactSettings = this.#live.settings.compact,
  ): Promise<CompactRunReport> {
    if (asked && settings.disabled) {
      const message = "cannot run: compact is disabled; `mem-agent compactset --compact-disabled false` enables it";
      throw new Fault("invalid", message);
    }
    if (this.#dryRun) throw new Fault("invalid", "cannot compact: this is a dry run; start without --dry-run");
    try {
      const report = await this.#compactor.run(settings, { asked });
      this.warnings.clear("compact");
      this.events.emit({ event: "compact_run", report });
      if (report.compacted) this.#history.noteCompaction(this.#clock.monotonicMs());
      const stall = report.stall === null ? {} : { stall: report.stall };
      const { wall_secs } = report;
      const fields = { decision: report.decision, end: report.end ?? "none", ...stall, wall_secs };
      if (report.compacted) this.#log.info("compaction", { ...fields, why: report.why });
      else this.#log.debug("compaction", { ...fields, why: report.why });
      return report;
    } finally {
      this.#compactRanMs = this.#clock.monotonicMs();
    }
  }

  #compactDueMs(): number | null {
    const { disabled, period_secs } = this.#live.settings.compact;
    if (disabled || this.#dryRun) return null;
    return Math.max(dueMs(this.#compactRanMs, period_secs * 1000, 1), this.#pause?.untilMs ?? Number.NEGATIVE_INFINITY);
  }

  /** A run that failed is a warning until one does not. */
  #compactFailed(error: unknown): void {
    onlyFaults(error);
    this.warnings.raise("compact", messageOf(error), "mem-agent doctor");
  }
}

/** The memcg feature raises its own warning; what is not a fault of the machine is ours, and ends us. */
function onlyFaults(error: unknown): void {
  if (!isFault(error)) throw error;
}

/** A value for a log field. */
function plain(value: SettingChange["from"]): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
