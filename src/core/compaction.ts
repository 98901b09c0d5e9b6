/**
 * When a compaction is worth its work. Free memory helps the host only in whole blocks (free page reporting takes none
 * below its order), so what counts is how much of it lies in smaller ones: in the movable part, which is all that a
 * compaction can put together. See Documentation/admin-guide/mm/concepts.rst, "Compaction".
 */
import { bytesText, percentText } from "../base/units.ts";
import type { CompactSettings } from "../config/schema.ts";
import { isAbove } from "./pressure.ts";

/** Why a compaction run did what it did. */
export const compactDecisions = [
  "forced",
  "fragmented",
  "free_fell",
  "asked",
  "below_threshold",
  "pressure",
  "disabled",
  "busy",
] as const;

export type CompactDecision = (typeof compactDecisions)[number];

/** What each decision means, for help and reference. */
export const compactDecisionTexts: Readonly<Record<CompactDecision, string>> = {
  forced: "compacted because force_times runs went by without a compaction",
  fragmented: "compacted because free movable pages in small blocks grew by more than threshold",
  free_fell: "compacted because free memory fell by more than threshold",
  asked: "compacted on request",
  below_threshold: "not compacted: neither changed by more than threshold",
  pressure: "not compacted: the system stalled more than period_psi_percent_limit allows",
  disabled: "not compacted: disabled by the settings",
  busy: "not compacted: the process of the last compaction has not ended yet",
};

/** How a compaction ended. */
export const compactEnds = ["done", "pressure", "timeout", "stopped", "failed"] as const;

export type CompactEnd = (typeof compactEnds)[number];

/** What each end means, for help and reference. */
export const compactEndTexts: Readonly<Record<CompactEnd, string>> = {
  done: "the kernel went through all of memory",
  pressure: "stopped because the system stalled more than psi_percent_limit",
  timeout: "stopped after sec_max",
  stopped: "stopped because the agent was asked to stop",
  failed: "the kernel refused, or the process did not start; see the log",
};

/** Free memory at one moment, all nodes and zones added up. Index of an array: the block's order. */
export interface FreeBlocks {
  readonly freePages: number;
  /** Free blocks of every migrate type. */
  readonly blocks: readonly number[];
  /** Free blocks of the movable type. */
  readonly movableBlocks: readonly number[];
}

/** Counts of free blocks by order, of one zone and migrate type. `atLeast`: the kernel stopped counting there. */
export interface MovableCount {
  readonly count: number;
  readonly atLeast: boolean;
}

/**
 * Free movable blocks of one order in one zone. The kernel gives up counting a list at 100,000 blocks; the zone's own
 * counter does not, so that what the other types leave of it is the better number then.
 */
export function movableBlocks(movable: MovableCount, allTypes: number, otherTypes: readonly MovableCount[]): number {
  if (!movable.atLeast) return movable.count;
  const others = otherTypes.reduce((sum, other) => sum + other.count, 0);
  return Math.max(movable.count, allTypes - others);
}

/** Pages in blocks smaller than `order`. */
export function pagesBelow(blocks: readonly number[], order: number): number {
  return blocks.slice(0, order).reduce((sum, count, index) => sum + count * 2 ** index, 0);
}

/** Pages in blocks of at least `order`. */
export function pagesFrom(blocks: readonly number[], order: number): number {
  return pagesBelow(blocks, blocks.length) - pagesBelow(blocks, order);
}

export interface CompactionQuestion {
  readonly settings: CompactSettings;
  /** The system's stall over the waiting period; null where the kernel has no pressure files. */
  readonly pressurePercent: number | null;
  readonly free: FreeBlocks;
  /** Free memory right after the last compaction, or at the agent's start when there was none. */
  readonly reference: FreeBlocks;
  readonly compactedBefore: boolean;
  /** Runs since then that might have compacted and did not; runs skipped under pressure are no such runs. */
  readonly runsSince: number;
  /** True when a person asked for this run. */
  readonly asked: boolean;
}

export interface CompactionAnswer {
  readonly compact: boolean;
  readonly decision: CompactDecision;
  /** The reason with its numbers, for people. */
  readonly why: string;
}

/** The answer where nothing needs to be read. */
export const disabledAnswer: CompactionAnswer = {
  compact: false,
  decision: "disabled",
  why: "compaction is disabled (compact.disabled)",
};

/** Whether to compact now, and why. Somebody's wish overrides the threshold, not the pressure. */
export function decideCompaction(question: CompactionQuestion): CompactionAnswer {
  const { settings, pressurePercent } = question;
  if (settings.disabled) return disabledAnswer;
  if (isAbove(pressurePercent, settings.period_psi_percent_limit)) {
    return no(
      "pressure",
      `the system stalled ${percentText(pressurePercent ?? 0)} of the waiting period ` +
        `(period_psi_percent_limit ${percentText(settings.period_psi_percent_limit)})`,
    );
  }
  return decideByFreeMemory(question);
}

function decideByFreeMemory(question: CompactionQuestion): CompactionAnswer {
  const { settings, free, reference } = question;
  const { order, threshold } = settings;
  const since = question.compactedBefore ? "since the last compaction" : "since the agent's start";
  if (question.asked) return yes("asked", "somebody asked for it");

  const grown = pagesBelow(free.movableBlocks, order) - pagesBelow(reference.movableBlocks, order);
  const small = `free movable pages in blocks smaller than order ${order}`;
  if (grown > threshold) {
    return yes("fragmented", `${small} grew by ${pagesText(grown)} ${since} (threshold ${numberText(threshold)})`);
  }
  const fallen = reference.freePages - free.freePages;
  if (fallen > threshold) {
    return yes("free_fell", `free memory fell by ${pagesText(fallen)} ${since} (threshold ${numberText(threshold)})`);
  }
  if (settings.force_times !== "never" && question.runsSince >= settings.force_times) {
    return yes(
      "forced",
      `${numberText(question.runsSince)} runs went by without a compaction (force_times ${settings.force_times})`,
    );
  }
  return no(
    "below_threshold",
    `${small} ${changeText(grown)} and free memory ${changeText(-fallen)} ${since} (threshold ${numberText(threshold)})`,
  );
}

/**
 * Whether a compaction that ended so counts as one: its result is what later runs are held against. Cut off by pressure,
 * by the agent's end or by an error, it is tried again in the next period; one that always takes longer than
 * sec_max must not fill every period.
 */
export function countsAsCompaction(end: CompactEnd): boolean {
  return end === "done" || end === "timeout";
}

/**
 * What became of the memory that was evicted since the last compaction, as a part of the reason to compact: null where
 * nothing was evicted, nothing is reported to a host, or at least half of what is free can be.
 */
export function evictionNote(memory: {
  readonly evictedBytes: number;
  readonly freeBytes: number;
  readonly reportableBytes: number | null;
}): string | null {
  const { evictedBytes, freeBytes, reportableBytes } = memory;
  if (evictedBytes === 0 || reportableBytes === null || reportableBytes * 2 >= freeBytes) return null;
  return (
    `${bytesText(evictedBytes)} were evicted since then, ` +
    `and only ${bytesText(reportableBytes)} of ${bytesText(freeBytes)} free can be reported to the host`
  );
}

function yes(decision: CompactDecision, why: string): CompactionAnswer {
  return { compact: true, decision, why };
}

function no(decision: CompactDecision, why: string): CompactionAnswer {
  return { compact: false, decision, why };
}

function changeText(pages: number): string {
  if (pages === 0) return "did not change";
  return pages > 0 ? `grew by ${pagesText(pages)}` : `fell by ${pagesText(-pages)}`;
}

function pagesText(pages: number): string {
  return `${numberText(pages)} ${pages === 1 ? "page" : "pages"}`;
}

function numberText(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}
