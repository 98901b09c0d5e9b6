/**
 * Gives back as much as possible by a deadline, across all cgroups (SPEC 5a). What goes next is core/giveback.ts's to
 * say; here it is carried out in rounds, each of which evicts like a run: in batches, with a check before each.
 */
import { within } from "../../base/clock.ts";
import { messageOf } from "../../base/fault.ts";
import { isAbove } from "../../core/pressure.ts";
import { chooseSwappiness } from "../../core/eviction.ts";
import {
  agingMsPerPageAtStart,
  hasTimeForBatch,
  isSlowTurn,
  leftOf,
  nextTurnMs,
  planGiveback,
  turnMsAtStart,
  type GivebackLeft,
  type GivebackLimits,
  type GivebackStop,
  type Holding,
  type Take,
} from "../../core/giveback.ts";
import type { EndedEnd } from "../../core/ended.ts";
import type { EndReason } from "../../core/reason.ts";
import type { RefaultObservation } from "../../core/refault.ts";
import { readMeminfo } from "../../kernel/meminfo.ts";
import { displayPath } from "../../system/path-name.ts";
import type { EvictPlan, Reach } from "./backend.ts";
import { Bounds } from "./bounds.ts";
import { evictEnded } from "./ended.ts";
import { evictTargets, type EvictionTools } from "./evict.ts";
import { EvictionGuards, waitingPercent } from "./pressure.ts";
import { isThere, type CgroupState, type TargetState } from "./registry.ts";
import type { MemcgTools } from "./run.ts";

export interface MemcgGivebackRequest {
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  /** Null for as much as there is. */
  readonly targetPages: number | null;
  readonly minAgeMs: number;
  readonly ignorePressure: boolean;
}

export interface MemcgGivebackOutcome {
  readonly filePages: number;
  readonly anonPages: number;
  readonly batches: number;
  readonly agings: number;
  readonly left: ReadonlyMap<GivebackLeft, { readonly pages: number; readonly targets: number }>;
}

/** Each round takes at least one class of age of every target, and each target is aged twice at most. */
const roundsMax = 64;

const nothing = (): void => {
  // Nothing is watched.
};
const noGuards: EvictionTools["guards"] = {
  watch: nothing,
  arm: nothing,
  release: nothing,
  above: () => null,
  stalled: () => [],
};

/** What has become of a target so far. */
interface Progress {
  readonly reach: Reach | null;
  /** Freed so far, by the kernel's count. */
  filePages: number;
  anonPages: number;
  agings: number;
  stuckSeq: number | null;
  slow: boolean;
  shut: GivebackLeft | null;
}

export interface MemcgGiveback {
  readonly outcome: MemcgGivebackOutcome;
  /** The kernel holds a write beyond the deadline. */
  readonly late: boolean;
  /** Resolves when nothing is under way any more; nobody waits for a write that is late. */
  readonly over: Promise<void>;
}

/** Faults: what keeps the first scan from being made. A target that fails is left, and does not stop the others. */
export async function givebackMemcg(tools: MemcgTools, request: MemcgGivebackRequest): Promise<MemcgGiveback> {
  const giveback = new Giveback(tools, request);
  const rest = (): void => {
    tools.pressure.forget();
    tools.refaults.forget();
    tools.backend.rest();
  };
  try {
    await giveback.begin();
  } catch (error) {
    rest();
    throw error;
  }
  const rounds = giveback.rounds();
  const over = rounds.then(() => giveback.bookRefaults()).finally(rest);
  const stop = await within(tools.clock, request.deadlineMs - tools.clock.monotonicMs(), rounds);
  return { outcome: giveback.outcome(stop ?? "deadline"), late: stop === null, over };
}

class Giveback {
  readonly #tools: MemcgTools;
  readonly #request: MemcgGivebackRequest;
  readonly #targets: TargetState[] = [];
  readonly #progress: Progress[] = [];
  readonly #observations = new Map<CgroupState, RefaultObservation | null>();
  #scanMs = 0;
  #turnMs = turnMsAtStart;
  /** The batch that is under way, or was the last of this round. */
  #turn: { readonly index: number; readonly beganMs: number } | null = null;
  /** Targets that were slow when this round began: they have their turn, the others being done. */
  #slowAtStart: ReadonlySet<number> = new Set();
  #agingMsPerPage = agingMsPerPageAtStart;
  #batches = 0;
  /** Of ended units, and of what went with them. */
  #endedPages = 0;

  constructor(tools: MemcgTools, request: MemcgGivebackRequest) {
    this.#tools = tools;
    this.#request = request;
  }

  /** Reads what is there. */
  async begin(): Promise<void> {
    await this.#scan(true);
    const swapFreePages = this.#swapFreePages();
    for (const target of this.#tools.registry.targets()) {
      this.#targets.push(target);
      this.#progress.push(this.#begin(target, swapFreePages));
      if (this.#tools.turns.due) await this.#tools.turns.giveWay();
    }
  }

  /** What was done by now. */
  outcome(stop: GivebackStop): MemcgGivebackOutcome {
    return {
      filePages: this.#freed("filePages"),
      anonPages: this.#freed("anonPages"),
      batches: this.#batches,
      agings: this.#progress.reduce((sum, { agings }) => sum + agings, 0),
      left: this.#left(stop),
    };
  }

  #begin(target: TargetState, swapFreePages: number): Progress {
    const { backend } = this.#tools;
    const reach = backend.reach(target, { swapFreePages });
    const shut = target.settings.disabled
      ? "disabled"
      : reach === null
        ? "out_of_reach"
        : this.#stallsTooMuch(target)
          ? "pressure"
          : null;
    return { reach, filePages: 0, anonPages: 0, agings: 0, stuckSeq: null, slow: false, shut };
  }

  /** As in a run: what stalled too much since its last one is left alone. Its waiting period goes on. */
  #stallsTooMuch({ cgroup, settings }: TargetState): boolean {
    if (this.#request.ignorePressure) return false;
    const percent = waitingPercent(cgroup, this.#tools.pressure.cached(cgroup));
    return isAbove(percent, settings.period_psi_percent_limit);
  }

  /** Evicts and ages until there is nothing to do, or no time. */
  async rounds(): Promise<GivebackStop> {
    await this.#evictEnded();
    for (let round = 0; round < roundsMax; round++) {
      const step = planGiveback(this.#holdings(), this.#limits());
      if (step.do === "stop") return step.why;
      if (step.do === "evict") await this.#evict(step.takes);
      else await this.#age(step.indexes);
    }
    return "deadline";
  }

  /** Nobody's own, and so first. */
  async #evictEnded(): Promise<void> {
    const { root, tree, pageBytes, registry } = this.#tools;
    await evictEnded(this.#tools.ended.all, {
      ...this.#tools,
      bounds: new Bounds(root, tree, pageBytes),
      swapFreePages: () => this.#swapFreePages(),
      dryRun: false,
      ownCgroup: registry.ownCgroup,
      giveback: { ...this.#request, pagesMax: () => this.#limits().leftPages },
      stops: ({ targets: [target] }) => target === undefined || this.#mustStop(target),
      evicted: (pages) => void (this.#endedPages += pages),
      totals: registry.totals,
    });
  }

  get #leftMs(): number {
    return this.#request.deadlineMs - this.#tools.clock.monotonicMs();
  }

  #limits(): GivebackLimits {
    const { targetPages, minAgeMs } = this.#request;
    return {
      minAgeMs,
      leftMs: this.#leftMs,
      scanMs: this.#scanMs,
      turnMs: this.#turnMs,
      leftPages: targetPages === null ? null : targetPages - this.#freed("filePages") - this.#freed("anonPages"),
      swapFreePages: this.#swapFreePages(),
      agingMsPerPage: this.#agingMsPerPage,
    };
  }

  #swapFreePages(): number {
    return readMeminfo(this.#tools.root).swapFreeBytes / this.#tools.pageBytes;
  }

  #holdings(): readonly Holding[] {
    const agesKnown = this.#tools.backend.name === "lru_gen";
    return this.#targets.map((target, index) => {
      const { settings, generations } = target;
      const progress = this.#progress[index] ?? lost;
      const swap = settings.swap && settings.swappiness_max > 0;
      return { generations, agesKnown, swap, ...progress };
    });
  }

  async #scan(identify: boolean): Promise<void> {
    const { clock, backend, turns } = this.#tools;
    const startMs = clock.monotonicMs();
    await turns.through(backend.looking(identify));
    this.#scanMs = clock.monotonicMs() - startMs;
  }

  #mustStop(target: TargetState): boolean {
    const limits = { leftMs: this.#leftMs, turnMs: this.#turnMs, scanMs: this.#scanMs };
    return !hasTimeForBatch(limits) || this.#tools.registry.mustStop(target);
  }

  /** As `#mustStop`, asked before each batch: from one to the next is a turn, with the scans and readings in it. */
  #mustStopBeforeBatch(index: number, target: TargetState): boolean {
    const nowMs = this.#tools.clock.monotonicMs();
    if (this.#turn !== null) this.#learnTurn(this.#turn.index, nowMs - this.#turn.beganMs);
    this.#turn = { index, beganMs: nowMs };
    const wasSlow = this.#slowAtStart.has(index);
    return (this.#progress[index]?.slow === true && !wasSlow) || this.#mustStop(target);
  }

  /** A target that holds up the others is put behind them, and what it took says nothing of theirs. */
  #learnTurn(index: number, tookMs: number): void {
    const progress = this.#progress[index];
    if (progress === undefined) return;
    if (isSlowTurn(tookMs) && !progress.slow) progress.slow = true;
    else this.#turnMs = nextTurnMs(this.#turnMs, tookMs);
  }

  async #age(indexes: readonly number[]): Promise<void> {
    const { clock, backend } = this.#tools;
    const targets = indexes.flatMap((index) => this.#targets[index] ?? []);
    const pages = targets.reduce((sum, target) => sum + heldPages(target), 0);
    const startMs = clock.monotonicMs();
    const { aged, failed } = await backend.age(targets, (target) => !this.#mustStop(target));
    const agedPages = aged.reduce((sum, target) => sum + heldPages(target), 0);
    if (failed.length === 0 && agedPages === pages && pages > 0) {
      this.#agingMsPerPage = Math.max(this.#agingMsPerPage, (clock.monotonicMs() - startMs) / pages);
    }
    for (const index of indexes) {
      const [target, progress] = [this.#targets[index], this.#progress[index]];
      if (target === undefined || progress === undefined) continue;
      const failure = failed.find((one) => one.target === target);
      if (aged.includes(target)) {
        progress.agings++;
        target.agings++;
      } else if (failure === undefined) progress.shut = this.#whyStopped(target);
      else this.#fail(index, messageOf(failure.error));
    }
    await this.#scan(false);
  }

  async #evict(takes: readonly Take[]): Promise<void> {
    const jobs = await this.#tools.turns.through(this.#jobsOf(takes));
    if (jobs.length === 0) return;
    using guards = this.#request.ignorePressure ? null : new EvictionGuards(this.#tools.pressure);
    this.#turn = null;
    this.#slowAtStart = new Set(takes.flatMap(({ index }) => (this.#progress[index]?.slow === true ? [index] : [])));
    const takeOf = new Map(jobs.map(({ target, take }) => [target, take]));
    const ends = evictTargets(jobs, {
      ...this.#tools,
      guards: guards ?? noGuards,
      leaveOut: () => null,
      mustStop: (target) => this.#mustStopBeforeBatch(takeOf.get(target)?.index ?? -1, target),
    });
    for await (const { target, why, error, batches, filePages, anonPages } of ends) {
      this.#batches += batches;
      const take = takeOf.get(target);
      const progress = take === undefined ? undefined : this.#progress[take.index];
      if (take === undefined || progress === undefined) continue;
      progress.filePages += filePages;
      progress.anonPages += anonPages;
      // What gives nothing once gives nothing again: without this a round could repeat itself.
      if (why === "no_progress" || (why !== "stopped" && filePages + anonPages === 0)) progress.stuckSeq = take.seq;
      this.#ended(take.index, why, error);
    }
  }

  #isGone({ cgroup }: TargetState): boolean {
    return !isThere(this.#tools.root, this.#tools.tree, cgroup);
  }

  /** The takes as plans, as far as protection lets them. */
  *#jobsOf(takes: readonly Take[]): Generator<undefined, readonly GivebackJob[]> {
    const { root, tree, pageBytes } = this.#tools;
    const bounds = new Bounds(root, tree, pageBytes);
    const jobs: GivebackJob[] = [];
    for (const take of takes) {
      yield;
      const [target, progress] = [this.#targets[take.index], this.#progress[take.index]];
      if (target === undefined || progress === undefined) continue;
      const unprotected = bounds.unprotectedPages(target.cgroup) ?? take.pages;
      if (unprotected <= 0) {
        progress.shut = "protected";
        continue;
      }
      this.#observe(target);
      const anonPages = Math.min(take.anonPages, bounds.swapRoomPages(target.cgroup) ?? take.anonPages);
      const takeable = take.pages - Math.max(0, take.pages - take.filePages - anonPages);
      const pages = Math.min(takeable, unprotected);
      if (pages <= 0) {
        progress.stuckSeq = take.seq;
        continue;
      }
      bounds.reserve(target.cgroup, { pages, anonPages: Math.min(pages, anonPages) });
      const swappiness = chooseSwappiness(anonPages, take.filePages, target.settings.swappiness_max);
      const plan: EvictPlan = {
        do: "evict",
        seq: take.seq,
        filePages: take.filePages,
        anonPages,
        swappiness: progress.reach?.takesSwappiness === false ? null : swappiness,
        pages,
        endsWith: pages < takeable ? "protected" : "nothing_cold",
      };
      jobs.push({ target, take, plan });
    }
    return jobs;
  }

  #ended(index: number, reason: EndReason, error: string | null): void {
    const [target, progress] = [this.#targets[index], this.#progress[index]];
    if (target === undefined || progress === undefined) return;
    if (reason === "protected" || reason === "pressure") progress.shut = reason;
    else if (reason === "error") this.#fail(index, error ?? "unknown");
    else if (reason === "stopped") progress.shut = this.#whyStopped(target);
  }

  /** Null where only the time was up: the plan says so itself. */
  #whyStopped(target: TargetState): GivebackLeft | null {
    if (!this.#tools.registry.mustStop(target)) return null;
    return target.settings.disabled ? "disabled" : "stopped";
  }

  #fail(index: number, error: string): void {
    const [target, progress] = [this.#targets[index], this.#progress[index]];
    if (target === undefined || progress === undefined || this.#isGone(target)) return;
    progress.shut = "error";
    const path = displayPath(target.cgroup.path);
    this.#tools.log.warn("target failed", { path, node: target.node, error });
  }

  /** What comes back of it is counted like what comes back of a run's evictions. */
  #observe({ cgroup, settings }: TargetState): void {
    if (this.#observations.has(cgroup)) return;
    const { refaults } = this.#tools;
    this.#observations.set(cgroup, refaults.judge(cgroup, settings.refault_percent_limit, true));
  }

  bookRefaults(): void {
    const freed = new Map<CgroupState, number>();
    for (const [index, { cgroup }] of this.#targets.entries()) {
      const { filePages, anonPages } = this.#progress[index] ?? lost;
      freed.set(cgroup, (freed.get(cgroup) ?? 0) + filePages + anonPages);
    }
    for (const [cgroup, observation] of this.#observations) {
      this.#tools.refaults.evicted(cgroup, observation, freed.get(cgroup) ?? 0);
    }
  }

  #freed(type: "filePages" | "anonPages"): number {
    const ended = type === "filePages" ? this.#endedPages : 0;
    return this.#progress.reduce((sum, progress) => sum + progress[type], ended);
  }

  #left(stop: GivebackStop): MemcgGivebackOutcome["left"] {
    const limits = { minAgeMs: this.#request.minAgeMs, swapFreePages: this.#swapFreePages() };
    const left = new Map<GivebackLeft, { pages: number; targets: number }>();
    for (const holding of this.#holdings()) {
      for (const [why, pages] of leftOf(holding, limits, stop)) {
        const known = left.get(why) ?? { pages: 0, targets: 0 };
        left.set(why, { pages: known.pages + pages, targets: known.targets + 1 });
      }
    }
    for (const { pages, lastEnd } of this.#tools.ended.all) {
      if (pages === 0) continue;
      const why = stop === "amount" ? "amount" : endedLefts[lastEnd ?? "evicted"];
      const known = left.get(why) ?? { pages: 0, targets: 0 };
      left.set(why, { pages: known.pages + pages, targets: known.targets + 1 });
    }
    return left;
  }
}

/** Why what ended is left. */
const endedLefts: Readonly<Record<EndedEnd, GivebackLeft>> = {
  evicted: "in_use",
  refaults: "in_use",
  fresh: "young",
  living_lost: "out_of_reach",
  no_progress: "no_progress",
  pressure: "pressure",
  disabled: "disabled",
  spared: "disabled",
  no_file: "out_of_reach",
  swap: "out_of_reach",
  stopped: "deadline",
  error: "error",
};

interface GivebackJob {
  readonly target: TargetState;
  readonly take: Take;
  readonly plan: EvictPlan;
}

/** Of a target that is not there. */
const lost: Progress = {
  reach: null,
  filePages: 0,
  anonPages: 0,
  agings: 0,
  stuckSeq: null,
  slow: false,
  shut: "error",
};

function heldPages(target: TargetState): number {
  return target.pagesUpTo(Infinity, "anon") + target.pagesUpTo(Infinity, "file");
}
