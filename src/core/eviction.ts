/**
 * What is evicted, and in which steps. Pages are the kernel's base pages. See
 * Documentation/admin-guide/mm/multigen_lru.rst.
 */
import type { EndReason } from "./reason.ts";
import { toleranceMs } from "./schedule.ts";

/** One generation of one target, as lru_gen shows it. */
export interface Generation {
  readonly seq: number;
  readonly ageMs: number;
  readonly anonPages: number;
  readonly filePages: number;
}

/** The kernel keeps at most so many generations; with all of them, the oldest was not touched for three agings. */
export const generationsMax = 4;

/** Anonymous pages are left alone unless more than this is free in swap. */
export const swapFreePagesMin = 256;

/**
 * How long what is cold has been left alone. Three agings a period apart leave the oldest of four generations two periods
 * behind; with fewer asked for, less will do.
 */
export function coldAgeMs(agingCountMin: number, periodMs: number): number {
  const periods = Math.min(generationsMax - 2, Math.max(0, agingCountMin - 1));
  return periods * (periodMs - toleranceMs(periodMs));
}

export interface EvictionInput {
  /** Oldest first. */
  readonly generations: readonly Generation[];
  /** File pages of the oldest generation that were there at every scan within the horizon; see cohort.ts. */
  readonly stayedFilePages: number;
  readonly agingCount: number;
  readonly agingCountMin: number;
  readonly swap: boolean;
  readonly swapFreePages: number;
  /** What memory.swap.max of the cgroup and its parents leaves; null without any limit. */
  readonly swapRoomPages: number | null;
  readonly swappinessMax: number;
  /** How long cold pages must have been left alone. */
  readonly coldAgeMsMin: number;
  /** Pages above memory.min and memory.low of the cgroup and its parents; null where nothing is protected. */
  readonly unprotectedPages: number | null;
}

export type EvictionPlan =
  | {
      readonly do: "evict";
      readonly seq: number;
      readonly swappiness: number;
      readonly filePages: number;
      readonly anonPages: number;
      /** How much of both to evict at most. */
      readonly pages: number;
      /** The reason that the target ends with once `pages` are gone. */
      readonly endsWith: EndReason;
    }
  | { readonly do: "end"; readonly why: EndReason };

/** What to evict of a target now, or why nothing. */
export function planEviction(input: EvictionInput): EvictionPlan {
  const oldest = input.generations[0];
  if (oldest === undefined || input.generations.length < generationsMax || input.agingCount < input.agingCountMin) {
    return { do: "end", why: "not_ready" };
  }
  // No matter who aged: pages of the oldest generation were last touched before the next one was made.
  if ((input.generations[1]?.ageMs ?? 0) < input.coldAgeMsMin) return { do: "end", why: "not_ready" };
  // Pages that were read for the first time go into an old generation: only what stayed is old.
  const oldFilePages = Math.min(oldest.filePages, input.stayedFilePages);
  const swapRoom = Math.min(Math.max(0, input.swapFreePages - swapFreePagesMin), input.swapRoomPages ?? Infinity);
  const swapping = input.swap && input.swappinessMax > 0;
  const anonPages = swapping ? Math.min(oldest.anonPages, swapRoom) : 0;
  const swapShort = swapping && anonPages < oldest.anonPages;
  const cold = oldFilePages + anonPages;
  if (cold === 0) return { do: "end", why: swapShort ? "swap_full" : "nothing_cold" };
  if (input.unprotectedPages !== null && input.unprotectedPages <= 0) return { do: "end", why: "protected" };
  const unprotected = input.unprotectedPages ?? cold;
  return {
    do: "evict",
    seq: oldest.seq,
    swappiness: chooseSwappiness(anonPages, oldFilePages, input.swappinessMax),
    filePages: oldFilePages,
    anonPages,
    pages: Math.min(cold, unprotected),
    endsWith: unprotected < cold ? "protected" : swapShort ? "swap_full" : "evicted",
  };
}

/** 0 without anonymous pages; 200 where only those are cold; else their share of 200, at most `swappinessMax`. */
export function chooseSwappiness(anonPages: number, filePages: number, swappinessMax: number): number {
  if (anonPages === 0) return 0;
  if (filePages === 0) return 200;
  return Math.min(swappinessMax, Math.round((200 * anonPages) / (anonPages + filePages)));
}

/** How long one batch should hold the writing thread, and with it everything that waits for the next look around. */
export const batchMs = 20;
const batchPagesMin = 64;
const batchPagesMax = 1 << 18;

/** The first batch of a process, before its speed is known: small enough for a slow machine. */
export const batchPagesAtStart = 1024;

/**
 * Size of the next batch: what fits into 20 ms at the speed of the last one, at most twice and at least a quarter of it.
 * `fullyUsed` says whether the last batch had as many pages to evict as it was allowed: a batch that ran out of
 * pages says nothing about speed.
 */
export function nextBatchPages(pages: number, tookMs: number, fullyUsed: boolean): number {
  if (!fullyUsed && tookMs <= batchMs) return pages;
  const factor = tookMs <= 0 ? 2 : Math.min(2, Math.max(0.25, batchMs / tookMs));
  return Math.min(batchPagesMax, Math.max(batchPagesMin, Math.round(pages * factor)));
}

/** What a look at a target under eviction showed. */
export interface Progress {
  /** Cold pages that may still be evicted: file, and anonymous where those are evicted. */
  readonly coldPagesBefore: number;
  readonly coldPages: number;
  readonly oldestSeq: number;
  readonly seq: number;
  /** Looks in a row at which nothing had gone. */
  readonly idleScans: number;
  /** What is left of the amount to evict. */
  readonly leftPages: number;
  /** Whether anything was asked of the kernel since the scan before. */
  readonly wrote: boolean;
}

export type ProgressDecision =
  | { readonly do: "go_on"; readonly idleScans: number }
  | { readonly do: "end"; readonly why: "nothing_cold" | "no_progress" | "amount_done" };

/** Looks without any progress after which a target is given up until its next run. */
export const idleScansMax = 2;

/** Whether eviction of a target goes on after a look at its generations. */
export function judgeProgress(progress: Progress): ProgressDecision {
  if (progress.oldestSeq > progress.seq || progress.coldPages === 0) return { do: "end", why: "nothing_cold" };
  if (progress.leftPages <= 0) return { do: "end", why: "amount_done" };
  if (progress.coldPages < progress.coldPagesBefore) return { do: "go_on", idleScans: 0 };
  if (!progress.wrote) return { do: "go_on", idleScans: progress.idleScans };
  if (progress.idleScans + 1 >= idleScansMax) return { do: "end", why: "no_progress" };
  return { do: "go_on", idleScans: progress.idleScans + 1 };
}

/** Pages that an eviction freed. */
export interface Freed {
  readonly filePages: number;
  readonly anonPages: number;
}

/**
 * Splits what the kernel freed of a cgroup by type. Without swap all is file. Else in the proportion of what the whole
 * machine lost in that time, the kernel not counting types for a cgroup, and no more anonymous pages than were there.
 */
export function splitFreed(input: {
  readonly pages: number;
  readonly fileOnly: boolean;
  readonly anonPagesMax: number;
  /** What all reclaim of the machine took meanwhile. */
  readonly machine: Freed;
}): Freed {
  const all = input.machine.anonPages + input.machine.filePages;
  if (input.fileOnly || all === 0) return { filePages: input.pages, anonPages: 0 };
  const anonPages = Math.min(input.anonPagesMax, Math.round((input.pages * input.machine.anonPages) / all));
  return { filePages: input.pages - anonPages, anonPages };
}

/** Reading lru_gen costs with each cgroup of the machine: it may take this share of the time spent evicting. */
const scanShareMax = 0.05;

/** True when the next look at lru_gen keeps the scans' share of the time small. */
export function mayScan(evictedMs: number, scanMs: number): boolean {
  return evictedMs * scanShareMax >= scanMs;
}
