/** The registry as status: bytes and seconds for people and programs. */
import { roundPercent, secsOf } from "../../base/units.ts";
import { ruleId } from "../../config/rules.ts";
import { amountsByAge } from "../../core/aging.ts";
import { generationsMax } from "../../core/eviction.ts";
import { savedBytes } from "../../core/saved.ts";
import { displayPath } from "../../system/path-name.ts";
import type { EvictPlan } from "./backend.ts";
import { outlookOf, type OutlookView } from "./outlook.ts";
import type { MemcgRunOutcome } from "./run.ts";
import type { TargetState } from "./registry.ts";
import type { BackendName, EvictedStatus, GenerationStatus, MemcgRunReport, TargetStatus } from "../status.ts";

const topMax = 100;

export interface TargetView {
  readonly pageBytes: number;
  readonly backend: BackendName;
  /** Milliseconds until the target's next run; null when it has none. */
  readonly nextRunMs: (target: TargetState) => number | null;
  readonly outlook: OutlookView;
}

/** A target as status shows it. */
export function targetStatus(target: TargetState, view: TargetView): TargetStatus {
  const { cgroup } = target;
  const bytes = (pages: number): number => pages * view.pageBytes;
  const nextRunMs = view.nextRunMs(target);
  const outlook = outlookOf(target, view.outlook);
  return {
    path: displayPath(cgroup.path),
    node: target.node,
    id: view.backend === "lru_gen" ? cgroup.id : null,
    generations: view.backend === "lru_gen" ? generationStatus(target, view.pageBytes) : null,
    size_bytes: bytes(target.pagesUpTo(Infinity, "anon") + target.pagesUpTo(Infinity, "file")),
    cold_bytes: coldBytes(target, view.pageBytes),
    candidate_bytes: bytes(outlook.candidatePages),
    candidate_age_secs: target.inactive !== null || outlook.ageMs === null ? null : secsOf(outlook.ageMs),
    why_not: outlook.whyNot,
    next_eviction_secs:
      outlook.nextEvictionMs === null ? null : secsOf(Math.max(0, outlook.nextEvictionMs - view.outlook.nowMs)),
    settings: target.settings,
    rule: target.rule === null ? null : ruleId(target.rule),
    pressure_source: cgroup.pressureSource === null ? null : displayPath(cgroup.pressureSource),
    pressure_percent: roundPercent(cgroup.windowPercent),
    runs: target.runs,
    skips: target.skips,
    agings: target.agings,
    evictions: target.evictions,
    evicted_bytes: { anon_bytes: bytes(target.evictedAnonPages), file_bytes: bytes(target.evictedFilePages) },
    last_evicted_bytes: {
      anon_bytes: bytes(target.lastEvictedAnonPages),
      file_bytes: bytes(target.lastEvictedFilePages),
    },
    refaulted_bytes: target.settings.refault_percent_limit === 0 ? null : bytes(target.refaultedPages),
    saved_bytes: savedBytes(bytes(target.evictedPages), bytes(target.refaultedPages)),
    sit_out: cgroup.refault.leftEvictions,
    pace: {
      period_secs: secsOf(target.periodMs),
      idle: target.pace.idle,
      proofs: target.pace.proofs,
      on_trial: target.pace.evictedMs !== null,
      rhythm_secs: target.pace.rhythmMs === 0 ? null : target.pace.rhythmMs / 1000,
    },
    last_end: target.lastEnd,
    ends: { ...target.ends },
    last_error: target.lastError,
    next_run_secs: nextRunMs === null ? null : secsOf(Math.max(0, nextRunMs)),
  };
}

function generationStatus(target: TargetState, pageBytes: number): GenerationStatus[] {
  return target.generations.map(({ seq, ageMs, anonPages, filePages }) => ({
    seq,
    age_secs: secsOf(ageMs),
    anon_bytes: anonPages * pageBytes,
    file_bytes: filePages * pageBytes,
  }));
}

/** What all targets together hold cold, as of the last look at each. */
export function coldSum(targets: Iterable<TargetState>, pageBytes: number): EvictedStatus {
  return sum([...targets].map((target) => coldBytes(target, pageBytes)));
}

/** What the oldest of four generations holds: with fewer, nothing has been left alone for long enough. Else inactive. */
function coldBytes(target: TargetState, pageBytes: number): EvictedStatus {
  if (target.inactive !== null) {
    return { anon_bytes: target.inactive.anonPages * pageBytes, file_bytes: target.inactive.filePages * pageBytes };
  }
  const oldest = target.generationCount < generationsMax ? null : target.generation(0);
  if (oldest === null) return { anon_bytes: 0, file_bytes: 0 };
  return { anon_bytes: oldest.anonPages * pageBytes, file_bytes: oldest.filePages * pageBytes };
}

export interface ReportFacts {
  readonly run: number;
  readonly dryRun: boolean;
  readonly startedWallMs: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly pageBytes: number;
  readonly savedBytes: number;
  readonly agesKnown: boolean;
}

/** What a run did, with its largest targets first. */
export function runReport(outcome: MemcgRunOutcome, facts: ReportFacts): MemcgRunReport {
  const { dryRun, pageBytes } = facts;
  const planned = [...outcome.plans.entries()];
  const evictedOf = (target: TargetState): EvictedStatus => ({
    anon_bytes: target.lastEvictedAnonPages * pageBytes,
    file_bytes: target.lastEvictedFilePages * pageBytes,
  });
  const ended = { anon_bytes: 0, file_bytes: outcome.endedPages * pageBytes };
  const forecastOf = (plan: EvictPlan): EvictedStatus => forecast(plan, pageBytes);
  const top = planned
    .map(([target, plan]) => ({
      path: displayPath(target.cgroup.path),
      node: target.node,
      evicted_bytes: evictedOf(target),
      would_evict_bytes: dryRun ? forecastOf(plan) : null,
      end: outcome.endOf.get(target) ?? "stopped",
    }))
    .toSorted((left, right) => weight(right) - weight(left));
  return {
    kind: "memcg",
    run: facts.run,
    dry_run: dryRun,
    started: new Date(facts.startedWallMs).toISOString(),
    wall_secs: secsOf(facts.wallMs),
    cpu_secs: secsOf(facts.cpuMs),
    targets: outcome.targets.length,
    aged: outcome.aged,
    aged_before: {
      targets: outcome.agedBefore.targets,
      within_secs: outcome.agedBefore.targets === 0 ? null : secsOf(outcome.agedBefore.withinMs),
    },
    skipped: outcome.skipped,
    evicted_bytes: sum([...planned.map(([target]) => evictedOf(target)), ...(dryRun ? [] : [ended])]),
    would_evict_bytes: dryRun ? sum([...planned.map(([, plan]) => forecastOf(plan)), ended]) : null,
    saved_bytes: facts.savedBytes,
    batches: outcome.batches,
    ends: outcome.ends,
    top: top.slice(0, topMax),
    cold_by_age: !facts.agesKnown ? null : dryRun ? coldByAge(outcome.targets, pageBytes) : [],
  };
}

function weight(row: MemcgRunReport["top"][number]): number {
  const shown = row.would_evict_bytes ?? row.evicted_bytes;
  return shown.anon_bytes + shown.file_bytes;
}

/** What a plan would take, where a protection leaves less than all: in proportion. */
function forecast(plan: EvictPlan, pageBytes: number): EvictedStatus {
  const all = plan.filePages + plan.anonPages;
  const share = all === 0 ? 0 : Math.min(1, plan.pages / all);
  return {
    anon_bytes: Math.round(plan.anonPages * share) * pageBytes,
    file_bytes: Math.round(plan.filePages * share) * pageBytes,
  };
}

function sum(parts: readonly EvictedStatus[]): EvictedStatus {
  let [anon_bytes, file_bytes] = [0, 0];
  for (const part of parts) {
    anon_bytes += part.anon_bytes;
    file_bytes += part.file_bytes;
  }
  return { anon_bytes, file_bytes };
}

/** Lower ends of the histogram's classes of age, in seconds. */
const ageClassesSecs = [0, 60, 300, 900, 1800, 3600, 7200, 21_600, 86_400] as const;

function coldByAge(targets: readonly TargetState[], pageBytes: number): MemcgRunReport["cold_by_age"] {
  const lists = targets.map(({ generations }) =>
    generations.map(({ ageMs, anonPages, filePages }) => ({ age: ageMs / 1000, amount: anonPages + filePages })),
  );
  const pages = amountsByAge(lists, ageClassesSecs);
  return ageClassesSecs.map((age_secs, index) => ({ age_secs, bytes: (pages[index] ?? 0) * pageBytes }));
}
