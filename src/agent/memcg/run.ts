/**
 * One memcg run: a snapshot, the pressure of the waiting period, aging, eviction (SPEC 4). The phases are here; what
 * they decide is in core, how pages are found and evicted is the backend's.
 */
import type { Clock } from "../../base/clock.ts";
import { isFault, messageOf, nullIfFault } from "../../base/fault.ts";
import type { Logger } from "../../base/log.ts";
import type { Turns } from "../../base/turns.ts";
import type { MemcgSettings } from "../../config/schema.ts";
import { agingIntervalMsMax, decideAging } from "../../core/aging.ts";
import {
  decidePace,
  judgePace,
  noteCpu,
  noteGrowth,
  notePaceEmpty,
  notePaceEviction,
  quietMs,
  rhythmOf,
  samplePagesMin,
  worthMs,
  type PaceLimits,
} from "../../core/pace.ts";
import { isAbove } from "../../core/pressure.ts";
import { noEnds, type EndReason } from "../../core/reason.ts";
import type { RefaultObservation } from "../../core/refault.ts";
import { toleranceMs } from "../../core/schedule.ts";
import type { CgroupTree } from "../../kernel/cgroup.ts";
import { readCpuUsageUs } from "../../kernel/cpu-stat.ts";
import { readMeminfo } from "../../kernel/meminfo.ts";
import { displayPath } from "../../system/path-name.ts";
import type { Events } from "../events.ts";
import type { Backend, EvictPlan } from "./backend.ts";
import { Bounds } from "./bounds.ts";
import { evictEnded, type EndedBook } from "./ended.ts";
import { evictTargets, type Pace } from "./evict.ts";
import { EvictionGuards, waitingPercent, type PressureReader } from "./pressure.ts";
import type { FreedCounter } from "./freed.ts";
import type { RefaultAccounts } from "./refaults.ts";
import { isThere, type CgroupState, type MemcgRegistry, type TargetState } from "./registry.ts";

/** What runs share. */
export interface MemcgTools {
  readonly root: string;
  readonly tree: CgroupTree;
  readonly pageBytes: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: Events;
  readonly backend: Backend;
  readonly registry: MemcgRegistry;
  readonly ended: EndedBook;
  readonly pressure: PressureReader;
  readonly refaults: RefaultAccounts;
  readonly pace: Pace;
  readonly turns: Turns;
  readonly counter: FreedCounter;
}

/** What one run is asked. */
export interface MemcgRunRequest {
  readonly dryRun: boolean;
  /** Whether a target takes part. Asked after the snapshot. */
  readonly isDue: (target: TargetState) => boolean;
  /** Whether the run lasts until the next period comes, and then leaves to the next one what it has not reached. */
  readonly bounded: boolean;
}

export interface MemcgRunOutcome {
  readonly targets: readonly TargetState[];
  readonly ends: Record<EndReason, number>;
  readonly endOf: ReadonlyMap<TargetState, EndReason>;
  readonly aged: number;
  /** Targets that were aged so short a time before that they were left out, and the longest such time. */
  readonly agedBefore: { readonly targets: number; readonly withinMs: number };
  readonly skipped: number;
  readonly batches: number;
  /** What was evicted, or with dryRun would have been. */
  readonly plans: ReadonlyMap<TargetState, EvictPlan>;
  /** File pages that went with ended units, or with dryRun would have gone. */
  readonly endedPages: number;
}

/** Runs what is due. Throws only where no snapshot can be taken; a target that fails ends with `error`. */
export async function runMemcg(tools: MemcgTools, request: MemcgRunRequest): Promise<MemcgRunOutcome> {
  const run = new MemcgRun(tools, request);
  try {
    return await run.run();
  } finally {
    tools.pressure.forget();
    tools.refaults.forget();
    tools.backend.rest();
  }
}

class MemcgRun {
  readonly #tools: MemcgTools;
  readonly #request: MemcgRunRequest;
  readonly #ends = noEnds();
  readonly #endOf = new Map<TargetState, EndReason>();
  readonly #plans = new Map<TargetState, EvictPlan>();
  readonly #observations = new Map<CgroupState, RefaultObservation | null>();
  readonly #sitOuts = new Map<CgroupState, number>();
  /** What this run freed, all nodes. */
  readonly #freedPages = new Map<CgroupState, number>();
  readonly #bounds: Bounds;
  /** Their waiting period had too much pressure. */
  readonly #skipped = new Set<TargetState>();
  readonly #agedBefore = { targets: 0, withinMs: 0 };
  /** When targets that are still waiting for their turn are left to the next run. */
  #overMs = Number.POSITIVE_INFINITY;

  constructor(tools: MemcgTools, request: MemcgRunRequest) {
    this.#tools = tools;
    this.#request = request;
    this.#bounds = new Bounds(tools.root, tools.tree, tools.pageBytes);
  }

  async run(): Promise<MemcgRunOutcome> {
    const { backend, registry, turns, clock } = this.#tools;
    const startMs = clock.monotonicMs();
    await turns.through(backend.looking(true));
    this.#noteGrowth();
    const targets = unreachedFirst(
      [...registry.targets()].filter((target) => target.generationCount > 0 && this.#request.isDue(target)),
    );
    if (this.#request.bounded) this.#overMs = startMs + shortestPeriodMs(targets);
    await turns.through(this.#notingCpu(targets));
    const calm = await this.#leaveOutStalled(targets.filter((target) => this.#isEnabled(target)));
    const aged = await this.#age(calm);
    const ready = calm.filter((target) => !this.#endOf.has(target));
    if (aged > 0 && ready.some(mayEvict)) await turns.through(backend.looking(false));
    for (const target of ready) await this.#plan(target);
    const batches = this.#request.dryRun ? this.#pretend() : await this.#evict();
    const endedPages = await this.#evictEnded();
    await turns.giveWay();
    this.#bookEvictions();
    for (const target of ready) backend.ran(target, this.#askedPages(target));
    return {
      targets,
      ends: this.#ends,
      endOf: this.#endOf,
      aged,
      agedBefore: this.#agedBefore,
      skipped: this.#skipped.size,
      batches,
      plans: this.#plans,
      endedPages,
    };
  }

  /** What has grown may be due now. */
  #noteGrowth(): void {
    const { registry, pageBytes } = this.#tools;
    for (const target of registry.targets()) {
      target.pace = noteGrowth(target.pace, target.sizePages, pageBytes, target.paceLimits);
    }
  }

  #askedPages(target: TargetState): number {
    return this.#request.dryRun || target.unreached ? 0 : (this.#plans.get(target)?.pages ?? 0);
  }

  #end(target: TargetState, ended: EndReason, failure: string | null = null): void {
    if (this.#endOf.has(target)) return;
    // The kernel answers EINVAL for a cgroup that was removed since the snapshot, and may go on listing it.
    const vanished = (ended === "error" || ended === "no_progress") && this.#isGone(target);
    const reason = vanished ? "vanished" : ended;
    const error = vanished ? null : failure;
    this.#endOf.set(target, reason);
    this.#ends[reason]++;
    const failedBefore = target.lastError !== null;
    target.lastError = error;
    target.end(reason);
    // Once, not in each period.
    const { log, events, pageBytes } = this.#tools;
    const newError = error !== null && !failedBefore;
    if (!newError && !events.heard) return;
    const path = displayPath(target.cgroup.path);
    if (newError) log.warn("target failed", { path, node: target.node, error });
    const evicted_bytes = (target.lastEvictedAnonPages + target.lastEvictedFilePages) * pageBytes;
    const skipped = this.#skipped.has(target);
    const { node, pace } = target;
    const period_secs = target.periodMs / 1000;
    events.emit({ event: "target_end", path, node, end: reason, skipped, evicted_bytes, period_secs, idle: pace.idle });
  }

  #isGone({ cgroup }: TargetState): boolean {
    return !isThere(this.#tools.root, this.#tools.tree, cgroup);
  }

  #isEnabled(target: TargetState): boolean {
    target.runs++;
    target.lastEvictedAnonPages = 0;
    target.lastEvictedFilePages = 0;
    if (!target.settings.disabled) return true;
    this.#end(target, "disabled");
    return false;
  }

  /** Whether the target must stop, and has ended by that. */
  #stops(target: TargetState): boolean {
    const stops = this.#tools.registry.mustStop(target);
    if (stops) this.#end(target, "stopped");
    return stops;
  }

  /**
   * Leaves out what stalled in its waiting period; that period then goes on. The others begin a new one. What the last run
   * did not reach has passed there.
   */
  async #leaveOutStalled(targets: readonly TargetState[]): Promise<readonly TargetState[]> {
    const { pressure, turns } = this.#tools;
    const calm = targets.filter(({ unreached }) => unreached);
    const byCgroup = Map.groupBy(
      targets.filter(({ unreached }) => !unreached),
      (target) => target.cgroup,
    );
    for (const [cgroup, stopping] of byCgroup) {
      if (turns.due) await turns.giveWay();
      const ofCgroup = stopping.filter((target) => !this.#stops(target));
      if (ofCgroup.length === 0) continue;
      await turns.through(pressure.reading(cgroup));
      const reading = pressure.cached(cgroup);
      cgroup.windowPercent = waitingPercent(cgroup, reading);
      const passed = ofCgroup.filter((target) => {
        return !isAbove(cgroup.windowPercent, target.settings.period_psi_percent_limit);
      });
      if (passed.length > 0 || cgroup.windowStart === null) cgroup.windowStart = reading;
      calm.push(...passed);
      for (const target of ofCgroup) if (!passed.includes(target)) this.#skip(target);
    }
    return calm;
  }

  #skip(target: TargetState): void {
    target.skips++;
    this.#skipped.add(target);
    this.#end(target, "pressure");
  }

  async #age(targets: readonly TargetState[]): Promise<number> {
    const due = targets.filter((target) => {
      const { periodMs, youngestAgeMs } = target;
      if (decideAging({ youngestAgeMs, periodMs, toleranceMs: toleranceMs(periodMs) }).do === "age") return true;
      this.#agedBefore.targets++;
      this.#agedBefore.withinMs = Math.max(this.#agedBefore.withinMs, Math.min(agingIntervalMsMax, periodMs));
      return false;
    });
    const { aged, failed } = await this.#tools.backend.age(due, (target) => !this.#stops(target));
    for (const target of aged) target.agings++;
    for (const { target, error } of failed) {
      if (isFault(error, "vanished")) this.#end(target, "vanished");
      else this.#end(target, "error", messageOf(error));
    }
    return aged.length;
  }

  async #plan(target: TargetState): Promise<void> {
    const { backend, refaults, turns } = this.#tools;
    const { cgroup, settings } = target;
    if (turns.due) await turns.giveWay();
    if (this.#stops(target)) return;
    if (target.generationCount === 0) {
      this.#end(target, "vanished");
      return;
    }
    const swapFreePages = this.#swapFreePages();
    const swapRoomPages = settings.swap ? this.#bounds.swapRoomPages(cgroup) : null;
    let plan = backend.plan(target, { swapFreePages, swapRoomPages, unprotectedPages: null });
    if (plan.do === "evict") {
      plan = backend.plan(target, {
        swapFreePages,
        swapRoomPages,
        unprotectedPages: this.#bounds.unprotectedPages(cgroup),
      });
    }
    const limit = settings.refault_percent_limit;
    await turns.through(refaults.reading(cgroup, limit, plan.do === "evict"));
    const observation = this.#observe(cgroup, settings, plan.do === "evict");
    const limits = target.paceLimits;
    this.#judgePace(target, limits);
    if (plan.do === "end") {
      if (plan.why === "nothing_cold") target.pace = notePaceEmpty(target.pace, limits);
      this.#end(target, plan.why);
      return;
    }
    const rhythm = rhythmOf(target.pace, idleMs(cgroup, this.#tools.clock.monotonicMs()));
    if (rhythm === "pausing") {
      this.#end(target, "refaults");
      return;
    }
    if (!this.#sitOuts.has(cgroup)) this.#sitOuts.set(cgroup, refaults.sitOut(cgroup, limit, !this.#request.dryRun));
    // Past its rhythm there is nothing to be sat out: the job has changed, or is over.
    if (rhythm === "none" && (this.#sitOuts.get(cgroup) ?? 0) > 0) {
      this.#end(target, "refaults");
      return;
    }
    const paced = this.#paced(target, plan, limits);
    if (paced === null) {
      this.#end(target, "sampled");
      return;
    }
    this.#observations.set(cgroup, observation);
    this.#plans.set(target, paced);
    this.#bounds.reserve(cgroup, paced);
  }

  /** What came back, and whether the cgroup is idle, says what is known of the target's pace. */
  #judgePace(target: TargetState, limits: PaceLimits): void {
    const { clock } = this.#tools;
    const { cgroup } = target;
    const nowMs = clock.monotonicMs();
    target.pace = judgePace(target.pace, {
      nowMs,
      limits,
      idle: (idleMs(cgroup, nowMs) ?? 0) >= quietMs(target.generation(0)?.ageMs ?? 0),
      sizePages: target.sizePages,
      costly: cgroup.judgement.verdict === "costly",
      worthMs: worthMs(target.settings.refault_percent_limit),
    });
  }

  /**
   * As much of the plan as the target's pace allows; null while an eviction is under trial. Without a price nobody asks
   * what came back, so there are no samples; and a dry run tells all that is cold.
   */
  #paced(target: TargetState, plan: EvictPlan, limits: PaceLimits): EvictPlan | null {
    if (target.settings.refault_percent_limit === 0 || this.#request.dryRun) return plan;
    const decision = decidePace(target.pace, plan.pages, this.#tools.clock.monotonicMs(), limits);
    if (decision.do === "wait") return null;
    return decision.sample ? { ...plan, pages: decision.pages, endsWith: "sampled" } : plan;
  }

  /** A cgroup that used the CPU since the last run is busy; one whose CPU time is unknown counts as busy. */
  *#notingCpu(targets: readonly TargetState[]): Generator<undefined, void> {
    const { root, tree, clock } = this.#tools;
    // Of what is smaller than a sample all goes at once: nobody asks whether it is idle.
    const worth = targets.filter((target) => target.sizePages >= samplePagesMin);
    for (const cgroup of new Set(worth.map((target) => target.cgroup))) {
      const usageUs = nullIfFault(() => readCpuUsageUs(root, tree, cgroup.path));
      cgroup.cpu = usageUs === null ? null : noteCpu(cgroup.cpu, usageUs, clock.monotonicMs());
      yield;
    }
  }

  /** One observation a cgroup and run, however many nodes it has. */
  #observe(cgroup: CgroupState, settings: MemcgSettings, evicting: boolean): RefaultObservation | null {
    const known = this.#observations.get(cgroup);
    if (known !== undefined) return known;
    const observation = this.#tools.refaults.judge(cgroup, settings.refault_percent_limit, evicting);
    if (observation !== null) this.#observations.set(cgroup, observation);
    return observation;
  }

  async #evict(): Promise<number> {
    if (this.#plans.size === 0) return 0;
    const { clock, pressure, registry, turns } = this.#tools;
    using guards = new EvictionGuards(pressure);
    const plans = [...this.#plans].map(([target, plan]) => ({ target, plan }));
    const mustStop = (target: TargetState): boolean => registry.mustStop(target);
    const leaveOut = (target: TargetState): EndReason | null => {
      return mustStop(target) ? "stopped" : clock.monotonicMs() >= this.#overMs ? "unreached" : null;
    };
    let batches = 0;
    for await (const end of evictTargets(plans, { ...this.#tools, guards, mustStop, leaveOut })) {
      const { cgroup } = end.target;
      if (end.why !== "unreached") end.target.evictions++;
      batches += end.batches;
      this.#freedPages.set(cgroup, (this.#freedPages.get(cgroup) ?? 0) + end.filePages + end.anonPages);
      if (end.filePages + end.anonPages > 0) {
        const nowMs = clock.monotonicMs();
        const sample = this.#plans.get(end.target)?.endsWith === "sampled";
        end.target.pace = notePaceEviction(end.target.pace, nowMs, { sample, idleMs: idleMs(cgroup, nowMs) });
      }
      this.#end(end.target, end.why, end.error);
      if (turns.due) await turns.giveWay();
    }
    return batches;
  }

  /** After the living, so that little of theirs is left for the kernel to come across. */
  async #evictEnded(): Promise<number> {
    let evictedPages = 0;
    await evictEnded(this.#tools.ended.all, {
      ...this.#tools,
      bounds: this.#bounds,
      swapFreePages: () => this.#swapFreePages(),
      dryRun: this.#request.dryRun,
      giveback: null,
      evicted: (pages) => void (evictedPages += pages),
      ownCgroup: this.#tools.registry.ownCgroup,
      stops: ({ targets: [target] }) => target === undefined || this.#tools.registry.mustStop(target),
      totals: this.#tools.registry.totals,
    });
    return evictedPages;
  }

  #pretend(): number {
    for (const [target, plan] of this.#plans) this.#end(target, plan.endsWith);
    return 0;
  }

  #bookEvictions(): void {
    for (const [cgroup, observation] of this.#observations) {
      this.#tools.refaults.evicted(cgroup, observation, this.#freedPages.get(cgroup) ?? 0);
    }
  }

  #swapFree: number | null = null;

  #swapFreePages(): number {
    this.#swapFree ??= readMeminfo(this.#tools.root).swapFreeBytes / this.#tools.pageBytes;
    return this.#swapFree;
  }
}

/** How long the cgroup has not used the CPU; null where that is not known. */
function idleMs({ cpu }: CgroupState, nowMs: number): number | null {
  return cpu === null ? null : nowMs - cpu.busyMs;
}

/** What waited longest is done first. */
function unreachedFirst(targets: readonly TargetState[]): readonly TargetState[] {
  return [...targets.filter(({ unreached }) => unreached), ...targets.filter(({ unreached }) => !unreached)];
}

function shortestPeriodMs(targets: readonly TargetState[]): number {
  return targets.reduce((least, { periodMs }) => Math.min(least, periodMs), Number.POSITIVE_INFINITY);
}

/** Only a target that was aged often enough needs its generations read again after aging. */
function mayEvict(target: TargetState): boolean {
  return target.agings >= target.settings.eviction_run_aging_count_min;
}
