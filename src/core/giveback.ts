/**
 * Giving back by a deadline: which generations of which targets go next, when pages must be aged first, and when to
 * stop. The coldest memory of all cgroups goes first.
 *
 * Evicting up to a generation needs two younger ones (KERNEL: MIN_SEQ + 2 <= max_seq). So what lies in the two youngest
 * is only within reach after agings, and those take out what is in use: pages that were touched move to the youngest.
 */
import { batchMs, swapFreePagesMin, type Generation } from "./eviction.ts";

/** Why memory was left where it is. */
export const givebackLefts = [
  "young",
  "in_use",
  "swap_off",
  "swap_full",
  "protected",
  "disabled",
  "pressure",
  "no_progress",
  "out_of_reach",
  "deadline",
  "amount",
  "stopped",
  "error",
] as const;

export type GivebackLeft = (typeof givebackLefts)[number];

/** What each reason means, for help and reference. */
export const givebackLeftTexts: Readonly<Record<GivebackLeft, string>> = {
  young: "touched within min_age, or its age is not known to this backend",
  in_use: "touched while this went on, or too little to be worth another aging",
  swap_off: "anonymous, and memcg.swap is off",
  swap_full: "anonymous, and swap has no room",
  protected: "under memory.min or memory.low",
  disabled: "a rule, or the base settings, switch its cgroup off, or it is the agent's own",
  pressure: "its cgroup stalled more than its limits allow; ignore_pressure overrides that",
  no_progress: "the kernel freed nothing, although there are pages to free",
  out_of_reach: "memory.reclaim cannot take it without also evicting child cgroups, or without swapping",
  deadline: "there was no time left",
  amount: "the requested amount was freed",
  stopped: "the agent was asked to stop",
  error: "the kernel refused; see the log",
};

/** One target, as giving back sees it. */
export interface Holding {
  /** Oldest first. */
  readonly generations: readonly Generation[];
  /** False where one generation stands for all pages and says nothing of their age. */
  readonly agesKnown: boolean;
  /** Agings that this giveback made. */
  readonly agings: number;
  /** Whether anonymous pages may go to swap. */
  readonly swap: boolean;
  /** Up to this generation nothing more is asked for: the kernel would not give it. */
  readonly stuckSeq: number | null;
  /** A batch of it took long, as where the kernel finds most pages in use: it comes after all others. */
  readonly slow: boolean;
  /** Nothing is taken of it, any more or at all; null where something may be. */
  readonly shut: GivebackLeft | null;
}

export interface GivebackLimits {
  readonly minAgeMs: number;
  /** Until the deadline. */
  readonly leftMs: number;
  /** What one look at all generations takes; each round ends with one. */
  readonly scanMs: number;
  /** What a batch takes with all that goes around it; see `nextTurnMs`. */
  readonly turnMs: number;
  /** Pages that may still be freed; null without a bound. */
  readonly leftPages: number | null;
  readonly swapFreePages: number;
  /** What aging a page took so far, or is thought to take. */
  readonly agingMsPerPage: number;
}

export interface Take {
  readonly index: number;
  /** Everything up to this generation. */
  readonly seq: number;
  readonly filePages: number;
  readonly anonPages: number;
  /** How much of both at most. */
  readonly pages: number;
}

export type GivebackStop = "nothing_left" | "deadline" | "amount";

export type GivebackStep =
  | { readonly do: "evict"; readonly takes: readonly Take[] }
  | { readonly do: "age"; readonly indexes: readonly number[] }
  | { readonly do: "stop"; readonly why: GivebackStop };

/** After so many agings all that was not touched meanwhile is within reach. */
export const givebackAgingsMax = 2;
/** Fewer pages are not worth an aging. */
const agingGainPagesMin = 64;
/** Before aging was measured: slow, as with page tables under emulation. */
export const agingMsPerPageAtStart = 1 / 4096;
/** Generations are taken together when the younger is at least half as old; below a second all are alike. */
const sameClass = 0.5;
const youngClassMs = 1000;

/** What a batch takes before one was measured. */
export const turnMsAtStart = batchMs;

/** What the next batch may take, after one that took so long: the longest of late, since a busy machine is uneven. */
export function nextTurnMs(turnMs: number, tookMs: number): number {
  return Math.max(tookMs, turnMs * 0.9);
}

/** Whether there is time for one more batch, with the scan that must follow. */
export function hasTimeForBatch({
  leftMs,
  turnMs,
  scanMs,
}: Pick<GivebackLimits, "leftMs" | "turnMs" | "scanMs">): boolean {
  return leftMs >= turnMs + scanMs;
}

/** A turn of more is held against its target: five batches' time. */
const slowTurnMs = 5 * batchMs;

export function isSlowTurn(tookMs: number): boolean {
  return tookMs > slowTurnMs;
}

/** What to do next. */
export function planGiveback(holdings: readonly Holding[], limits: GivebackLimits): GivebackStep {
  if (limits.leftPages !== null && limits.leftPages <= 0) return { do: "stop", why: "amount" };
  if (!hasTimeForBatch(limits)) return { do: "stop", why: "deadline" };
  const quick = holdings.map((holding): Holding => (holding.slow ? { ...holding, shut: "deadline" } : holding));
  const step = nextOf(quick, limits);
  return step.do === "stop" ? nextOf(holdings, limits) : step;
}

function nextOf(holdings: readonly Holding[], limits: GivebackLimits): GivebackStep {
  const takes = coldestTakes(holdings, limits);
  return takes.length > 0 ? { do: "evict", takes } : planAging(holdings, limits);
}

/** How long a generation's pages were left alone at least: since the next younger one was made. */
export function untouchedMs(generations: readonly Generation[], index: number): number {
  return generations[index + 1]?.ageMs ?? 0;
}

function mayTakeAnon(holding: Holding, { swapFreePages }: Pick<GivebackLimits, "swapFreePages">): boolean {
  return holding.swap && swapFreePages > swapFreePagesMin;
}

function pagesOf(generation: Generation, anonToo: boolean): number {
  return generation.filePages + (anonToo ? generation.anonPages : 0);
}

/** The indexes of the generations that are old enough and have something to take, oldest first. */
function wantedGenerations(holding: Holding, limits: GivebackLimits): number[] {
  const { generations, shut, stuckSeq, agesKnown } = holding;
  if (shut !== null || (!agesKnown && limits.minAgeMs > 0)) return [];
  const anonToo = mayTakeAnon(holding, limits);
  return generations.flatMap((generation, index) => {
    if (stuckSeq !== null && generation.seq <= stuckSeq) return [];
    if (untouchedMs(generations, index) < limits.minAgeMs) return [];
    return pagesOf(generation, anonToo) > 0 ? [index] : [];
  });
}

/** Whether the kernel takes an eviction up to this generation. */
function isWithinReach({ generations, agesKnown }: Holding, index: number): boolean {
  return !agesKnown || index < generations.length - 2;
}

function coldestTakes(holdings: readonly Holding[], limits: GivebackLimits): readonly Take[] {
  const ripe = holdings.map((holding) =>
    wantedGenerations(holding, limits).filter((index) => isWithinReach(holding, index)),
  );
  const ageOf = (at: number, index: number): number => untouchedMs(holdings[at]?.generations ?? [], index);
  const coldestMs = Math.max(0, ...ripe.flatMap((indexes, at) => indexes.map((index) => ageOf(at, index))));
  const leastMs = coldestMs < youngClassMs ? 0 : Math.max(youngClassMs, coldestMs * sameClass);
  const order = ripe
    .map((indexes, at) => ({ at, indexes: indexes.filter((index) => ageOf(at, index) >= leastMs) }))
    .filter(({ indexes }) => indexes.length > 0)
    .toSorted((left, right) => ageOf(right.at, right.indexes[0] ?? 0) - ageOf(left.at, left.indexes[0] ?? 0));
  return allot(order, holdings, limits);
}

/** Gives each its share of what may be freed and of the room in swap, the coldest first. */
function allot(
  order: readonly { readonly at: number; readonly indexes: readonly number[] }[],
  holdings: readonly Holding[],
  limits: GivebackLimits,
): readonly Take[] {
  let budget = limits.leftPages ?? Number.POSITIVE_INFINITY;
  let swapRoom = Math.max(0, limits.swapFreePages - swapFreePagesMin);
  const takes: Take[] = [];
  for (const { at, indexes } of order) {
    const holding = holdings[at];
    const youngest = holding?.generations[indexes.at(-1) ?? 0];
    if (holding === undefined || youngest === undefined || budget <= 0) break;
    const stuckSeq = holding.stuckSeq ?? Number.NEGATIVE_INFINITY;
    const reached = holding.generations.filter(({ seq }) => seq <= youngest.seq && seq > stuckSeq);
    const filePages = reached.reduce((sum, one) => sum + one.filePages, 0);
    const anonHeld = holding.swap ? reached.reduce((sum, one) => sum + one.anonPages, 0) : 0;
    const anonPages = Math.min(swapRoom, anonHeld);
    const pages = Math.min(budget, filePages + anonPages);
    if (pages <= 0) continue;
    takes.push({ index: at, seq: youngest.seq, filePages, anonPages, pages });
    budget -= pages;
    swapRoom -= anonPages;
  }
  return takes;
}

/** Ages what has enough behind the two youngest generations' door, the largest gain first, as far as time allows. */
function planAging(holdings: readonly Holding[], limits: GivebackLimits): GivebackStep {
  const gains = holdings
    .map((holding, index) => ({ index, gain: agingGain(holding, limits), costMs: agingCostMs(holding, limits) }))
    .filter(({ gain }) => gain >= agingGainPagesMin)
    .toSorted((left, right) => right.gain - left.gain);
  let leftMs = limits.leftMs - limits.scanMs - limits.turnMs;
  const indexes: number[] = [];
  for (const { index, costMs } of gains) {
    if (costMs > leftMs) continue;
    leftMs -= costMs;
    indexes.push(index);
  }
  if (indexes.length > 0) return { do: "age", indexes };
  return { do: "stop", why: gains.length > 0 ? "deadline" : "nothing_left" };
}

function agingGain(holding: Holding, limits: GivebackLimits): number {
  if (!holding.agesKnown || holding.agings >= givebackAgingsMax) return 0;
  const anonToo = mayTakeAnon(holding, limits);
  return wantedGenerations(holding, limits)
    .filter((index) => !isWithinReach(holding, index))
    .reduce((sum, index) => sum + pagesOf(holding.generations[index] ?? nothing, anonToo), 0);
}

const nothing: Generation = { seq: 0, ageMs: 0, anonPages: 0, filePages: 0 };

function agingCostMs({ generations }: Holding, { agingMsPerPage }: GivebackLimits): number {
  return generations.reduce((sum, one) => sum + one.anonPages + one.filePages, 0) * agingMsPerPage;
}

/** What is left of a target at the end, in pages, by the reason. */
export function leftOf(
  holding: Holding,
  limits: Pick<GivebackLimits, "minAgeMs" | "swapFreePages">,
  stop: GivebackStop,
): ReadonlyMap<GivebackLeft, number> {
  const left = new Map<GivebackLeft, number>();
  const add = (why: GivebackLeft, pages: number): void => {
    if (pages > 0) left.set(why, (left.get(why) ?? 0) + pages);
  };
  for (const [index, generation] of holding.generations.entries()) {
    const why = holding.shut ?? whyLeft(holding, index, limits, stop);
    add(why, generation.filePages);
    const anonWhy = !holding.swap ? "swap_off" : mayTakeAnon(holding, limits) ? why : "swap_full";
    add(holding.shut === "disabled" ? "disabled" : anonWhy, generation.anonPages);
  }
  return left;
}

function whyLeft(
  { generations, agesKnown, stuckSeq }: Holding,
  index: number,
  { minAgeMs }: Pick<GivebackLimits, "minAgeMs">,
  stop: GivebackStop,
): GivebackLeft {
  if (minAgeMs > 0 && (!agesKnown || untouchedMs(generations, index) < minAgeMs)) return "young";
  if (stuckSeq !== null && (generations[index]?.seq ?? 0) <= stuckSeq) return "no_progress";
  return stop === "nothing_left" ? "in_use" : stop;
}

/** Reclaimable slab that is dropped in a millisecond at least: natively ten times as much, under emulation hardly more. */
const slabBytesPerMs = 64 * 1024;

/** Whether slab may be dropped: the kernel cannot be stopped in it, so it is begun only where half the time should do. */
export function hasTimeForSlab(slabBytes: number, leftMs: number): boolean {
  return slabBytes / slabBytesPerMs <= leftMs / 2;
}

/** Killing a compaction and reading what came of it takes this at most. */
const compactEndMs = 50;
const compactMsMin = 100;

/** How long a compaction may take in the time left; null where it is not worth beginning. */
export function compactionMs(leftMs: number): number | null {
  const forIt = leftMs - compactEndMs;
  return forIt < compactMsMin ? null : forIt;
}
