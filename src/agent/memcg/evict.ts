/**
 * The evictions of one run: every target with something cold gets its turn, one batch at a time, and each batch is
 * preceded by a look at pressure, triggers, settings and shutdown. What a batch freed is what the kernel counts. Files
 * the kernel must fill for every cgroup of the machine are read only as often as their share of the time stays small.
 */
import type { Clock } from "../../base/clock.ts";
import { isFault, messageOf } from "../../base/fault.ts";
import type { Turns } from "../../base/turns.ts";
import { batchMs, batchPagesAtStart, judgeProgress, mayScan, nextBatchPages, type Freed } from "../../core/eviction.ts";
import type { EndReason } from "../../core/reason.ts";
import type { CgroupTree } from "../../kernel/cgroup.ts";
import type { Backend, EvictPlan } from "./backend.ts";
import { freedBetween, type FreedCounter, type FreedReading } from "./freed.ts";
import type { EvictionGuards } from "./pressure.ts";
import { isThere, type TargetState } from "./registry.ts";

/** A refusal may be a race with somebody who evicted or removed the same; more are an error. */
const refusalsMax = 1;

/**
 * So many targets are written to in turn; another one follows when one of them has nothing more to give. Few enough that
 * all have triggers, and that the pressure of each is read often.
 */
const writingMax = 16;

/** One target under eviction. */
class Job {
  readonly target: TargetState;
  readonly plan: EvictPlan;
  leftPages: number;
  idleScans = 0;
  /** Nothing more is asked of it until the next scan shows what is there. */
  parked = false;
  end: EndReason | null = null;
  batches = 0;
  writesSinceScan = 0;
  askedSinceScan = 0;
  freedSinceScan = 0;
  /** Anonymous pages of its generations that are not booked as evicted. */
  anonLeftPages: number;
  filePages = 0;
  anonPages = 0;
  /** The kernel's count after the last batch. */
  reading: FreedReading | null = null;
  /** The last batch that the kernel did not count: only the next scan can tell what it freed. */
  uncounted: { readonly pages: number; readonly tookMs: number } | null = null;
  refusals = 0;
  error: string | null = null;

  constructor(target: TargetState, plan: EvictPlan) {
    this.target = target;
    this.plan = plan;
    this.leftPages = plan.pages;
    this.anonLeftPages = target.pagesUpTo(plan.seq, "anon");
  }

  get fileOnly(): boolean {
    return this.plan.swappiness === 0;
  }

  book({ filePages, anonPages }: Freed): void {
    this.filePages += filePages;
    this.anonPages += anonPages;
    this.freedSinceScan += filePages + anonPages;
    this.anonLeftPages -= anonPages;
    this.target.book({ filePages, anonPages });
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

export interface EvictionTools {
  readonly root: string;
  readonly tree: CgroupTree;
  readonly clock: Clock;
  readonly backend: Backend;
  readonly guards: Pick<EvictionGuards, "watch" | "arm" | "above" | "stalled" | "release">;
  readonly pace: Pace;
  readonly counter: Pick<FreedCounter, "read">;
  /** Asked before each batch. */
  readonly mustStop: (target: TargetState) => boolean;
  readonly turns: Pick<Turns, "due" | "giveWay" | "through">;
  /** Why a target that waits for its turn is not begun; `unreached` counts once the first ones were. */
  readonly leaveOut: (target: TargetState) => EndReason | null;
}

/** How the eviction of one target ended, and what the kernel freed by it. */
export interface EvictionEnd extends Freed {
  readonly target: TargetState;
  readonly why: EndReason;
  readonly error: string | null;
  readonly batches: number;
}

/** Evicts what the plans name. Yields each target when it is done; never throws for a single one's failure. */
export async function* evictTargets(
  plans: readonly { readonly target: TargetState; readonly plan: EvictPlan }[],
  tools: EvictionTools,
): AsyncGenerator<EvictionEnd> {
  const rotation = new Rotation(
    plans.map(({ target, plan }) => new Job(target, plan)),
    tools,
  );
  // Bounded: each turn of the rotation evicts, or is followed by a scan, and two idle scans end a job.
  while (!rotation.done) {
    await rotation.turn();
    for (const { target, end, error, batches, filePages, anonPages } of rotation.takeDone()) {
      if (end !== null) yield { target, why: end, error, batches, filePages, anonPages };
    }
  }
}

class Rotation {
  #waiting: Job[];
  #writing: Job[] = [];
  /** Nothing is written for them until the next scan; those that have ended wait for what it says they lost. */
  #parked: Job[] = [];
  #done: Job[] = [];
  readonly #tools: EvictionTools;
  /** Whose batch was the last. */
  #last: Job | null = null;
  #evictedMs = 0;
  #scanMs = 0;
  #begun = false;

  constructor(jobs: Job[], tools: EvictionTools) {
    this.#waiting = jobs;
    this.#tools = tools;
  }

  get done(): boolean {
    return this.#waiting.length + this.#writing.length + this.#parked.length === 0;
  }

  /** Those that are done since the last call. */
  takeDone(): readonly Job[] {
    const done = this.#done;
    this.#done = [];
    return done;
  }

  async turn(): Promise<void> {
    const { turns } = this.#tools;
    await this.#fill();
    for (const job of this.#writing) {
      if (turns.due) await turns.giveWay();
      this.#stopStalled();
      if (job.end !== null) continue;
      const stop = this.#reasonToStop(job);
      if (stop === null) await this.#batch(job);
      else end(job, stop, null);
    }
    this.#sort();
    const idle = this.#writing.length + this.#waiting.length === 0;
    if (idle ? this.#parked.length > 0 : mayScan(this.#evictedMs, this.#scanMs)) await this.#scan();
  }

  /** Those that wait follow, as far as there is room. The first ones begin whatever the time: each run gets somewhere. */
  async #fill(): Promise<void> {
    const { guards, turns } = this.#tools;
    let taken = 0;
    for (const job of this.#waiting) {
      const why = job.batches > 0 ? null : this.#tools.leaveOut(job.target);
      const out = why === "unreached" && !this.#begun ? null : why;
      if (out === null && this.#writing.length >= writingMax) break;
      taken++;
      if (out === null) {
        this.#writing.push(job);
        guards.watch(job.target);
      } else {
        end(job, out, null);
        this.#done.push(job);
      }
      if (turns.due) await turns.giveWay();
    }
    this.#waiting.splice(0, taken);
    this.#begun = true;
  }

  #reasonToStop(job: Job): EndReason | null {
    const { guards, mustStop } = this.#tools;
    if (mustStop(job.target)) return "stopped";
    return guards.above(job.target) === null ? null : "pressure";
  }

  /** Those that are written to, whose trigger fired or whose pressure was not read for a while. */
  #stopStalled(): void {
    const stalled = this.#tools.guards.stalled();
    if (stalled.length === 0) return;
    for (const job of this.#writing) if (job.end === null && stalled.includes(job.target)) end(job, "pressure", null);
  }

  async #batch(job: Job): Promise<void> {
    const { clock, backend, pace, counter } = this.#tools;
    const { target, plan } = job;
    const pages = Math.max(1, Math.min(pace.pages(plan.swappiness), job.leftPages));
    const before = this.#isFollowed(job) ? job.reading : counter.read(target, job.fileOnly);
    if (job.batches > 0) this.#tools.guards.arm(target);
    const startMs = clock.monotonicMs();
    try {
      await backend.evict(target, plan, pages);
    } catch (error) {
      refused(job, error);
      return;
    }
    const tookMs = clock.monotonicMs() - startMs;
    this.#evictedMs += tookMs;
    this.#last = job;
    job.batches++;
    job.writesSinceScan++;
    job.askedSinceScan += pages;
    job.reading = counter.read(target, job.fileOnly);
    if (before === null || job.reading === null) {
      job.leftPages -= pages;
      job.parked = job.leftPages <= 0;
      job.uncounted = { pages, tookMs };
      return;
    }
    const freed = freedBetween(before, job.reading, job.anonLeftPages);
    const freedPages = freed.filePages + freed.anonPages;
    job.book(freed);
    backend.freed(target, freed);
    job.leftPages -= freedPages;
    job.parked = job.leftPages <= 0 || freedPages === 0;
    pace.learn(plan.swappiness, pages, tookMs, freedPages >= pages / 2);
  }

  /** Whether what the count grew by since this job's last batch is this job's: nobody else's was counted with it. */
  #isFollowed({ target, fileOnly, reading }: Job): boolean {
    if (reading === null) return false;
    return this.#last?.target === target || (reading.apart && fileOnly && alone(target));
  }

  /** After a turn: who is parked or has ended makes room for those that wait. */
  #sort(): void {
    for (const job of this.#writing) {
      if (stays(job)) continue;
      this.#tools.guards.release(job.target);
      if (job.end === null || job.uncounted !== null) this.#parked.push(job);
      else this.#done.push(job);
    }
    this.#writing = this.#writing.filter(stays);
  }

  /** Reads all generations, books what was not counted, and decides who goes on. */
  async #scan(): Promise<void> {
    const { root, tree, clock, backend, pace, turns } = this.#tools;
    const jobs = [...this.#writing, ...this.#parked];
    const before = jobs.map(measure);
    const startMs = clock.monotonicMs();
    await turns.through(backend.looking(false));
    for (const { target, writesSinceScan } of jobs) {
      // Between rmdir and the end of the listing Linux 7.2 hands the pages to the parent: nothing is left, nothing was evicted.
      if (writesSinceScan > 0 && !isThere(root, tree, target.cgroup)) target.generationCount = 0;
    }
    this.#scanMs = clock.monotonicMs() - startMs;
    this.#evictedMs = 0;
    for (const [index, job] of jobs.entries()) {
      const was = before[index];
      if (was === undefined) continue;
      if (job.uncounted !== null) {
        bookUncounted(job, was);
        const fullyUsed = job.freedSinceScan >= job.askedSinceScan / 2;
        pace.learn(job.plan.swappiness, job.uncounted.pages, job.uncounted.tookMs, fullyUsed);
        job.uncounted = null;
      }
      if (job.end === null) judge(job, was);
      job.anonLeftPages = job.target.pagesUpTo(job.plan.seq, "anon");
      job.writesSinceScan = job.askedSinceScan = job.freedSinceScan = 0;
      if (turns.due) await turns.giveWay();
    }
    this.#sort();
    for (const job of this.#parked) (job.end === null ? this.#waiting : this.#done).push(job);
    this.#parked = [];
  }
}

/** Whether a job that is written to goes on being so. */
function stays(job: Job): boolean {
  return job.end === null && !job.parked;
}

function end(job: Job, why: EndReason, error: string | null): void {
  job.end = why;
  job.error = error;
}

/** The kernel refused a batch: the cgroup or the generation may be gone. The next scan tells; twice is an error. */
function refused(job: Job, error: unknown): void {
  job.parked = true;
  job.refusals++;
  if (isFault(error, "vanished")) end(job, "vanished", null);
  else if (job.refusals > refusalsMax || !isFault(error, "unsupported")) end(job, "error", messageOf(error));
}

/** Whether nobody else of this run is counted in the cgroup's memory.stat. */
function alone({ cgroup }: TargetState): boolean {
  return cgroup.children.size === 0 && cgroup.targets.length === 1;
}

function judge(job: Job, was: Measure): void {
  const { target, plan } = job;
  const oldest = target.generation(0);
  if (oldest === null) {
    end(job, "vanished", null);
    return;
  }
  const now = measure(job);
  const decision = judgeProgress({
    coldPagesBefore: was.cold,
    coldPages: now.cold,
    oldestSeq: oldest.seq,
    seq: plan.seq,
    idleScans: job.idleScans,
    leftPages: job.leftPages,
    wrote: job.writesSinceScan > 0,
  });
  if (decision.do === "end") {
    const all = decision.why === "nothing_cold" && job.filePages + job.anonPages > 0 ? "evicted" : decision.why;
    end(job, all === "amount_done" ? plan.endsWith : all, null);
    return;
  }
  job.idleScans = decision.idleScans;
  job.leftPages = Math.min(Math.max(job.leftPages, 1), now.cold);
  job.parked = false;
}

/**
 * Where the kernel does not count (cgroup v1): what left the cold generations, as far as it left all generations as well
 * and is not just younger now. Short by what was newly read meanwhile.
 */
function bookUncounted(job: Job, was: Measure): void {
  const { target } = job;
  // What went with the cgroup itself was not evicted.
  if (target.generationCount === 0) return;
  const now = measure(job);
  const fileFell = Math.max(0, was.coldFile - now.coldFile);
  const anonFell = job.fileOnly ? 0 : Math.max(0, was.coldAnon - now.coldAnon);
  const fell = Math.max(0, Math.min(fileFell + anonFell, was.all - now.all) - job.freedSinceScan);
  if (fell === 0) return;
  const filePages = Math.round((fell * fileFell) / (fileFell + anonFell));
  job.book({ filePages, anonPages: fell - filePages });
}

interface Measure {
  readonly coldFile: number;
  readonly coldAnon: number;
  readonly all: number;
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
    all: target.pagesUpTo(Infinity, "anon") + target.pagesUpTo(Infinity, "file"),
    cold: coldFile + (job.fileOnly ? 0 : coldAnon),
  };
}
