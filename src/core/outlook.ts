/**
 * What comes next for a target if nobody touches its memory: when the first run may evict something of it, and what keeps
 * it from giving more now. A forecast, made of what the last scan showed: it reads nothing.
 */
import { agingIntervalMsMax } from "./aging.ts";
import { generationsMax } from "./eviction.ts";
import type { EndReason } from "./reason.ts";
import { toleranceMs } from "./schedule.ts";

/** One generation as a forecast needs it; times are on the monotonic clock. */
export interface OutlookGeneration {
  readonly madeMs: number;
  /** First look that showed it; null before that. */
  readonly followedMs: number | null;
}

export interface OutlookInput {
  readonly nowMs: number;
  /** Oldest first; empty where no scan was made yet. */
  readonly generations: readonly OutlookGeneration[];
  readonly agings: number;
  readonly agingCountMin: number;
  readonly periodMs: number;
  /** When the next run is due. */
  readonly dueMs: number;
  /** How long what is cold must have been left alone. */
  readonly coldAgeMs: number;
}

/** After so many runs every generation is one that the forecast itself made: the rest is counting. */
const runsForecast = 2 * generationsMax;

/**
 * When the first run comes that finds the oldest of four generations old enough, on the monotonic clock. Each run ages, so
 * at most a few periods are gone through one by one.
 */
export function firstEvictionMs(input: OutlookInput): number {
  const { periodMs, agingCountMin, coldAgeMs } = input;
  const agingMs = Math.min(agingIntervalMsMax, periodMs) - toleranceMs(periodMs);
  const firstMs = Math.max(input.nowMs, input.dueMs);
  const skipped = Math.max(0, agingCountMin - input.agings - runsForecast);
  let agings = input.agings + skipped;
  let atMs = firstMs + skipped * periodMs;
  let generations = [...input.generations];
  // A cgroup that nobody has seen has the kernel's two generations, from before.
  if (generations.length === 0) {
    generations = [
      { madeMs: Number.NEGATIVE_INFINITY, followedMs: firstMs },
      { madeMs: Number.NEGATIVE_INFINITY, followedMs: firstMs },
    ];
  }
  for (let run = 0; run < 2 * runsForecast; run++) {
    if (atMs - (generations.at(-1)?.madeMs ?? 0) >= agingMs) {
      // The run that makes a generation does not look at it as one that is followed: the next does.
      generations.push({ madeMs: atMs, followedMs: atMs + periodMs });
      if (generations.length > generationsMax) generations.shift();
      agings++;
    }
    const [oldest, next] = generations;
    const isOld =
      generations.length >= generationsMax &&
      atMs - (next?.madeMs ?? Infinity) >= coldAgeMs &&
      atMs - (oldest?.followedMs ?? firstMs) >= coldAgeMs;
    if (isOld && agings >= agingCountMin) return atMs;
    atMs += periodMs;
  }
  return atMs;
}

export interface WhyNotInput {
  readonly disabled: boolean;
  /** What has stayed untouched for a while and may be evicted. */
  readonly candidatePages: number;
  readonly lastEnd: EndReason | null;
  /** The next run comes too early for what is there. */
  readonly young: boolean;
  /** Evictions still to sit out. */
  readonly sitOut: number;
  readonly onTrial: boolean;
}

/** Ends that say what was in the way, and hold until the next run. */
const lasting: ReadonlySet<EndReason | null> = new Set(["protected", "swap_full", "no_progress", "refaults"]);

/** What keeps a target from giving more, null where the next run may evict. */
export function whyNot(input: WhyNotInput): EndReason | null {
  const { lastEnd } = input;
  if (input.disabled) return "disabled";
  if (lastEnd === "error" || lastEnd === "pressure") return lastEnd;
  if (input.candidatePages === 0) return lasting.has(lastEnd) ? lastEnd : "nothing_cold";
  if (input.young) return "not_ready";
  if (input.sitOut > 0) return "refaults";
  if (input.onTrial) return "sampled";
  return lasting.has(lastEnd) ? lastEnd : null;
}
