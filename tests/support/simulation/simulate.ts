/** Drives the decision code of src/core with a modelled cgroup, as the agent does with a real one. */
import { defaultSettings, type MemcgSettings } from "../../../src/config/schema.ts";
import { decideAging } from "../../../src/core/aging.ts";
import { planEviction } from "../../../src/core/eviction.ts";
import { newReclaim, noteReclaimRun, planReclaim, type ReclaimState } from "../../../src/core/reclaim.ts";
import {
  decideRefault,
  judgeRefaults,
  noRefaults,
  noteEviction,
  noteSitOut,
  type RefaultObservation,
  type RefaultState,
} from "../../../src/core/refault.ts";
import { dueMs, isDue, toleranceMs } from "../../../src/core/schedule.ts";
import { spreadFactor } from "../../../src/core/spread.ts";
import { GenerationsCgroup } from "./generations.ts";
import { ListsCgroup } from "./lists.ts";
import type { Workload } from "./workload.ts";

export interface Simulation {
  readonly workload: Workload;
  readonly settings?: Partial<MemcgSettings>;
  readonly lengthMs: number;
  readonly stepMs: number;
  readonly blockPages: number;
}

export interface Outcome {
  readonly evictedPages: number;
  readonly refaultedPages: number;
  /** Pages that were away, times how long. */
  readonly savedPageMs: number;
  readonly costly: number;
  readonly satOut: number;
  readonly residentPages: number;
}

interface Tally {
  refaults: RefaultState;
  costly: number;
  satOut: number;
  agings: number;
}

interface Model {
  readonly refaultedPages: number;
  readonly stolenPages: number;
  readonly residentPages: number;
  touch(range: { readonly from: number; readonly to: number }): void;
}

const seed = 1;

/** A cgroup whose cold pages lru_gen shows. */
export function simulateGenerations(simulation: Simulation): Outcome {
  const cgroup = new GenerationsCgroup(simulation.blockPages);
  return simulate(simulation, cgroup, (nowMs, settings, tally) => {
    const periodMs = settings.period_secs * 1000;
    const youngestAgeMs = cgroup.generations(nowMs).at(-1)?.ageMs ?? 0;
    if (decideAging({ youngestAgeMs, periodMs, toleranceMs: toleranceMs(periodMs) }).do === "age") {
      cgroup.age(nowMs);
      tally.agings += 1;
    }
    const before = look(cgroup, nowMs);
    judge(tally, before, settings);
    const plan = planEviction({
      generations: cgroup.generations(nowMs),
      agingCount: tally.agings,
      agingCountMin: settings.eviction_run_aging_count_min,
      swap: settings.swap,
      swapFreePages: 0,
      swapRoomPages: null,
      stayedFilePages: Infinity,
      coldAgeMsMin: 2 * (periodMs - toleranceMs(periodMs)),
      swappinessMax: settings.swappiness_max,
      unprotectedPages: null,
    });
    if (plan.do === "end" || sitsOut(tally, settings)) return;
    tally.refaults = noteEviction(tally.refaults, before, cgroup.evict(plan.seq, plan.pages));
  });
}

/** A cgroup that is reclaimed by amount. */
export function simulateReclaim(simulation: Simulation): Outcome {
  const cgroup = new ListsCgroup(simulation.blockPages);
  let state: ReclaimState = newReclaim;
  return simulate(simulation, cgroup, (nowMs, settings, tally) => {
    const before = look(cgroup, nowMs);
    const { verdict, returnedPages } = judge(tally, before, settings);
    const { sizes } = cgroup;
    const plan = planReclaim({
      sizes,
      state,
      settings,
      swapFreePages: 0,
      swapRoomPages: null,
      unprotectedPages: null,
      takesSwappiness: true,
      childrenHoldMemory: false,
    });
    const askedPages = plan.do === "end" || sitsOut(tally, settings) ? 0 : plan.pages;
    const reclaimedPages = cgroup.reclaim(askedPages);
    tally.refaults = noteEviction(tally.refaults, before, reclaimedPages);
    state = noteReclaimRun(state, { sizes, askedPages, reclaimedPages, verdict, returnedPages });
  });
}

/** Lets the workload touch, runs what is due, and adds up, step by step. */
function simulate(
  { workload, settings: overrides, lengthMs, stepMs }: Simulation,
  cgroup: Model,
  run: (nowMs: number, settings: MemcgSettings, tally: Tally) => void,
): Outcome {
  const settings = { ...defaultSettings.memcg, ...overrides };
  const periodMs = settings.period_secs * 1000;
  const tally: Tally = { refaults: noRefaults, costly: 0, satOut: 0, agings: 0 };
  let due = dueMs(null, periodMs, 1);
  let runs = 0;
  let savedPageMs = 0;
  for (let nowMs = stepMs; nowMs <= lengthMs; nowMs += stepMs) {
    for (const range of workload.touches(nowMs - stepMs, nowMs)) cgroup.touch(range);
    if (isDue(due, nowMs, periodMs)) {
      run(nowMs, settings, tally);
      runs += 1;
      due = dueMs(nowMs, periodMs, spreadFactor(seed, runs, settings.spread_percent));
    }
    savedPageMs += (cgroup.stolenPages - cgroup.refaultedPages) * stepMs;
  }
  const { stolenPages: evictedPages, refaultedPages, residentPages } = cgroup;
  return { evictedPages, refaultedPages, savedPageMs, costly: tally.costly, satOut: tally.satOut, residentPages };
}

function look(cgroup: Model, atMs: number): RefaultObservation {
  const { residentPages, refaultedPages, stolenPages } = cgroup;
  return { atMs, residentPages, refaultedPages, stolenPages, ioStallUs: null };
}

function judge(tally: Tally, now: RefaultObservation, settings: MemcgSettings): ReturnType<typeof judgeRefaults> {
  const judgement = judgeRefaults(tally.refaults, now, settings.refault_percent_limit);
  tally.refaults = judgement.state;
  if (judgement.verdict === "costly") tally.costly += 1;
  return judgement;
}

function sitsOut(tally: Tally, settings: MemcgSettings): boolean {
  if (decideRefault(tally.refaults, settings.refault_percent_limit).do === "evict") return false;
  tally.refaults = noteSitOut(tally.refaults);
  tally.satOut += 1;
  return true;
}
