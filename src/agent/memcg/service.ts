/** The memcg feature for as long as the agent runs: when its targets are due, one run at a time, and what it says. */
import { secsOf } from "../../base/units.ts";
import { within, type Clock } from "../../base/clock.ts";
import { Fault, isFault, messageOf } from "../../base/fault.ts";
import type { Logger } from "../../base/log.ts";
import { atOnce } from "../../base/turns.ts";
import { compileRules, isMemcgOff } from "../../config/rules.ts";
import type { MemcgSettings, Settings } from "../../config/schema.ts";
import { endReasons, noEnds, type EndReason } from "../../core/reason.ts";
import { noteSaved, savedBytes, type SavedState } from "../../core/saved.ts";
import { allFailed } from "../../core/health.ts";
import { dueMs, isDue } from "../../core/schedule.ts";
import { spreadFactor, spreadSeed } from "../../core/spread.ts";
import { readMachineSeed } from "../../system/machine-id.ts";
import { pageBytes as kernelPageBytes } from "../../system/page-size.ts";
import type { Events } from "../events.ts";
import type { MemcgGiveback, MemcgGivebackOutcome, MemcgGivebackRequest } from "./giveback.ts";
import { EndedBook } from "./ended.ts";
import type { LruGenFile } from "./lru-gen.ts";
import { Readiness } from "./readiness.ts";
import { MemcgRegistry, type TargetState } from "./registry.ts";
import { RuleCheck } from "./rule-check.ts";
import { firstEvictionSecs, outlookSummary, type OutlookView } from "./outlook.ts";
import { runMemcg, type MemcgTools } from "./run.ts";
import { coldSum, runReport, targetStatus } from "./status.ts";
import type { MemcgRunReport, MemcgStatus, MemcgSummary } from "../status.ts";
import type { Warnings } from "../warnings.ts";

/** A status call reads the kernel's numbers again unless it did so this short a time ago. */
const freshMs = 1000;
/** How soon a feature that failed is tried again, at the latest. */
const healMsMax = 60_000;

const failingWarning = "targets_fail";

export interface MemcgServiceOptions {
  readonly root: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: Events;
  readonly warnings: Warnings;
  readonly settings: Settings;
  /** The path of the agent's own cgroup, to be left alone; null where there is none. */
  readonly ownCgroup: string | null;
  /** Age and decide everything, evict nothing. */
  readonly dryRun: boolean;
  /** Opens lru_gen's file; Faults as `LruGen.open`. */
  readonly openLruGen: (root: string) => LruGenFile;
}

export class MemcgService {
  readonly #options: MemcgServiceOptions;
  readonly #registry: MemcgRegistry;
  readonly #ended = new EndedBook();
  readonly #readiness: Readiness;
  readonly #seed: number;
  readonly #ruleCheck: RuleCheck;
  readonly #ends = noEnds();
  #settings: Settings;
  #stopping = false;
  #running: Promise<MemcgRunReport> | null = null;
  #givingBack: Promise<unknown> | null = null;
  #runs = 0;
  /** Runs that were not asked for: each spreads what follows it by a factor of its own. */
  #ordinal = 0;
  #lookedMs: number | null = null;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  /** Whether somebody asked for the run under way. */
  #asked = false;
  #tryAgainMs = Number.NEGATIVE_INFINITY;
  #lastRun: MemcgRunReport | null = null;
  #saved: SavedState;

  constructor(options: MemcgServiceOptions) {
    this.#options = options;
    this.#saved = { bytes: 0, byteSecs: 0, atMs: options.clock.monotonicMs() };
    this.#settings = options.settings;
    this.#registry = new MemcgRegistry(compileRules(options.settings.memcg, options.ownCgroup));
    this.#readiness = new Readiness({ ...options, registry: this.#registry, ended: this.#ended });
    this.#ruleCheck = new RuleCheck(this.#registry, options.warnings);
    this.#seed = spreadSeed(readMachineSeed(options.root) ?? String(Math.random()));
  }

  /** True when no target can be due: the base settings are off and no rule switches any cgroup on. */
  get disabled(): boolean {
    return isMemcgOff(this.#settings.memcg);
  }

  /** Mask of lru_gen/enabled when a run last read it; null before the first, and where there is none. */
  get lruGenMask(): number | null {
    return this.#readiness.lruGenMask;
  }

  get running(): boolean {
    return this.#running !== null || this.#givingBack !== null;
  }

  /** Gets everything ready that a run needs. Faults: `missing` with one problem for each prerequisite. */
  open(): void {
    if (!this.disabled) this.#readiness.ready(this.#settings);
  }

  /** Stops the run that is under way at its next batch, and resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#registry.halted = true;
    await this.#running?.catch(() => null);
    await this.#givingBack?.catch(() => null);
    this.#readiness.close();
  }

  /**
   * Nothing runs by itself before that time on the monotonic clock, and such a run that is under way stops at its next
   * batch; null ends it. What somebody asks for is done.
   */
  pause(untilMs: number | null): void {
    this.#pausedUntilMs = untilMs ?? Number.NEGATIVE_INFINITY;
    if (untilMs !== null && this.#running !== null && !this.#asked) this.#registry.halted = true;
  }

  /** A run under way ends under the settings that it began with, unless they switch its targets off. */
  applySettings(settings: Settings): void {
    const before = this.#settings.memcg;
    const wasDisabled = this.disabled;
    this.#settings = settings;
    if (before === settings.memcg) return;
    this.#ruleCheck.look(this.disabled ? [] : settings.memcg.cgroups, this.#options.clock.monotonicMs());
    if (wasDisabled && !this.disabled) this.#readiness.allowSetup();
    this.#registry.changeRules(compileRules(settings.memcg, this.#options.ownCgroup));
    if (!this.running) this.#registry.applyRules();
    this.#tryAgainMs = Number.NEGATIVE_INFINITY;
    if (before.backend !== settings.memcg.backend) this.#lookedMs = null;
  }

  /** When something is due, on the monotonic clock; null while nothing can be. */
  nextDueMs(): number | null {
    if (this.disabled) return null;
    let next = this.#lookedMs === null ? Number.NEGATIVE_INFINITY : this.#lookedMs + this.#shortestPeriodMs();
    for (const target of this.#registry.targets()) {
      if (!target.settings.disabled) next = Math.min(next, this.#dueMs(target));
    }
    return Math.max(next, this.#tryAgainMs, this.#pausedUntilMs);
  }

  /** New cgroups are looked for as often as the shortest of all periods. */
  #shortestPeriodMs(): number {
    const { cgroups, ...base } = this.#settings.memcg;
    const periods = cgroups
      .filter((rule) => !(rule.disabled ?? base.disabled))
      .map((rule) => shortest({ ...base, ...rule }));
    if (!base.disabled) periods.push(shortest(base));
    return Math.min(...periods) * 1000 * this.#spread(this.#ordinal);
  }

  /** Spread as the run was that it last took part in, so that other runs meanwhile do not move it. */
  #dueMs(target: TargetState): number {
    // Only a status read has seen it so far: it begins with the next run, and nothing is scheduled before.
    if (target.ranMs === null && this.#lookedMs !== null) return this.#lookedMs + this.#shortestPeriodMs();
    const byPeriodMs = dueMs(target.ranMs, target.periodMs, this.#spread(target.ranOrdinal));
    const { idleAtMs } = target;
    const due = idleAtMs !== null && idleAtMs > (target.ranMs ?? 0) ? Math.min(byPeriodMs, idleAtMs) : byPeriodMs;
    return Math.max(due, this.#pausedUntilMs);
  }

  #spread(ordinal: number): number {
    return spreadFactor(this.#seed, ordinal, this.#settings.memcg.spread_percent);
  }

  /**
   * Runs what is due, or with `asked` every target. Faults: `busy` while a run is under way, `invalid` when switched off
   * and asked, and what keeps the snapshot from being read.
   */
  async run(asked: boolean, dryRun: boolean): Promise<MemcgRunReport> {
    if (this.running) throw new Fault("busy", "cannot run: a memcg run is under way; wait for it");
    if (this.disabled) {
      throw new Fault(
        "invalid",
        "cannot run: memcg is disabled; `mem-agent memcgset --memcg-disabled false` enables it",
      );
    }
    this.#asked = asked;
    this.#running = this.#run(asked, dryRun || this.#options.dryRun);
    try {
      return await this.#running;
    } finally {
      this.#running = null;
      this.#registry.halted = this.#stopping;
      this.#registry.applyRules();
    }
  }

  /**
   * Gives back what it can by the deadline. A run that is under way stops at its next batch for it. Faults: `busy` while
   * another is on or where the run does not stop in time, `invalid` when switched off or dry, and those of `run`.
   */
  async giveback(request: MemcgGivebackRequest): Promise<MemcgGivebackOutcome> {
    if (this.disabled) {
      const message = "cannot evict: memcg is disabled; `mem-agent memcgset --memcg-disabled false` enables it";
      throw new Fault("invalid", message);
    }
    if (this.#givingBack !== null)
      throw new Fault("busy", "cannot give back: a giveback is already under way; wait for it");
    const begun = this.#giveback(request);
    this.#givingBack = begun
      .then(({ over }) => over)
      .catch(() => null)
      .finally(() => {
        this.#givingBack = null;
        this.#registry.applyRules();
      });
    const { outcome, late } = await begun;
    if (!late) await this.#givingBack;
    return outcome;
  }

  /** Resolves when a giveback has ended, with what the kernel held beyond its deadline. */
  async givenBack(): Promise<void> {
    await this.#givingBack;
  }

  async #giveback(request: MemcgGivebackRequest): Promise<MemcgGiveback> {
    const { clock } = this.#options;
    const run = this.#running?.catch(() => null) ?? null;
    // `run` returns what it did by then, so a null is the deadline's.
    if (run !== null) {
      this.#registry.halted = true;
      await within(clock, request.deadlineMs - clock.monotonicMs(), run);
      this.#registry.halted = this.#stopping;
    }
    if (this.#running !== null) {
      throw new Fault("busy", "cannot evict: the run under way did not stop in time; the kernel holds it");
    }
    const tools = this.#readiness.ready(this.#settings);
    // Loaded when it is asked for: most daemons never are.
    const { givebackMemcg } = await import("./giveback.ts");
    const giveback = await givebackMemcg(tools, request);
    this.#noteSaved(tools.pageBytes);
    return giveback;
  }

  async #run(asked: boolean, dryRun: boolean): Promise<MemcgRunReport> {
    const { clock, warnings } = this.#options;
    const { backend } = this.#settings.memcg;
    const startMs = clock.monotonicMs();
    try {
      const report = await this.#runWith(this.#readiness.ready(this.#settings), asked, dryRun, startMs);
      // Another backend was chosen meanwhile: it begins at once.
      if (this.#settings.memcg.backend !== backend) this.#lookedMs = null;
      warnings.clear("memcg");
      return report;
    } catch (error) {
      const periodMs = Math.min(this.#shortestPeriodMs(), healMsMax);
      this.#tryAgainMs = clock.monotonicMs() + periodMs;
      if (!isFault(error)) throw error;
      // A fault without a list of problems is its own only one.
      const lines = new Set([messageOf(error), ...error.problems]);
      warnings.raise("memcg", [...lines].join("; "), "mem-agent doctor");
      this.#readiness.close();
      throw error;
    }
  }

  async #runWith(tools: MemcgTools, asked: boolean, dryRun: boolean, startMs: number): Promise<MemcgRunReport> {
    const { clock, events } = this.#options;
    const startedWallMs = clock.wallMs();
    const cpuBefore = process.cpuUsage();
    const outcome = await runMemcg(tools, {
      dryRun,
      bounded: !asked,
      isDue: (target) => asked || target.ranMs === null || isDue(this.#dueMs(target), startMs, target.periodMs),
    });
    for (const reason of endReasons) this.#ends[reason] += outcome.ends[reason];
    const endMs = clock.monotonicMs();
    this.#ruleCheck.look(this.#settings.memcg.cgroups, endMs);
    this.#noteFailures();
    this.#runs++;
    if (!asked) this.#ordinal++;
    // What somebody only wanted to see leaves due what is due.
    if (!asked || !dryRun || this.#options.dryRun) this.#bookTimes(outcome.targets, endMs);
    this.#noteSaved(tools.pageBytes);
    const cpu = process.cpuUsage(cpuBefore);
    const report = runReport(outcome, {
      run: this.#runs,
      dryRun,
      startedWallMs,
      wallMs: endMs - startMs,
      cpuMs: (cpu.user + cpu.system) / 1000,
      pageBytes: tools.pageBytes,
      savedBytes: this.#saved.bytes,
      agesKnown: tools.backend.name === "lru_gen",
    });
    // What somebody only wanted to see is theirs: the last run is what the agent did.
    if (!asked || !dryRun || this.#options.dryRun) this.#lastRun = report;
    this.#logRun(report);
    events.emit({ event: "memcg_run", report });
    return report;
  }

  /** One target that fails shows in its own row; when all do, the feature as a whole does not work. */
  #noteFailures(): void {
    const { warnings } = this.#options;
    if (allFailed(lastEndsOf(this.#registry))) {
      warnings.raise(
        failingWarning,
        "all targets end with an error: nothing is evicted",
        "mem-agent memcgstatus --long",
      );
    } else warnings.clear(failingWarning);
  }

  /** Also between runs: what was saved from now on is more. */
  #noteSaved(pageBytes: number): void {
    const { evictedAnonPages, evictedFilePages } = this.#registry.totals;
    const saved = savedBytes((evictedAnonPages + evictedFilePages) * pageBytes, this.#refaultedBytes(pageBytes));
    this.#saved = noteSaved(this.#saved, this.#options.clock.monotonicMs(), saved);
  }

  #bookTimes(targets: readonly TargetState[], ranMs: number): void {
    this.#lookedMs = ranMs;
    for (const target of targets) {
      // It is due as before.
      if (target.unreached) continue;
      target.ranMs = ranMs;
      target.ranOrdinal = this.#ordinal;
    }
  }

  #logRun(report: MemcgRunReport): void {
    const { anon_bytes, file_bytes } = report.would_evict_bytes ?? report.evicted_bytes;
    const fields = {
      run: report.run,
      targets: report.targets,
      aged: report.aged,
      skipped: report.skipped,
      ...(report.ends.unreached > 0 ? { unreached: report.ends.unreached } : {}),
      [report.dry_run ? "would_evict_bytes" : "evicted_bytes"]: anon_bytes + file_bytes,
      saved_bytes: report.saved_bytes,
      wall_secs: report.wall_secs,
      cpu_secs: report.cpu_secs,
    };
    if (anon_bytes + file_bytes > 0) this.#options.log.info("memcg run", fields);
    else this.#options.log.debug("memcg run", fields);
  }

  /** The numbers of this moment, where they can be had without disturbing a run. */
  #refresh(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const tools = this.#readiness.current;
    if (tools === null || this.running || !this.#readiness.mounted) return;
    if (this.#refreshedMs !== null && nowMs - this.#refreshedMs < freshMs) return;
    this.#refreshedMs = nowMs;
    try {
      atOnce(tools.backend.looking(true));
      tools.backend.rest();
    } catch (error) {
      if (!isFault(error)) throw error;
    }
  }

  #refreshedMs: number | null = null;

  /** What went, what came back and what is away now. */
  totals(): Pick<MemcgSummary, "evicted_bytes" | "refaulted_bytes" | "saved_bytes" | "saved_byte_seconds"> {
    const pageBytes = this.#readiness.current?.pageBytes ?? kernelPageBytes();
    const { evictedAnonPages, evictedFilePages } = this.#registry.totals;
    const refaultedBytes = this.#refaultedBytes(pageBytes);
    const evictedBytes = (evictedAnonPages + evictedFilePages) * pageBytes;
    const saved = noteSaved(this.#saved, this.#options.clock.monotonicMs(), savedBytes(evictedBytes, refaultedBytes));
    return {
      evicted_bytes: { anon_bytes: evictedAnonPages * pageBytes, file_bytes: evictedFilePages * pageBytes },
      refaulted_bytes: refaultedBytes,
      saved_bytes: saved.bytes,
      saved_byte_seconds: Math.round(saved.byteSecs),
    };
  }

  #outlook(pageBytes: number): Pick<MemcgSummary, "candidates" | "why_not" | "next_eviction_secs"> {
    const outlook = outlookSummary(this.#registry, this.#outlookView(), pageBytes);
    if (this.#registry.lookedMs !== null || this.#settings.memcg.disabled) return outlook;
    const { period_min_secs, period_secs, eviction_run_aging_count_min: agings } = this.#settings.memcg;
    return { ...outlook, next_eviction_secs: firstEvictionSecs(Math.min(period_min_secs, period_secs), agings) };
  }

  #outlookView(): OutlookView {
    return {
      nowMs: this.#options.clock.monotonicMs(),
      lookedMs: this.#registry.lookedMs,
      dueMs: (target) => this.#dueMs(target),
    };
  }

  summary(): MemcgSummary {
    const tools = this.#readiness.current;
    const pageBytes = tools?.pageBytes ?? kernelPageBytes();
    const totals = this.totals();
    const nextMs = this.nextDueMs();
    return {
      disabled: this.disabled,
      dry_run: this.#options.dryRun,
      backend: tools?.backend.name ?? null,
      backend_why: this.#readiness.why,
      running: this.running,
      runs: this.#runs,
      targets_count: this.#registry.targetCount,
      ...totals,
      cold_bytes: coldSum(this.#registry.targets(), tools?.pageBytes ?? kernelPageBytes()),
      pressure_percent: this.stallPercentMax,
      ends: { ...this.#ends },
      ended: this.#ended.status(pageBytes),
      last_run: this.#lastRun,
      next_run_secs: nextMs === null ? null : secsOf(Math.max(0, nextMs - this.#options.clock.monotonicMs())),
      ...this.#outlook(pageBytes),
      refault_source: totals.refaulted_bytes === null ? null : (tools?.refaults.source ?? null),
    };
  }

  /** Null while no eviction has a price: then nobody asks what came back. */
  #refaultedBytes(pageBytes: number): number | null {
    const { refault_percent_limit: limit, cgroups } = this.#settings.memcg;
    if (limit === 0 && cgroups.every((rule) => (rule.refault_percent_limit ?? 0) === 0)) return null;
    return this.#registry.totals.refaultedPages * pageBytes;
  }

  /** The largest stall over the waiting period of a cgroup, in percent; null where none is known. */
  get stallPercentMax(): number | null {
    let most: number | null = null;
    for (const { windowPercent } of this.#registry.cgroups.values()) {
      if (windowPercent !== null && (most === null || windowPercent > most)) most = windowPercent;
    }
    return most;
  }

  status(): Omit<MemcgStatus, "free"> {
    this.#refresh();
    const tools = this.#readiness.current;
    const nowMs = this.#options.clock.monotonicMs();
    const view = {
      pageBytes: tools?.pageBytes ?? kernelPageBytes(),
      backend: tools?.backend.name ?? "lru_gen",
      nextRunMs: (target: TargetState) => (target.settings.disabled ? null : Math.max(0, this.#dueMs(target) - nowMs)),
      outlook: this.#outlookView(),
    } as const;
    return { ...this.summary(), targets: [...this.#registry.targets()].map((target) => targetStatus(target, view)) };
  }
}

function* lastEndsOf(registry: MemcgRegistry): Generator<EndReason | null> {
  for (const { lastEnd } of registry.targets()) yield lastEnd;
}

function shortest({ period_min_secs, period_secs }: Pick<MemcgSettings, "period_min_secs" | "period_secs">): number {
  return Math.min(period_min_secs, period_secs);
}
