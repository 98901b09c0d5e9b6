/**
 * The evictions of one run: every target with something cold gets its turn, one batch at a time, and each batch is
 * preceded by a look at pressure, triggers, settings and shutdown. Files the kernel must fill for every cgroup of the
 * machine are read only as often as their share of the time stays small.
 */
import type { Clock } from "../../base/clock.ts";
import { isFault, messageOf } from "../../base/fault.ts";
import {
  batchMs,
  batchPagesAtStart,
  evictedPages,
  judgeProgress,
  mayLook,
  nextBatchPages,
} from "../../core/eviction.ts";
import type { EndReason } from "../../core/reason.ts";
import type { Backend, EvictPlan } from "./backend.ts";
import type { EvictionGuards } from "./pressure.ts";
import type { TargetState } from "./registry.ts";

/** A refusal may be a race with somebody who evicted or removed the same; more are an error. */
const refusalsMax = 1;

/** One target under eviction. */
class Job {
  readonly target: TargetState;
  readonly plan: EvictPlan;
  leftPages: number;
  idleLooks = 0;
  /** Nothing more is asked of it until the next look shows what is there. */
  parked = false;
  end: EndReason | null = null;
  /** What the cgroup's usage fell by around the writes since the last look; null where usage is unknown. */
  usageFellPages: number | null = 0;
  batches = 0;
  writesSinceLook = 0;
  askedSinceLook = 0;
  /** The last batch, where only the next look can tell whether it freed anything. */
  unproven: { readonly pages: number; readonly tookMs: number } | null = null;
  refusals = 0;
  error: string | null = null;

  constructor(target: TargetState, plan: EvictPlan) {
    this.target = target;
    this.plan = plan;
    this.leftPages = plan.pages;
  }
}

/** A batch that was held up for so long at most may be a hiccup of the machine; a longer one counts at once. */
const hiccupMsMax = 4 * batchMs;

/** The size of batches of one kind. One slow batch after a quick one says nothing yet: the machine does other things too. */
class Speed {
  pages = batchPagesAtStart;
  #lastMsPerPage: number | null = null;

  learn(pages: number, tookMs: number, fullyUsed: boolean): void {
    const asBefore = this.#lastMsPerPage === null || tookMs > hiccupMsMax ? tookMs : this.#lastMsPerPage * pages;
    this.pages = nextBatchPages(pages, Math.min(tookMs, asBefore), fullyUsed);
    if (fullyUsed) this.#lastMsPerPage = tookMs / pages;
  }
}

/** Speed is learnt separately for file pages, which are dropped, and for those that are swapped out. */
export class Pace {
  readonly #file = new Speed();
  readonly #swap = new Speed();

  pages(swappiness: number | null): number {
    return this.#of(swappiness).pages;
  }

  learn(swappiness: number | null, pages: number, tookMs: number, fullyUsed: boolean): void {
    this.#of(swappiness).learn(pages, tookMs, fullyUsed);
  }

  #of(swappiness: number | null): Speed {
    return swappiness === 0 ? this.#file : this.#swap;
  }
}

export interface EvictionMachinery {
  readonly clock: Clock;
  readonly backend: Backend;
  readonly guards: EvictionGuards;
  readonly pace: Pace;
  /** Pages that the target's cgroup uses now; null where the kernel does not say. */
  readonly usagePages: (target: TargetState) => number | null;
  /** Why this target must stop now, whatever its pages: shutdown, settings. */
  readonly stopReason: (target: TargetState) => EndReason | null;
  /** Whether the target's cgroup was removed; the kernel may go on listing it for a moment. */
  readonly isGone: (target: TargetState) => boolean;
  /** Called once for each target that is done. */
  readonly ended: (target: TargetState, reason: EndReason, error: string | null) => void;
}

/** Evicts what the plans name and resolves with the number of batches. Never throws for a single target's failure. */
export async function evictTargets(
  plans: readonly { readonly target: TargetState; readonly plan: EvictPlan }[],
  machinery: EvictionMachinery,
): Promise<number> {
  const jobs = plans.map(({ target, plan }) => new Job(target, plan));
  const rotation = new Rotation(jobs, machinery);
  // Bounded: each turn of the rotation evicts, or is followed by a look, and two idle looks end a job.
  while (!rotation.done) await rotation.turn();
  return jobs.reduce((sum, job) => sum + job.batches, 0);
}

class Rotation {
  active: Job[];
  /** Ended, but what they evicted is only known at the next look. */
  #ended: Job[] = [];
  readonly #machinery: EvictionMachinery;
  #evictedMs = 0;
  #lookMs = 0;

  constructor(jobs: Job[], machinery: EvictionMachinery) {
    this.active = jobs;
    this.#machinery = machinery;
  }

  get done(): boolean {
    return this.active.length === 0 && this.#ended.length === 0;
  }

  async turn(): Promise<void> {
    for (const job of this.active) {
      this.#heedTriggers();
      if (job.end !== null || job.parked) continue;
      const stop = this.#reasonToStop(job);
      if (stop === null) await this.#batch(job);
      else this.#end(job, stop, null);
    }
    this.#retire();
    if (this.active.every((job) => job.parked) || mayLook(this.#evictedMs, this.#lookMs)) this.#look();
  }

  #reasonToStop(job: Job): EndReason | null {
    const { guards, stopReason } = this.#machinery;
    const stop = stopReason(job.target);
    if (stop !== null) return stop;
    return guards.above(job.target) === null ? null : "pressure";
  }

  /** A trigger that fired is checked against the totals: it also counts what the cgroup's children stalled. */
  #heedTriggers(): void {
    const { guards } = this.#machinery;
    const fired = guards.fired();
    if (fired.length === 0) return;
    for (const job of this.active) {
      if (!fired.includes(job.target) || job.end !== null) continue;
      if (guards.above(job.target) !== null) this.#end(job, "pressure", null);
    }
  }

  async #batch(job: Job): Promise<void> {
    const { clock, backend, pace, usagePages } = this.#machinery;
    const { swappiness } = job.plan;
    const pages = Math.max(1, Math.min(pace.pages(swappiness), job.leftPages));
    const usageBefore = usagePages(job.target);
    const startMs = clock.monotonicMs();
    try {
      await backend.evict(job.target, job.plan, pages);
    } catch (error) {
      this.#refused(job, error);
      return;
    }
    const tookMs = clock.monotonicMs() - startMs;
    this.#evictedMs += tookMs;
    job.batches++;
    job.writesSinceLook++;
    const usageAfter = usagePages(job.target);
    const fell = usageBefore === null || usageAfter === null ? null : Math.max(0, usageBefore - usageAfter);
    job.usageFellPages = fell === null || job.usageFellPages === null ? null : job.usageFellPages + fell;
    job.leftPages -= fell ?? pages;
    job.parked = job.leftPages <= 0 || fell === 0;
    job.askedSinceLook += pages;
    if (fell === null) job.unproven = { pages, tookMs };
    else pace.learn(swappiness, pages, tookMs, fell >= pages / 2);
  }

  /** The kernel refused a batch: the cgroup or the generation may be gone. The next look tells; twice is an error. */
  #refused(job: Job, error: unknown): void {
    job.parked = true;
    job.refusals++;
    if (isFault(error, "vanished")) this.#end(job, "vanished", null);
    else if (job.refusals > refusalsMax || !isFault(error, "unsupported")) this.#end(job, "error", messageOf(error));
  }

  #end(job: Job, reason: EndReason, error: string | null): void {
    job.end = reason;
    job.error = error;
    this.#machinery.guards.release(job.target);
  }

  #retire(): void {
    for (const job of this.active) if (job.end !== null) this.#ended.push(job);
    this.active = this.active.filter((job) => job.end === null);
  }

  /** Reads all generations, books what was evicted since the last look, and decides who goes on. */
  #look(): void {
    const { clock, backend, isGone, ended } = this.#machinery;
    const jobs = [...this.active, ...this.#ended];
    const before = jobs.map(measure);
    const startMs = clock.monotonicMs();
    backend.look(false);
    for (const { target, writesSinceLook } of jobs) {
      // Between rmdir and the end of the listing Linux 7.2 hands the pages to the parent: nothing is left, nothing was evicted.
      if (writesSinceLook > 0 && isGone(target)) target.generationCount = 0;
    }
    this.#lookMs = clock.monotonicMs() - startMs;
    this.#evictedMs = 0;
    for (const [index, job] of jobs.entries()) {
      const was = before[index];
      if (was === undefined) continue;
      const pages = book(job, was);
      this.#learnLate(job, pages);
      if (job.end === null) this.#judge(job, was);
      job.writesSinceLook = 0;
      job.askedSinceLook = 0;
    }
    this.#retire();
    for (const job of this.#ended) if (job.end !== null) ended(job.target, job.end, job.error);
    this.#ended = [];
  }

  /** Speed, where usage is unknown: a batch that was quick because there was nothing to free is no reason for a larger one. */
  #learnLate(job: Job, evicted: number): void {
    if (job.unproven === null) return;
    const { pages, tookMs } = job.unproven;
    this.#machinery.pace.learn(job.plan.swappiness, pages, tookMs, evicted >= job.askedSinceLook / 2);
    job.unproven = null;
  }

  #judge(job: Job, was: Measure): void {
    const { target, plan } = job;
    const oldest = target.generation(0);
    if (oldest === null) {
      this.#end(job, "vanished", null);
      return;
    }
    const now = measure(job);
    const decision = judgeProgress({
      coldPagesBefore: was.cold,
      coldPages: now.cold,
      oldestSeq: oldest.seq,
      seq: plan.seq,
      idleLooks: job.idleLooks,
      leftPages: job.leftPages,
      wrote: job.writesSinceLook > 0,
    });
    if (decision.do === "end") {
      this.#end(job, decision.why === "amount_done" ? plan.endsWith : decision.why, null);
      return;
    }
    job.idleLooks = decision.idleLooks;
    job.leftPages = Math.min(Math.max(job.leftPages, 1), now.cold);
    job.parked = false;
  }
}

/** Books what was evicted of a target since the last look, and returns how many pages it was. */
function book(job: Job, was: Measure): number {
  if (job.writesSinceLook === 0) return 0;
  const { target } = job;
  const now = measure(job);
  const gone = target.generationCount === 0;
  const pages = Math.round(
    evictedPages({
      usageFellPages: job.usageFellPages,
      coldFellPages: was.coldFile + was.coldAnon - now.coldFile - now.coldAnon,
      // What went with the cgroup itself was not evicted.
      allFellPages: gone ? 0 : was.allFile + was.allAnon - now.allFile - now.allAnon,
    }),
  );
  const fileFell = Math.max(0, was.coldFile - now.coldFile);
  const anonFell = Math.max(0, was.coldAnon - now.coldAnon);
  const file = fileFell + anonFell === 0 ? 0 : Math.round((pages * fileFell) / (fileFell + anonFell));
  target.evictedFilePages += file;
  target.evictedAnonPages += pages - file;
  target.lastEvictedFilePages += file;
  target.lastEvictedAnonPages += pages - file;
  job.usageFellPages = job.usageFellPages === null ? null : 0;
  return pages;
}

interface Measure {
  readonly coldFile: number;
  readonly coldAnon: number;
  readonly allFile: number;
  readonly allAnon: number;
  /** What this job may still evict. */
  readonly cold: number;
}

function measure(job: Job): Measure {
  const { target, plan } = job;
  const coldFile = target.pagesUpTo(plan.seq, "file");
  const coldAnon = target.pagesUpTo(plan.seq, "anon");
  return {
    coldFile,
    coldAnon,
    allFile: target.pagesUpTo(Infinity, "file"),
    allAnon: target.pagesUpTo(Infinity, "anon"),
    cold: coldFile + (plan.swappiness === 0 ? 0 : coldAnon),
  };
}
