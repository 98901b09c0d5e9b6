/**
 * Compaction runs: reads pressure and free memory, asks core whether to compact, has it done by a process that can be
 * killed, and keeps count. Between two runs it holds no descriptor, no timer and no process.
 */
import { roundPercent, secsOf } from "../../base/units.ts";
import type { Clock } from "../../base/clock.ts";
import { Fault, nullIfFault } from "../../base/fault.ts";
import type { CompactSettings } from "../../config/schema.ts";
import {
  compactDecisions,
  compactEnds,
  countsAsCompaction,
  decideCompaction,
  disabledAnswer,
  evictionNote,
  type CompactionAnswer,
  type FreeBlocks,
} from "../../core/compaction.ts";
import { stallPercent, stallUs, type StallReading } from "../../core/pressure.ts";
import { pressurePath, readCgroupTree } from "../../kernel/cgroup.ts";
import { freeStatus, readFreeBlocks, readFreeByOrder, readReportedOrder } from "./free.ts";
import { readSystemStall, type OwnPressure } from "./guard.ts";
import {
  compactGuarded,
  spawnCompactChild,
  type CompactChild,
  type CompactionOutcome,
  type SpawnChild,
} from "./process.ts";
import { KernelWork } from "./work.ts";
import type { CompactRunReport, CompactStatus, FreeStatus } from "../status.ts";
import type { Warnings } from "../warnings.ts";

/** Warning while a killed process has not ended. */
const lingeringWarning = "compact_child";
/** Warning from a compaction that failed to one that does not. */
const failedWarning = "compact_failed";
/** Warning from a day without a compaction that finished, though some were begun, to the next one that does. */
const unfinishedWarning = "compact_unfinished";
const dayMs = 86_400_000;

export interface CompactorOptions {
  /** Root of the kernel's files, "/" for the machine. */
  readonly root: string;
  readonly clock: Clock;
  readonly warnings: Pick<Warnings, "raise" | "clear">;
  /** Program and arguments that compact and end; `root` is added as the last one. See `compactChildCommand`. */
  readonly command: readonly string[];
  readonly spawn?: SpawnChild;
  /** The cgroup that holds this process, those it starts, and nobody else; null where others are in it. */
  readonly ownCgroup?: string | null;
}

export interface CompactRunRequest {
  /** True when a person asked for this run: the threshold then does not matter. */
  readonly asked: boolean;
}

export class Compactor {
  readonly #options: CompactorOptions;
  readonly #spawn: SpawnChild;
  readonly #decisions = zeroes(compactDecisions);
  readonly #ends = zeroes(compactEnds);
  #runs = 0;
  #compactions = 0;
  #compactedBefore = false;
  #runsSince = 0;
  #evictedBytes = 0;
  /** What growth and fall are held against; null before the first look. */
  #reference: FreeBlocks | null = null;
  /** Least order that the host gets, as the last run found it: a balloon hardly ever comes or goes. */
  #reportedOrder: { readonly order: number | null } | null = null;
  /** Why a run would have compacted when free memory was last counted by type, null where it would not. */
  #wantedWhy: string | null = null;
  /** Begin of the waiting period's pressure; goes on while runs are skipped. */
  #window: StallReading | null = null;
  /** Compactions that did not finish since the last one that did, and when the first of them began. */
  #unfinished: { readonly sinceMs: number; count: number } | null = null;
  #lastRun: CompactRunReport | null = null;
  #lastCompaction: CompactRunReport | null = null;
  #child: CompactChild | null = null;
  #current: { readonly abort: AbortController; readonly ended: Promise<unknown> } | null = null;

  constructor(options: CompactorOptions) {
    this.#options = options;
    this.#spawn = options.spawn ?? spawnCompactChild;
  }

  /**
   * Takes the state that later runs are held against, once; to be called at start and when settings changed. Disabled
   * it reads nothing. Faults: `missing`, `denied`, `unsupported`, `malformed` for /proc/pressure and /proc/pagetypeinfo.
   */
  begin(settings: CompactSettings): void {
    if (settings.disabled) {
      this.#window = null;
      return;
    }
    const { root, clock } = this.#options;
    this.#window ??= readSystemStall(root, clock, null);
    this.#reference ??= readFreeBlocks(root);
  }

  /** A memcg run evicted so many bytes: status says what became of them. */
  noteEviction(bytes: number): void {
    this.#evictedBytes += bytes;
  }

  /** True while a run is on. */
  get running(): boolean {
    return this.#current !== null;
  }

  /**
   * One run: decides, compacts where that is due, and resolves with what was done. The settings hold to its end.
   *
   * @throws Fault `busy` while a run is on; else as `begin`.
   */
  async run(settings: CompactSettings, request: CompactRunRequest): Promise<CompactRunReport> {
    if (this.#current !== null) {
      throw new Fault("busy", "cannot compact: a compaction is under way; ask again when it has ended");
    }
    const abort = new AbortController();
    const ended = this.#run(settings, request, abort.signal);
    this.#current = { abort, ended };
    try {
      return await ended;
    } finally {
      this.#current = null;
    }
  }

  /** Kills a compaction that is under way; resolves when its run has ended, within half a second. */
  async stop(): Promise<void> {
    const current = this.#current;
    if (current === null) return;
    current.abort.abort();
    await current.ended.catch(() => null);
  }

  /**
   * What is known now. Never throws: what cannot be read is null. `counted` reads /proc/pagetypeinfo, which walks the free
   * lists under the zones' locks, to say what the next run would do; `known` says it as it was when that was last read.
   */
  status(
    settings: CompactSettings,
    nextRunSecs: number | null,
    wanted: "counted" | "known" = "counted",
  ): Omit<CompactStatus, "dry_run"> {
    if (wanted === "counted") this.#wantedWhy = nullIfFault(() => this.#wanted(settings));
    return {
      disabled: settings.disabled,
      running: this.running,
      settings,
      runs: this.#runs,
      compactions: this.#compactions,
      runs_since_compaction: this.#runsSince,
      decisions: { ...this.#decisions },
      ends: { ...this.#ends },
      last_run: this.#lastRun,
      last_compaction: this.#lastCompaction,
      free: this.free(settings),
      evicted_since_compaction_bytes: this.#evictedBytes,
      wanted: settings.disabled ? null : this.#wantedWhy,
      child_pid: this.#child?.pid ?? null,
      reporting_order: this.#reported(),
      next_run_secs: nextRunSecs,
    };
  }

  /** What is free now, null where it cannot be read. */
  free(settings: CompactSettings): FreeStatus | null {
    return nullIfFault(() => this.#free(settings, readFreeByOrder(this.#options.root)));
  }

  async #run(settings: CompactSettings, request: CompactRunRequest, signal: AbortSignal): Promise<CompactRunReport> {
    const { clock } = this.#options;
    const started = new Date(clock.wallMs()).toISOString();
    const startMs = clock.monotonicMs();
    this.#reportedOrder = null;
    const known = settings.disabled ? null : this.#look();
    const answer = this.#answer(settings, request.asked, known);

    const work = answer.compact ? new KernelWork(this.#options.root) : null;
    const outcome = answer.compact ? await this.#compact(settings, signal) : null;
    const after = outcome === null ? null : nullIfFault(() => readFreeBlocks(this.#options.root));
    this.#runs += 1;
    const report: CompactRunReport = {
      kind: "compact",
      run: this.#runs,
      started,
      decision: answer.decision,
      why: answer.why,
      compacted: outcome !== null,
      end: outcome?.end ?? null,
      error: outcome?.error ?? null,
      stall: outcome?.stall ?? null,
      wall_secs: secsOf(clock.monotonicMs() - startMs),
      work: work?.done() ?? null,
      before: known === null ? null : this.#free(settings, known.free.blocks),
      after: after === null ? null : this.#free(settings, after.blocks),
      pressure_percent: roundPercent(known?.pressurePercent ?? null),
    };
    this.#record(report, after);
    const seen = answer.decision === "pressure" ? known : null;
    this.#wantedWhy = seen === null ? null : this.#whyCompact(settings, { ...seen, pressurePercent: null });
    this.#noteFinish(report, startMs);
    return report;
  }

  /** Pressure of the waiting period and free memory, as this run finds them. */
  #look(): Finding {
    const { root, clock } = this.#options;
    const reading = readSystemStall(root, clock, null);
    const free = readFreeBlocks(root);
    this.#window ??= reading;
    this.#reference ??= free;
    const stalled = stallUs(this.#window, reading);
    const pressurePercent = stalled === null ? null : stallPercent(stalled, reading.atMs - this.#window.atMs);
    return { free, reference: this.#reference, pressurePercent };
  }

  #answer(settings: CompactSettings, asked: boolean, finding: Finding | null): CompactionAnswer {
    if (finding === null) return disabledAnswer;
    const history = { runsSince: this.#runsSince, compactedBefore: this.#compactedBefore };
    const answer = decideCompaction({ settings, asked, ...history, ...finding });
    if (answer.compact && this.#child !== null) {
      const why = `process ${this.#child.pid} of the last compaction was killed and has not ended yet`;
      return { compact: false, decision: "busy", why };
    }
    if (answer.decision !== "fragmented") return answer;
    const { free_bytes: freeBytes, reportable_bytes: reportableBytes } = this.#free(settings, finding.free.blocks);
    const note = evictionNote({ evictedBytes: this.#evictedBytes, freeBytes, reportableBytes });
    return note === null ? answer : { ...answer, why: `${answer.why}; ${note}` };
  }

  /** Compacts, and stays responsible for a process that does not end although it was killed. */
  async #compact(settings: CompactSettings, signal: AbortSignal): Promise<CompactionOutcome> {
    const { root, clock } = this.#options;
    const command = [...this.#options.command, root];
    const onStart = (child: CompactChild): void => {
      this.#child = child;
    };
    const own = ownPressure(root, this.#options.ownCgroup ?? null);
    const outcome = await compactGuarded({ root, clock, spawn: this.#spawn, command, settings, own, signal, onStart });
    if (outcome.lingering === null) this.#child = null;
    else this.#awaitLingering(outcome.lingering);
    return outcome;
  }

  #awaitLingering(child: CompactChild): void {
    const { warnings } = this.#options;
    warnings.raise(
      lingeringWarning,
      `cannot end process ${child.pid} of a compaction: it was killed and is still in the kernel; no other compaction starts before it has ended`,
      null,
    );
    void child.ended.finally(() => {
      this.#child = null;
      warnings.clear(lingeringWarning);
    });
  }

  #record(report: CompactRunReport, after: FreeBlocks | null): void {
    this.#decisions[report.decision] += 1;
    this.#lastRun = report;
    if (report.decision === "below_threshold") this.#runsSince += 1;
    // A skipped waiting period is added to the next; and what a compaction itself stalls is no part of any.
    const { root, clock } = this.#options;
    if (report.decision === "disabled") this.#window = null;
    else if (report.decision !== "pressure") this.#window = nullIfFault(() => readSystemStall(root, clock, null));
    if (report.end === null) return;
    this.#warn(report);
    this.#ends[report.end] += 1;
    this.#compactions += 1;
    this.#lastCompaction = report;
    if (!countsAsCompaction(report.end)) return;
    this.#runsSince = 0;
    this.#evictedBytes = 0;
    this.#compactedBefore = true;
    this.#reference = after ?? this.#reference;
  }

  #noteFinish({ end, stall, error }: CompactRunReport, startMs: number): void {
    const { warnings, clock } = this.#options;
    if (end === "done") {
      this.#unfinished = null;
      warnings.clear(unfinishedWarning);
    } else if (end !== null && end !== "stopped") {
      this.#unfinished ??= { sinceMs: startMs, count: 0 };
      this.#unfinished.count += 1;
      if (clock.monotonicMs() - this.#unfinished.sinceMs < dayMs) return;
      const why = stall ?? error;
      const last = `the last of ${this.#unfinished.count} ended with ${end}${why === null ? "" : ` (${why})`}`;
      warnings.raise(unfinishedWarning, `no compaction has finished for a day: ${last}`, "mem-agent compactstatus");
    }
  }

  #warn({ error }: CompactRunReport): void {
    const { warnings } = this.#options;
    if (error === null) warnings.clear(failedWarning);
    else warnings.raise(failedWarning, `cannot compact memory: ${error}; it will be tried again when one is due`, null);
  }

  /** Why a run now would compact if the system is quiet, null where it would not. */
  #wanted(settings: CompactSettings): string | null {
    const reference = this.#reference;
    if (settings.disabled || reference === null) return null;
    return this.#whyCompact(settings, { free: readFreeBlocks(this.#options.root), reference, pressurePercent: null });
  }

  #whyCompact(settings: CompactSettings, finding: Finding): string | null {
    const answer = this.#answer(settings, false, finding);
    return answer.compact ? answer.why : null;
  }

  #reported(): number | null {
    this.#reportedOrder ??= { order: nullIfFault(() => readReportedOrder(this.#options.root)) };
    return this.#reportedOrder.order;
  }

  #free(settings: CompactSettings, blocks: readonly number[]): FreeStatus {
    return freeStatus(blocks, settings.order, this.#reported());
  }
}

/** What a run finds when it begins. */
interface Finding {
  readonly free: FreeBlocks;
  readonly reference: FreeBlocks;
  readonly pressurePercent: number | null;
}

function zeroes<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}

/** Null where the cgroup's stall is not told apart from the system's. */
function ownPressure(root: string, cgroup: string | null): OwnPressure | null {
  if (cgroup === null) return null;
  return nullIfFault(() => {
    const tree = readCgroupTree(root);
    if (tree.version !== 2) return null;
    return { memory: pressurePath(root, tree, cgroup, "memory"), io: pressurePath(root, tree, cgroup, "io") };
  });
}
