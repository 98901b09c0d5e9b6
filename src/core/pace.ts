/**
 * How often a target is run and how much of what is cold goes at once: by what its cgroup has shown.
 *
 * Age is a guess, so a small sample goes first. What stayed away for a while is proof; what came back too soon says that
 * the pages are in use, and the target is asked less often. A cgroup that used no CPU for longer than it ever pauses has
 * nothing to read its pages with: there the whole goes after the sample. Of a busy one it is eight times as much each
 * time. See cpu.stat in Documentation/admin-guide/cgroup-v2.rst.
 */

/** Of what is cold, this part goes first. */
const sampleDivisor = 64;
/** Less than this shows nothing: readahead alone is as large. */
export const samplePagesMin = 256;
const growthFactor = 8;
/** A cgroup that used less than this share of one CPU between two looks was idle in between. */
const idleCpuShare = 0.001;
/** So much was work, however long ago the scan before was. */
const workUs = 100_000;
/** Nothing that returns more often than this is taken for idle; see the workloads of the tests. */
export const quietMsMin = 90_000;
/** Runs in a row without anything cold after which the period doubles. */
const emptyRunsMax = 3;
/** A cgroup that grew by so much has something new to look at. */
const growthBytesMin = 16 * 1024 * 1024;
const growthShare = 0.1;
/** What came back before an eighth of the time that would have paid for it came back in the rhythm of its job. */
const rhythmDivisor = 8;
/** A cgroup that is idle for longer than its rhythm, by this factor, has left it. */
const rhythmFactor = 1.25;
/** A proof says nothing of a cgroup that has grown by so much since. */
const proofGrowthShare = 0.5;

export interface PaceState {
  /** The present waiting period; null before the first run: then it is the shortest. */
  readonly periodMs: number | null;
  /** Evictions that stayed away, one after the other; 0: the next is a sample. */
  readonly proofs: number;
  /** The eviction that is under trial, on the monotonic clock. */
  readonly evictedMs: number | null;
  /** Runs in a row with nothing cold. */
  readonly emptyRuns: number;
  /** Of the target, when it was last found to have grown. */
  readonly sizePages: number;
  /** And when it last proved something. */
  readonly provenPages: number;
  readonly idle: boolean;
  /** When the last eviction was, and from when on it had been idle then; null where it was busy, or before the first. */
  readonly lastEvictedMs: number | null;
  readonly idleSinceMs: number | null;
  /** The longest pause at whose end too much came back, far too soon; 0 where there was none. */
  readonly rhythmMs: number;
}

export const newPace: PaceState = {
  periodMs: null,
  proofs: 0,
  evictedMs: null,
  emptyRuns: 0,
  sizePages: 0,
  provenPages: 0,
  idle: false,
  lastEvictedMs: null,
  idleSinceMs: null,
  rhythmMs: 0,
};

/** The bounds of a target's period, from its settings; the shortest is never above the longest. */
export interface PaceLimits {
  readonly periodMsMin: number;
  readonly periodMsMax: number;
}

/** Aging a target takes no more than this part of the time, as far as the longest period allows. */
const agingShareMin = 200;

/** `agingMs` is how long the kernel took to age the target last: a fixed pace is kept all the same. */
export function paceLimits(periodMinSecs: number, periodSecs: number, agingMs = 0): PaceLimits {
  const periodMsMax = periodSecs * 1000;
  const shortestMs = Math.max(periodMinSecs * 1000, agingShareMin * agingMs);
  return { periodMsMin: Math.min(shortestMs, periodMsMax), periodMsMax };
}

/**
 * How long after its first scan a cgroup can be evicted at the earliest: a sample of what was never touched meanwhile, and
 * the rest of it, where nothing uses the CPU. `agings` is how often it must be aged before (eviction_run_aging_count_min).
 */
export function firstEvictionMs(
  limits: PaceLimits,
  agings: number,
): { readonly sampleMs: number; readonly restMs: number } {
  const sampleMs = Math.max(0, agings - 1) * limits.periodMsMin;
  const trialMsMin = isFixedPace(limits) ? limits.periodMsMin : Math.max(limits.periodMsMin, quietMsMin - sampleMs);
  return { sampleMs, restMs: sampleMs + trialMsMin };
}

export function isFixedPace({ periodMsMin, periodMsMax }: PaceLimits): boolean {
  return periodMsMin >= periodMsMax;
}

/** The period in force: within the limits, which may have changed since it was learnt. */
export function periodMs(state: PaceState, { periodMsMin, periodMsMax }: PaceLimits): number {
  return Math.min(periodMsMax, Math.max(periodMsMin, state.periodMs ?? periodMsMin));
}

/** What a run finds out about a target before it decides. */
export interface PaceEvidence {
  readonly nowMs: number;
  readonly limits: PaceLimits;
  /** The cgroup and what is below it used no CPU for longer than `quietMs`. */
  readonly idle: boolean;
  /** Everything of the target that the kernel may reclaim. */
  readonly sizePages: number;
  /** What the price says about the evictions before: too much came back. */
  readonly costly: boolean;
  /** How long all of it would have to stay away to be paid for. */
  readonly worthMs: number;
}

/** After how long an eviction of all that comes back at once has paid for it; `limitPercent` is refault_percent_limit. */
export function worthMs(limitPercent: number): number {
  return (100 / limitPercent) * 60_000;
}

/** The state at the begin of a run: what the evidence says of the last eviction, and whether the proof still holds. */
export function judgePace(state: PaceState, evidence: PaceEvidence): PaceState {
  const { nowMs, limits, idle, sizePages, costly } = evidence;
  let next: PaceState = { ...state, idle };
  if (costly) {
    const doubled =
      state.idleSinceMs === null ? Math.min(limits.periodMsMax, 2 * periodMs(state, limits)) : limits.periodMsMin;
    const rhythmMs = Math.max(state.rhythmMs, pauseMs(state, evidence));
    return { ...next, periodMs: doubled, proofs: 0, evictedMs: null, emptyRuns: 0, rhythmMs };
  }
  const proofIsOver = (state.idle && !idle) || sizePages - state.provenPages > proofGrowthShare * state.provenPages;
  if (state.proofs > 0 && proofIsOver) next = { ...next, proofs: 0, evictedMs: null };
  else if (state.evictedMs !== null && nowMs - state.evictedMs >= trialMs(next, limits)) {
    next = { ...next, proofs: state.proofs + 1, evictedMs: null, provenPages: sizePages };
  }
  return next;
}

/**
 * At every scan, whether the target is due or not: what is new is asked for soon. A period that was learnt by what came
 * back is not forgotten for it.
 */
export function noteGrowth(state: PaceState, heldPages: number, pageBytes: number, limits: PaceLimits): PaceState {
  // What is smaller than a sample is nothing to run for, however fast it grows.
  const sizePages = heldPages < samplePagesMin ? 0 : heldPages;
  const grown = sizePages - state.sizePages;
  const hasGrown = grown * pageBytes >= growthBytesMin || grown >= Math.max(1, growthShare * state.sizePages);
  if (!hasGrown) return sizePages < state.sizePages ? { ...state, sizePages } : state;
  if (state.emptyRuns < emptyRunsMax) return { ...state, sizePages };
  return { ...state, sizePages, periodMs: limits.periodMsMin, emptyRuns: 0 };
}

/** How long the job had paused when what was evicted came back, where that was far too soon; else 0. */
function pauseMs({ lastEvictedMs, idleSinceMs }: PaceState, evidence: PaceEvidence): number {
  if (lastEvictedMs === null || idleSinceMs === null) return 0;
  const awayMs = evidence.nowMs - lastEvictedMs;
  return awayMs * rhythmDivisor < evidence.worthMs ? evidence.nowMs - idleSinceMs : 0;
}

export type Rhythm = "none" | "pausing" | "over";

/**
 * Whether an idle cgroup only pauses as it did before, or pauses for longer than it ever did before something came back.
 * `idleMs` is how long it has not used the CPU, null where that is not known.
 */
export function rhythmOf(state: PaceState, idleMs: number | null): Rhythm {
  if (state.rhythmMs === 0 || idleMs === null || idleMs < quietMsMin) return "none";
  return idleMs < rhythmFactor * state.rhythmMs ? "pausing" : "over";
}

/** When the eviction under trial is proven if nothing of it comes back, on the monotonic clock; null without one. */
export function trialEndsMs(state: PaceState, limits: PaceLimits): number | null {
  return state.evictedMs === null ? null : state.evictedMs + trialMs(state, limits);
}

/** How long an eviction must stay away to prove something: of a busy cgroup as long as anybody pauses. */
function trialMs(state: PaceState, limits: PaceLimits): number {
  const period = periodMs(state, limits);
  return state.idle || isFixedPace(limits) ? period : Math.max(2 * period, quietMsMin);
}

export type PaceDecision =
  | { readonly do: "evict"; readonly pages: number; readonly sample: boolean }
  /** An eviction is under trial: what comes back decides. */
  | { readonly do: "wait"; readonly leftMs: number };

/** How much of `coldPages` goes now. */
export function decidePace(state: PaceState, coldPages: number, nowMs: number, limits: PaceLimits): PaceDecision {
  const endsMs = trialEndsMs(state, limits);
  if (endsMs !== null) return { do: "wait", leftMs: Math.max(0, endsMs - nowMs) };
  const samplePages = Math.max(samplePagesMin, Math.ceil(coldPages / sampleDivisor));
  if (state.proofs === 0) return { do: "evict", pages: Math.min(coldPages, samplePages), sample: true };
  if (state.idle || isFixedPace(limits)) return { do: "evict", pages: coldPages, sample: false };
  const pages = Math.min(coldPages, samplePages * growthFactor ** Math.min(3, state.proofs));
  return { do: "evict", pages, sample: pages < coldPages };
}

/** A run evicted something; it is under trial from now on unless it was all, of an idle cgroup. */
export function notePaceEviction(
  state: PaceState,
  nowMs: number,
  { sample, idleMs }: { readonly sample: boolean; readonly idleMs: number | null },
): PaceState {
  const idleSinceMs = idleMs === null || idleMs < quietMsMin ? null : nowMs - idleMs;
  return { ...state, emptyRuns: 0, evictedMs: sample ? nowMs : null, lastEvictedMs: nowMs, idleSinceMs };
}

/** A run found nothing cold. */
export function notePaceEmpty(state: PaceState, limits: PaceLimits): PaceState {
  const emptyRuns = Math.min(emptyRunsMax, state.emptyRuns + 1);
  if (emptyRuns < emptyRunsMax) return { ...state, emptyRuns };
  return { ...state, emptyRuns, periodMs: Math.min(limits.periodMsMax, 2 * periodMs(state, limits)) };
}

/** When a cgroup was last seen to use the CPU. */
export interface CpuSeen {
  readonly usageUs: number;
  readonly atMs: number;
  readonly busyMs: number;
}

/** `usageUs` is usage_usec of the cgroup's cpu.stat, its children included. At first sight a cgroup counts as busy. */
export function noteCpu(before: CpuSeen | null, usageUs: number, nowMs: number): CpuSeen {
  if (before === null || usageUs < before.usageUs) return { usageUs, atMs: nowMs, busyMs: nowMs };
  const busy = usageUs - before.usageUs > Math.min(workUs, (nowMs - before.atMs) * 1000 * idleCpuShare);
  return { usageUs, atMs: nowMs, busyMs: busy ? nowMs : before.busyMs };
}

/** How long a cgroup must not have used the CPU to be idle: longer than its oldest generation is old. */
export function quietMs(oldestAgeMs: number): number {
  return Math.max(quietMsMin, oldestAgeMs);
}
