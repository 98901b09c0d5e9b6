/**
 * The price of evictions: what came back of what was evicted.
 *
 * Age alone is a guess. A job that returns every half hour is cold each time, and evicting it each time costs more than
 * it saves. So an eviction opens an account: for every minute that its pages stay away it earns `limitPercent` of the
 * cgroup's resident pages, and what comes back is charged to it. Charged above earned, the eviction was costly, and the
 * cgroup sits out the next 1, 2, 4 … 32 evictions: at least twice as many as the time before, and as many as bring the
 * charge down to the limit when it is shared by all of them. Afterwards it is tried again, since workloads end. Once all
 * that is still away could return within the limit, the eviction was calm, and halves the wait.
 *
 * memory.stat counts a cgroup with its children, which the caller takes off, and not a node: keep one state a cgroup, note what was evicted of all its nodes, and apply
 * the decision to each. The state belongs to one incarnation of a cgroup (path and inode) and goes with it.
 *
 * See workingset_refault_file, workingset_refault_anon and pgsteal in Documentation/admin-guide/cgroup-v2.rst.
 */

import type { KernelRelease } from "../kernel/kernel-release.ts";

/** Where the price of evictions comes from; see `refault_source` in status. */
export type RefaultSource = "refaults" | "io_stall";

/**
 * Under the multi-gen LRU of Linux 6.1 a page that comes back is counted only while the generation that it was evicted
 * from is still the oldest (seen: 2 of 51,200); 6.12 and 7.2 count all. In between nothing was tried: the stand-in
 * is used beside the counters there, and the larger counts. With lru_gen off all kernels count.
 */
export function refaultSourceOf({ major, minor }: KernelRelease, lruGenOn: boolean): RefaultSource {
  return !lruGenOn || major > 6 || (major === 6 && minor >= 12) ? "refaults" : "io_stall";
}

/** Counters of one cgroup at one moment. All but `residentPages` only ever grow while the cgroup lives. */
export interface RefaultObservation {
  /** Monotonic clock. */
  readonly atMs: number;
  /** What the cgroup holds now, all nodes. */
  readonly residentPages: number;
  /** workingset_refault_file + workingset_refault_anon; null where they cannot be read. */
  readonly refaultedPages: number | null;
  /** pgsteal: pages that anybody evicted, we included; null where it cannot be read (cgroup v1). */
  readonly stolenPages: number | null;
  /** `some` total of io.pressure, only where it must stand in because the kernel does not count refaults. */
  readonly ioStallUs: number | null;
}

interface Account {
  readonly openedMs: number;
  /** The cgroup's size that shares are taken of: the largest since the account was opened, what we evicted included. */
  readonly basePages: number;
  /** Evicted by us and not yet back. */
  readonly awayPages: number;
  /** Evicted by the kernel since and not yet back. */
  readonly othersAwayPages: number;
  readonly returnedPages: number;
  /** Evicted by us after `last`: part of the next difference of `stolenPages`. */
  readonly unseenPages: number;
  readonly costly: boolean;
}

export interface RefaultState {
  readonly last: RefaultObservation | null;
  readonly account: Account | null;
  /** Evictions that were sat out after the last costly one; halved by each calm one. */
  readonly waitEvictions: number;
  /** Evictions still to sit out. */
  readonly leftEvictions: number;
  /** The cgroup's usual io stall while nothing of ours is away, in percent of the time. */
  readonly usualIoStallPercent: number;
}

/**
 * - `off`: the limit is 0.
 * - `none`: there is no eviction to judge.
 * - `pending`: what is away may still come back too soon.
 * - `calm`: it is paid for, or all came back within the limit.
 * - `costly`: too much came back; reported once an eviction.
 */
export type RefaultVerdict = "off" | "none" | "pending" | "calm" | "costly";

export type RefaultDecision =
  | { readonly do: "evict" }
  | { readonly do: "sit_out"; /** This one included. */ readonly left: number };

export const noRefaults: RefaultState = {
  last: null,
  account: null,
  waitEvictions: 0,
  leftEvictions: 0,
  usualIoStallPercent: 0,
};

export const waitEvictionsMax = 32;

/** Fewer pages than two readaheads are noise, whatever share of a small cgroup they are. */
export const returnedPagesMin = 64;

const minuteMs = 60_000;
/** Of a cgroup, what may be a sample; see pace.ts. */
const sampleDivisor = 64;

/** True while the counters must be read in each run, though nothing is evicted. */
export function isUnderJudgement(state: RefaultState): boolean {
  return state.account !== null;
}

/** Whether a cgroup that has something cold may be evicted now. `limitPercent` is memcg.refault_percent_limit. */
export function decideRefault(state: RefaultState, limitPercent: number): RefaultDecision {
  if (limitPercent === 0 || state.leftEvictions === 0) return { do: "evict" };
  return { do: "sit_out", left: state.leftEvictions };
}

/** A run in which the cgroup had something cold and was left alone. Runs with nothing cold do not count. */
export function noteSitOut(state: RefaultState): RefaultState {
  return { ...state, leftEvictions: Math.max(0, state.leftEvictions - 1) };
}

/**
 * An eviction of `evictedPages`, all nodes together. `before` is what the same run's judgement saw, before the eviction.
 * Evictions that follow each other before the first is judged share its account.
 */
export function noteEviction(state: RefaultState, before: RefaultObservation, evictedPages: number): RefaultState {
  if (evictedPages <= 0) return state;
  const open = state.account === null || state.account.costly ? null : state.account;
  const basePages = Math.max(before.residentPages, evictedPages, open?.basePages ?? 0);
  const account: Account = {
    openedMs: open?.openedMs ?? before.atMs,
    basePages,
    // A stream that runs through a cgroup is evicted many times over: no more can come back than was ever there.
    awayPages: Math.min(basePages, (open?.awayPages ?? 0) + evictedPages),
    othersAwayPages: open?.othersAwayPages ?? 0,
    returnedPages: open?.returnedPages ?? 0,
    unseenPages: (open?.unseenPages ?? 0) + evictedPages,
    costly: false,
  };
  return { ...state, last: before, account };
}

/**
 * Judges the open eviction by what came back since the last observation; called in each run before anything is evicted.
 * `returnedPages` is what came back of ours in that time.
 */
export function judgeRefaults(
  state: RefaultState,
  now: RefaultObservation,
  limitPercent: number,
): { readonly state: RefaultState; readonly verdict: RefaultVerdict; readonly returnedPages: number } {
  if (limitPercent === 0) return { state: noRefaults, verdict: "off", returnedPages: 0 };
  const { account, last } = state;
  if (account === null || last === null) {
    const usualIoStallPercent = last === null ? 0 : ioStallPercent(last, now);
    return { state: { ...state, last: now, usualIoStallPercent }, verdict: "none", returnedPages: 0 };
  }
  const charged = charge(account, last, now, ioStallPercent(last, now) - state.usualIoStallPercent > limitPercent);
  const returnedPages = charged.returnedPages - account.returnedPages;
  const chargedPercent = (100 * charged.returnedPages) / charged.basePages;
  const awayPercent = (100 * charged.awayPages) / charged.basePages;
  // Within the first minute a whole minute's share may come back: less would be a limit on single pages.
  const earnedPercent = (limitPercent * Math.max(minuteMs, now.atMs - charged.openedMs)) / minuteMs;

  const seen = { ...state, last: now, account: charged };
  if (charged.returnedPages >= returnedPagesMin && chargedPercent > earnedPercent) {
    const next = sitOutLonger(seen, charged, chargedPercent / earnedPercent);
    return { state: next, verdict: charged.costly ? "pending" : "costly", returnedPages };
  }
  if (earnedPercent < chargedPercent + awayPercent) return { state: seen, verdict: "pending", returnedPages };
  const settled = { ...seen, account: null };
  if (charged.costly) return { state: settled, verdict: "none", returnedPages };
  // A sample that stayed away, or came back, says little of what all of it would have done.
  const sample = (charged.awayPages + charged.returnedPages) * sampleDivisor <= charged.basePages;
  const waitEvictions = sample ? state.waitEvictions : state.waitEvictions >> 1;
  return { state: { ...settled, waitEvictions }, verdict: "calm", returnedPages };
}

/** The account after the pages that came back between two observations. */
function charge(account: Account, last: RefaultObservation, now: RefaultObservation, stalled: boolean): Account {
  const refaulted = grownBy(last.refaultedPages, now.refaultedPages);
  const stolen = Math.max(0, grownBy(last.stolenPages, now.stolenPages) - account.unseenPages);
  const basePages = Math.max(account.basePages, now.residentPages);
  // Nobody tells whose pages came back: ours and those of the kernel, which steals too, in proportion of what is away.
  const othersAway = account.othersAwayPages + stolen;
  const counted = Math.round((refaulted * account.awayPages) / Math.max(1, account.awayPages + othersAway));
  // Where refaults go uncounted, what the cgroup grew by while it waited for its disk is taken for them.
  const grown = Math.max(0, now.residentPages - last.residentPages + account.unseenPages);
  const ours = Math.min(account.awayPages, stalled ? Math.max(counted, grown) : counted);
  const othersAwayPages = othersAway - Math.max(0, refaulted - ours);
  return {
    ...account,
    basePages,
    awayPages: account.awayPages - ours,
    othersAwayPages: Math.min(basePages, Math.max(0, othersAwayPages)),
    returnedPages: account.returnedPages + ours,
    unseenPages: 0,
  };
}

/** A costly eviction, or one already known as costly of which still more came back. */
function sitOutLonger(state: RefaultState, account: Account, timesTheLimit: number): RefaultState {
  // One eviction in n + 1 costs a share of the price of each: n that is enough, as a power of two.
  const worth = 2 ** Math.ceil(Math.log2(Math.ceil(timesTheLimit) - 1));
  const known = account.costly ? state.waitEvictions : Math.max(1, 2 * state.waitEvictions);
  const waitEvictions = Math.min(waitEvictionsMax, Math.max(worth, known));
  const leftEvictions = account.costly ? state.leftEvictions + waitEvictions - state.waitEvictions : waitEvictions;
  return { ...state, waitEvictions, leftEvictions, account: { ...account, costly: true } };
}

/** Growth of a counter; none where either side is unknown, or where it fell, as it does when a cgroup is created again. */
function grownBy(from: number | null, to: number | null): number {
  return from === null || to === null ? 0 : Math.max(0, to - from);
}

/** Measured against a minute at least, as what is earned is. */
function ioStallPercent(from: RefaultObservation, to: RefaultObservation): number {
  return grownBy(from.ioStallUs, to.ioStallUs) / (10 * Math.max(minuteMs, to.atMs - from.atMs));
}
