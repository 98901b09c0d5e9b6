/** What comes next for each target, from what the last scan showed: it reads nothing of the kernel. */
import { secsOf } from "../../base/units.ts";
import { coldAgeMs, generationsMax } from "../../core/eviction.ts";
import { firstEvictionMs, whyNot } from "../../core/outlook.ts";
import { trialEndsMs } from "../../core/pace.ts";
import { noEnds, type EndReason } from "../../core/reason.ts";
import type { MemcgSummary } from "../status.ts";
import type { MemcgRegistry, TargetState } from "./registry.ts";

export interface Outlook {
  /** What nobody touched since the last aging, most of it for `ageMs`: it may be evicted once that is long enough. */
  readonly candidatePages: number;
  readonly ageMs: number | null;
  readonly whyNot: EndReason | null;
  /** When a run may evict something of it, on the monotonic clock; null while nothing is there or it is disabled. */
  readonly nextEvictionMs: number | null;
}

export interface OutlookView {
  readonly nowMs: number;
  /** When the generations were read; null before the first scan. */
  readonly lookedMs: number | null;
  readonly dueMs: (target: TargetState) => number;
}

export function outlookOf(target: TargetState, view: OutlookView): Outlook {
  const { settings, cgroup, lastEnd, pace } = target;
  const { nowMs } = view;
  const { pages: candidatePages, ageMs } = candidate(target, view);
  const dueMs = Math.max(nowMs, view.dueMs(target));
  const oldMs = target.inactive === null ? oldEnoughMs(target, view, dueMs) : triedOftenMs(target, dueMs);
  const young = target.inactive === null ? !isOld(target, view) : oldMs === null || oldMs > dueMs;
  const trialMs = trialEndsMs(pace, target.paceLimits);
  const why = whyNot({
    disabled: settings.disabled,
    candidatePages,
    lastEnd,
    young,
    sitOut: cgroup.refault.leftEvictions,
    onTrial: trialMs !== null,
  });
  const isShut = settings.disabled || candidatePages === 0 || oldMs === null;
  const waitMs = Math.min(trialMs ?? 0, target.idleAtMs ?? Infinity);
  const sitOutMs = cgroup.refault.leftEvictions * target.periodMs;
  return {
    candidatePages,
    ageMs: candidatePages === 0 ? null : ageMs,
    whyNot: why,
    nextEvictionMs: isShut ? null : Math.max(oldMs, waitMs) + sitOutMs,
  };
}

/** Seconds from a start until a run may evict something, before any cgroup was looked at. */
export function firstEvictionSecs(periodSecs: number, agingCountMin: number): number {
  const periodMs = periodSecs * 1000;
  const aging = { agings: 0, agingCountMin, periodMs, coldAgeMs: coldAgeMs(agingCountMin, periodMs) };
  return secsOf(firstEvictionMs({ nowMs: 0, dueMs: 0, generations: [], ...aging }));
}

function oldEnoughMs(target: TargetState, { nowMs, lookedMs }: OutlookView, dueMs: number): number {
  const { settings, periodMs } = target;
  return firstEvictionMs({
    nowMs,
    generations: target.generations.map(({ seq, ageMs }) => ({
      madeMs: (lookedMs ?? nowMs) - ageMs,
      followedMs: target.seenMs(seq),
    })),
    agings: target.agings,
    agingCountMin: settings.eviction_run_aging_count_min,
    periodMs,
    dueMs,
    coldAgeMs: coldAgeMs(settings.eviction_run_aging_count_min, periodMs),
  });
}

/** With memory_reclaim a target waits for as many runs; one that still is not ready then cannot be reached alone. */
function triedOftenMs(target: TargetState, dueMs: number): number | null {
  const left = target.settings.eviction_run_aging_count_min - target.runs;
  if (left <= 0 && target.lastEnd === "not_ready") return null;
  return dueMs + Math.max(0, left) * target.periodMs;
}

/** Whether the next run finds something old enough, by what the last scan showed; as `planEviction`. */
function isOld(target: TargetState, { nowMs, lookedMs }: OutlookView): boolean {
  const [oldest, next] = target.generations;
  if (oldest === undefined || next === undefined || target.generationCount < generationsMax) return false;
  const coldMs = coldAgeMs(target.settings.eviction_run_aging_count_min, target.periodMs);
  const ageMs = next.ageMs + nowMs - (lookedMs ?? nowMs);
  if (target.agings < target.settings.eviction_run_aging_count_min || ageMs < coldMs) return false;
  return target.stayedFilePages(coldMs, nowMs) > 0 || (isSwapping(target) && oldest.anonPages > 0);
}

function isSwapping({ settings }: TargetState): boolean {
  return settings.swap && settings.swappiness_max > 0;
}

/** Pages that nobody touched since the last aging; the age is that of the generation that most of them are in. */
function candidate(
  target: TargetState,
  { nowMs, lookedMs }: OutlookView,
): { readonly pages: number; readonly ageMs: number } {
  const swapping = isSwapping(target);
  if (target.inactive !== null) {
    const { filePages, anonPages } = target.inactive;
    return { pages: filePages + (swapping ? anonPages : 0), ageMs: 0 };
  }
  const { generations } = target;
  const last = generations.at(-2);
  if (last === undefined) return { pages: 0, ageMs: 0 };
  let [mostPages, ageMs] = [0, 0];
  for (const [index, { seq, filePages, anonPages }] of generations.slice(0, -1).entries()) {
    const pages = filePages + (swapping ? anonPages : 0);
    if (pages <= mostPages) continue;
    mostPages = pages;
    // Pages of a generation were last touched before the next one was made.
    const untouchedMs = (generations[index + 1]?.ageMs ?? 0) + nowMs - (lookedMs ?? nowMs);
    ageMs = Math.min(untouchedMs, nowMs - (target.seenMs(seq) ?? nowMs));
  }
  const anonPages = swapping ? target.pagesUpTo(last.seq, "anon") : 0;
  return { pages: target.untouchedFilePages(last.seq, nowMs) + anonPages, ageMs };
}

/** The outlook of all targets together. */
export function outlookSummary(
  registry: MemcgRegistry,
  view: OutlookView,
  pageBytes: number,
): Pick<MemcgSummary, "candidates" | "why_not" | "next_eviction_secs"> {
  const counts = noEnds();
  let [pages, targets, youngestMs, nextMs] = [0, 0, Infinity, Infinity];
  for (const target of registry.targets()) {
    const outlook = outlookOf(target, view);
    if (outlook.whyNot !== null) counts[outlook.whyNot]++;
    nextMs = Math.min(nextMs, outlook.nextEvictionMs ?? Infinity);
    if (outlook.candidatePages === 0 || target.settings.disabled) continue;
    pages += outlook.candidatePages;
    targets++;
    youngestMs = Math.min(youngestMs, outlook.ageMs ?? Infinity);
  }
  return {
    candidates: {
      bytes: pages * pageBytes,
      targets,
      youngest_age_secs: Number.isFinite(youngestMs) ? secsOf(youngestMs) : null,
    },
    why_not: counts,
    next_eviction_secs: Number.isFinite(nextMs) ? secsOf(Math.max(0, nextMs - view.nowMs)) : null,
  };
}
