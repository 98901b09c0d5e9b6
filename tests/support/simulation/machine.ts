/** Drives the decisions of src/core over a modelled job, as src/agent/memcg does over the real cgroups. */
import { defaultSettings, type MemcgSettings } from "../../../src/config/schema.ts";
import { decideAging } from "../../../src/core/aging.ts";
import { cohortColumns, lookAtCohort, oldPagesOf } from "../../../src/core/cohort.ts";
import {
  decideEnded,
  endedHorizonMs,
  newEnded,
  noteEnded,
  noteEndedRun,
  oldEndedPages,
  type EndedState,
} from "../../../src/core/ended.ts";
import { planEviction } from "../../../src/core/eviction.ts";
import {
  decidePace,
  judgePace,
  newPace,
  noteCpu,
  noteGrowth,
  notePaceEmpty,
  notePaceEviction,
  paceLimits,
  periodMs,
  quietMs,
  rhythmOf,
  samplePagesMin,
  worthMs,
  type CpuSeen,
  type PaceLimits,
  type PaceState,
} from "../../../src/core/pace.ts";
import {
  decideRefault,
  isUnderJudgement,
  judgeRefaults,
  noRefaults,
  noteEviction,
  noteSitOut,
  type RefaultObservation,
  type RefaultState,
} from "../../../src/core/refault.ts";
import { dueMs, isDue, toleranceMs } from "../../../src/core/schedule.ts";
import { spreadFactor } from "../../../src/core/spread.ts";
import type { Pauses } from "./clairvoyant.ts";
import type { Job } from "./jobs.ts";
import { PageLists } from "./page-lists.ts";

export const policies = ["by age", "0.1", "now"] as const;
/** By age alone and as version 0.1 did: a fixed period of 600 s, no samples, ended units left alone. */
export type Policy = (typeof policies)[number];

export interface JobOutcome {
  readonly evictedPages: number;
  readonly refaultedPages: number;
  /** Pages that were away, or that were held, times how long. */
  readonly savedPageMs: number;
  readonly heldPageMs: number;
  /** What was held at these moments. */
  readonly heldPages: readonly number[];
}

export interface JobOptions {
  readonly lengthMs: number;
  readonly blockPages: number;
  /** Moments of which `heldPages` tells. */
  readonly marksMs?: readonly number[];
  /** Where to note how long each block is left alone. */
  readonly pauses?: Pauses;
}

const stepMs = 20_000;
const seed = 1;
/** What a disk reads in a second. */
const diskBytesPerSec = 500 * 2 ** 20;
const pageBytes = 4096;
const nowhere = -1;
const ended = -2;

/** One cgroup from when it was made until it is removed. */
class Cgroup {
  readonly lists: PageLists;
  readonly cohort = { numbers: new Uint32Array(cohortColumns), at: 0 };
  pace: PaceState = newPace;
  refault: RefaultState = noRefaults;
  cpu: CpuSeen | null = null;
  usageUs = 0;
  agings = 0;
  ranMs: number | null = null;
  ordinal = 0;
  takenPages = 0;
  refaultedPages = 0;
  stolenPages = 0;

  constructor(blockPages: number, nowMs: number) {
    this.lists = new PageLists(blockPages, nowMs);
  }
}

export function runJob(job: Job, policy: Policy, options: JobOptions): JobOutcome {
  return new JobRun(job, policy, options).run(options);
}

class JobRun {
  readonly #job: Job;
  readonly #policy: Policy;
  readonly #blockPages: number;
  readonly #settings: MemcgSettings;
  readonly #limits: PaceLimits;
  readonly #cgroups: Cgroup[];
  /** Of each block: the cgroup that it is charged to, or where else it is. */
  readonly #owner: Int16Array;
  /** Of a block that is away: the cgroup that it was evicted from, by its incarnation. */
  readonly #lostBy = new Map<number, Cgroup>();
  readonly #pauses: Pauses | null;
  #away = 0;
  #held = 0;
  #evicted = 0;
  #refaulted = 0;
  #endedBlocks: number[] = [];
  #ended: EndedState = newEnded;
  #endedTaken = 0;
  #endedRefault: RefaultState = noRefaults;
  #ioStallUs = 0;

  constructor(job: Job, policy: Policy, { blockPages, pauses }: JobOptions) {
    this.#job = job;
    this.#policy = policy;
    this.#blockPages = blockPages;
    this.#settings = {
      ...defaultSettings.memcg,
      ...(policy === "now" ? {} : { period_min_secs: 86_400 }),
      ...(policy === "by age" ? { refault_percent_limit: 0 } : {}),
    };
    this.#limits = paceLimits(this.#settings.period_min_secs, this.#settings.period_secs);
    this.#cgroups = Array.from({ length: job.cgroups ?? 1 }, () => new Cgroup(blockPages, 0));
    this.#owner = new Int16Array(job.blocks).fill(nowhere);
    this.#pauses = pauses ?? null;
  }

  run({ lengthMs, marksMs = [] }: JobOptions): JobOutcome {
    let savedPageMs = 0;
    let heldPageMs = 0;
    const heldPages: number[] = [];
    for (let nowMs = stepMs; nowMs <= lengthMs; nowMs += stepMs) {
      this.#live(nowMs);
      if (this.#policy === "now") this.#look(nowMs);
      for (const cgroup of this.#cgroups) if (this.#isDue(cgroup, nowMs)) this.#runCgroup(cgroup, nowMs);
      if (this.#policy === "now" && this.#endedBlocks.length > 0) this.#runEnded(nowMs);
      savedPageMs += this.#away * this.#blockPages * stepMs;
      heldPageMs += this.#held * this.#blockPages * stepMs;
      if (marksMs.includes(nowMs)) heldPages.push(this.#held * this.#blockPages);
    }
    this.#pauses?.end(lengthMs);
    return {
      evictedPages: this.#evicted * this.#blockPages,
      refaultedPages: this.#refaulted * this.#blockPages,
      savedPageMs,
      heldPageMs,
      heldPages,
    };
  }

  #live(nowMs: number): void {
    const fromMs = nowMs - stepMs;
    for (const { from, to, by = 0, mapped = false } of this.#job.touches(fromMs, nowMs)) {
      for (let block = from; block < to; block++) this.#use(block, by, mapped, nowMs);
    }
    for (const [index, cgroup] of this.#cgroups.entries()) {
      cgroup.usageUs += this.#job.cpuUs?.(index, fromMs, nowMs) ?? 0;
      if (this.#job.ends?.(index, fromMs, nowMs) !== true) continue;
      for (const block of cgroup.lists.blocks) {
        this.#owner[block] = ended;
        this.#endedBlocks.push(block);
      }
      this.#cgroups[index] = new Cgroup(this.#blockPages, nowMs);
    }
  }

  #use(block: number, by: number, mapped: boolean, nowMs: number): void {
    this.#pauses?.use(block, nowMs);
    const owner = this.#owner[block] ?? nowhere;
    const cgroup = this.#cgroups[by];
    if (cgroup === undefined || owner === ended) return;
    // Reading 4 MiB from memory takes a millisecond.
    cgroup.usageUs += (this.#blockPages * pageBytes) / 4000;
    if (owner === nowhere) {
      const lostBy = this.#lostBy.get(block);
      if (lostBy !== undefined) {
        this.#lostBy.delete(block);
        this.#away--;
        this.#refaulted++;
        this.#ioStallUs += (this.#blockPages * pageBytes * 1e6) / diskBytesPerSec;
        if (lostBy === cgroup) cgroup.refaultedPages += this.#blockPages;
      }
      this.#held++;
      this.#owner[block] = by;
      cgroup.lists.add(block);
    }
    if (mapped && (owner === by || owner === nowhere)) cgroup.lists.touch(block);
    else if (mapped) this.#cgroups[owner]?.lists.touch(block);
  }

  #look(nowMs: number): void {
    for (const cgroup of this.#cgroups) {
      cgroup.pace = noteGrowth(cgroup.pace, cgroup.lists.residentPages, pageBytes, this.#limits);
      lookAtCohort(cgroup.cohort, cgroup.lists.generations(nowMs), cgroup.takenPages, nowMs);
      cgroup.takenPages = 0;
    }
    const pages = this.#endedBlocks.length * this.#blockPages;
    const horizonMs = endedHorizonMs(this.#limits);
    this.#ended = noteEnded(this.#ended, { pages, takenPages: this.#endedTaken, nowMs, horizonMs });
    this.#endedTaken = 0;
  }

  #isDue(cgroup: Cgroup, nowMs: number): boolean {
    const period = periodMs(cgroup.pace, this.#limits);
    const byPeriodMs = dueMs(cgroup.ranMs, period, spreadFactor(seed, cgroup.ordinal, this.#settings.spread_percent));
    const { cpu, pace } = cgroup;
    const onTrial = pace.evictedMs !== null && !pace.idle && cpu !== null;
    const idleAtMs = onTrial ? cpu.busyMs + quietMs(cgroup.lists.generations(nowMs)[0]?.ageMs ?? 0) : Infinity;
    return isDue(idleAtMs > (cgroup.ranMs ?? 0) ? Math.min(byPeriodMs, idleAtMs) : byPeriodMs, nowMs, period);
  }

  #runCgroup(cgroup: Cgroup, nowMs: number): void {
    const settings = this.#settings;
    const limit = settings.refault_percent_limit;
    const period = periodMs(cgroup.pace, this.#limits);
    cgroup.ranMs = nowMs;
    cgroup.ordinal++;
    const sizePages = cgroup.lists.residentPages;
    if (sizePages >= samplePagesMin) cgroup.cpu = noteCpu(cgroup.cpu, cgroup.usageUs, nowMs);
    const youngestAgeMs = cgroup.lists.generations(nowMs).at(-1)?.ageMs ?? 0;
    if (decideAging({ youngestAgeMs, periodMs: period, toleranceMs: toleranceMs(period) }).do === "age") {
      cgroup.lists.age(nowMs);
      cgroup.agings++;
    }
    const generations = cgroup.lists.generations(nowMs);
    const coldAgeMs = 2 * (period - toleranceMs(period));
    const paced = this.#policy === "now";
    const plan = planEviction({
      generations,
      stayedFilePages: paced ? oldPagesOf(cgroup.cohort, generations[0]?.seq ?? 0, coldAgeMs, nowMs) : Infinity,
      agingCount: cgroup.agings,
      agingCountMin: settings.eviction_run_aging_count_min,
      swap: false,
      swapFreePages: 0,
      swapRoomPages: null,
      swappinessMax: 0,
      coldAgeMsMin: coldAgeMs,
      unprotectedPages: null,
    });
    const { observation, costly } = this.#judge(cgroup, nowMs, limit, plan.do === "evict");
    if (paced) {
      cgroup.pace = judgePace(cgroup.pace, {
        nowMs,
        limits: this.#limits,
        idle: cgroup.cpu !== null && nowMs - cgroup.cpu.busyMs >= quietMs(generations[0]?.ageMs ?? 0),
        sizePages,
        costly,
        worthMs: worthMs(limit),
      });
    }
    if (plan.do === "end") {
      if (paced && plan.why === "nothing_cold") cgroup.pace = notePaceEmpty(cgroup.pace, this.#limits);
      return;
    }
    const idleMs = cgroup.cpu === null ? null : nowMs - cgroup.cpu.busyMs;
    const rhythm = paced ? rhythmOf(cgroup.pace, idleMs) : "none";
    if (rhythm === "pausing") return;
    if (rhythm === "none" && decideRefault(cgroup.refault, limit).do === "sit_out") {
      cgroup.refault = noteSitOut(cgroup.refault);
      return;
    }
    const decision = paced
      ? decidePace(cgroup.pace, plan.pages, nowMs, this.#limits)
      : ({ do: "evict", pages: plan.pages, sample: false } as const);
    if (decision.do === "wait") return;
    const evicted = cgroup.lists.evict(decision.pages);
    if (evicted.length === 0) return;
    const pages = this.#lose(evicted, cgroup);
    cgroup.takenPages += pages;
    cgroup.stolenPages += pages;
    cgroup.pace = notePaceEviction(cgroup.pace, nowMs, { sample: decision.sample, idleMs });
    if (observation !== null) cgroup.refault = noteEviction(cgroup.refault, observation, pages);
  }

  #judge(
    cgroup: Cgroup,
    atMs: number,
    limit: number,
    evicting: boolean,
  ): { readonly observation: RefaultObservation | null; readonly costly: boolean } {
    if (limit === 0 || (!evicting && !isUnderJudgement(cgroup.refault))) return { observation: null, costly: false };
    const { refaultedPages, stolenPages, lists } = cgroup;
    const observation = { atMs, residentPages: lists.residentPages, refaultedPages, stolenPages, ioStallUs: null };
    const judged = judgeRefaults(cgroup.refault, observation, limit);
    cgroup.refault = judged.state;
    return { observation, costly: judged.verdict === "costly" };
  }

  #runEnded(nowMs: number): void {
    const limit = this.#settings.refault_percent_limit;
    const residentPages = this.#held * this.#blockPages;
    const observation = {
      atMs: nowMs,
      residentPages,
      refaultedPages: null,
      stolenPages: null,
      ioStallUs: this.#ioStallUs,
    };
    const judged = judgeRefaults(this.#endedRefault, observation, limit);
    this.#endedRefault = judged.state;
    if (judged.verdict === "costly") this.#ended = noteEndedRun(this.#ended, "refaults", nowMs, this.#limits);
    const decision = decideEnded(this.#ended, {
      oldPages: oldEndedPages(this.#ended, endedHorizonMs(this.#limits), nowMs),
      nowMs,
      disabled: false,
      disabledBelow: false,
      hasReclaim: true,
      filesAlone: true,
      stalled: false,
      sitsOut: decideRefault(this.#endedRefault, limit).do === "sit_out",
    });
    if (decision.do === "leave") {
      if (decision.why !== "refaults") return;
      this.#endedRefault = noteSitOut(this.#endedRefault);
      this.#ended = noteEndedRun(this.#ended, "refaults", nowMs, this.#limits);
      return;
    }
    const blocks = this.#endedBlocks.splice(0, Math.ceil(decision.pages / this.#blockPages));
    this.#endedTaken = this.#lose(blocks, this.#endedOwner);
    this.#endedRefault = noteEviction(this.#endedRefault, observation, this.#endedTaken);
    this.#ended = noteEndedRun(this.#ended, "evicted", nowMs, this.#limits);
  }

  /** Stands for all removed cgroups: nobody counts what comes back of theirs. */
  readonly #endedOwner = new Cgroup(1, 0);

  #lose(blocks: readonly number[], cgroup: Cgroup): number {
    for (const block of blocks) {
      this.#owner[block] = nowhere;
      this.#lostBy.set(block, cgroup);
    }
    this.#held -= blocks.length;
    this.#away += blocks.length;
    this.#evicted += blocks.length;
    return blocks.length * this.#blockPages;
  }
}
