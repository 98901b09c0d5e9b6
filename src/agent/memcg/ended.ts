/**
 * Ended units: what the cgroups that were removed below a living one left behind, and its eviction through that one's
 * `memory.reclaim`. What is decided is in core/ended.ts.
 */
import { isFault, messageOf, nullIfFault } from "../../base/fault.ts";
import {
  decideEnded,
  endedEndTexts,
  endedHorizonMs,
  endedPagesMin,
  endedStepPages,
  judgeEndedStep,
  newEnded,
  noteEnded,
  noteEndedRun,
  oldEndedPages,
  type EndedEnd,
  type EndedState,
} from "../../core/ended.ts";
import { paceLimits, type PaceLimits } from "../../core/pace.ts";
import { isAbove, stallPercent, stallUs, type StallReading } from "../../core/pressure.ts";
import {
  decideRefault,
  isUnderJudgement,
  judgeRefaults,
  noRefaults,
  noteEviction,
  noteSitOut,
  type RefaultObservation,
  type RefaultState,
} from "../../core/refault.ts";
import { acceptsSwappiness, hasReclaim, reclaim } from "../../kernel/memory-reclaim.ts";
import { readMemoryStat, readProactiveSteal } from "../../kernel/memory-stat.ts";
import { cgroupFile, type CgroupTree } from "../../kernel/cgroup.ts";
import { readSomeTotalUs } from "../../kernel/pressure.ts";
import { displayPath } from "../../system/path-name.ts";
import type { MemcgSettings } from "../../config/schema.ts";
import type { Events } from "../events.ts";
import type { EndedStatus } from "../status.ts";
import type { Clock } from "../../base/clock.ts";
import type { Turns } from "../../base/turns.ts";
import type { Backend } from "./backend.ts";
import type { Bounds } from "./bounds.ts";
import { guardWindowMs, type PressureReader } from "./pressure.ts";
import type { CgroupState, MemcgTotals } from "./registry.ts";

/** What ended below one living cgroup. */
export class EndedUnits {
  readonly cgroup: CgroupState;
  state: EndedState = newEnded;
  /** As the last snapshot showed it: file pages, and of how many cgroups. */
  pages = 0;
  count = 0;
  /** Evicted since the last scan. */
  takenPages = 0;
  evictedPages = 0;
  refaultedPages = 0;
  /** What living cgroups beside it lost to its eviction. */
  lostPages = 0;
  evictions = 0;
  lastEnd: EndedEnd | null = null;
  lastError: string | null = null;
  refault: RefaultState = noRefaults;
  stall: StallReading | null = null;
  /** Whether its memory.reclaim takes swappiness=, which the kernel does not change; null before that was asked. */
  takesSwappiness: boolean | null = null;

  constructor(cgroup: CgroupState) {
    this.cgroup = cgroup;
  }

  get settings(): MemcgSettings | null {
    return this.cgroup.targets[0]?.settings ?? null;
  }
}

/** All of them, by the living cgroup that each can be reached through. */
export class EndedBook {
  readonly #units = new Map<CgroupState, EndedUnits>();
  /** The last removed cgroup of the listing: what is listed right after it and below its path was below it. */
  #last: { readonly path: string; readonly units: EndedUnits } | null = null;

  /** A snapshot begins. */
  begin(): void {
    this.#last = null;
    for (const units of this.#units.values()) units.pages = units.count = 0;
  }

  /** The snapshot shows a living cgroup. */
  living(): void {
    this.#last = null;
  }

  /** The snapshot shows one node of a removed cgroup, whose nearest living parent is `owner` if its own was not removed. */
  removed(path: string, filePages: number, owner: () => CgroupState | null): void {
    if (this.#last?.path !== path && !(this.#last !== null && path.startsWith(`${this.#last.path}/`))) {
      const cgroup = owner();
      this.#last = cgroup === null ? null : { path, units: this.#of(cgroup) };
    }
    if (this.#last === null || filePages === 0) return;
    this.#last.units.pages += filePages;
    this.#last.units.count++;
  }

  /** A snapshot at the start of a run is complete: what it shows is followed from run to run. */
  note(isKnown: (cgroup: CgroupState) => boolean, nowMs: number): void {
    for (const [cgroup, units] of this.#units) {
      // What is gone for long has no history worth keeping, but for its counts.
      if (!isKnown(cgroup)) this.#units.delete(cgroup);
      const { pages, takenPages, settings } = units;
      units.takenPages = 0;
      if (settings === null) continue;
      const horizonMs = endedHorizonMs(limitsOf(settings));
      units.state = noteEnded(units.state, { pages, takenPages, nowMs, horizonMs });
    }
  }

  /** The deepest first: what ended further down goes before it would go as somebody else's. */
  get all(): readonly EndedUnits[] {
    return [...this.#units.values()].toSorted((left, right) => depth(right.cgroup) - depth(left.cgroup));
  }

  /** With the most first, and without those that nothing is known of. */
  status(pageBytes: number): readonly EndedStatus[] {
    return [...this.#units.values()]
      .filter(({ pages, evictions }) => pages >= endedPagesMin || evictions > 0)
      .toSorted((left, right) => right.pages - left.pages)
      .slice(0, shownMax)
      .map((units) => ({
        path: displayPath(units.cgroup.path),
        cgroups: units.count,
        file_bytes: units.pages * pageBytes,
        evicted_bytes: units.evictedPages * pageBytes,
        lost_bytes: units.lostPages * pageBytes,
        refaulted_bytes: units.settings?.refault_percent_limit === 0 ? null : units.refaultedPages * pageBytes,
        evictions: units.evictions,
        sit_out: units.refault.leftEvictions,
        last_end: units.lastEnd,
        why: units.lastEnd === null ? null : endedEndTexts[units.lastEnd],
        last_error: units.lastError,
      }));
  }

  #of(cgroup: CgroupState): EndedUnits {
    let units = this.#units.get(cgroup);
    if (units === undefined) {
      units = new EndedUnits(cgroup);
      this.#units.set(cgroup, units);
    }
    return units;
  }
}

const shownMax = 100;

function depth({ path }: CgroupState): number {
  return path.split("/").length;
}

function limitsOf({ period_min_secs, period_secs }: MemcgSettings): PaceLimits {
  return paceLimits(period_min_secs, period_secs);
}

/** What the eviction of ended units needs. */
export interface EndedTools {
  readonly root: string;
  readonly tree: CgroupTree;
  readonly pageBytes: number;
  readonly clock: Clock;
  readonly backend: Pick<Backend, "looking">;
  readonly events: Pick<Events, "emit">;
  readonly turns: Turns;
  readonly pressure: Pick<PressureReader, "freshWithChildren">;
  readonly bounds: Bounds;
  readonly swapFreePages: () => number;
  readonly dryRun: boolean;
  /** Of a giveback, which takes all that it may at once; null in a run. */
  readonly giveback: {
    readonly minAgeMs: number;
    readonly ignorePressure: boolean;
    /** Pages that are still wanted; null for as many as there are. */
    readonly pagesMax: () => number | null;
  } | null;
  readonly stops: (cgroup: CgroupState) => boolean;
  /** Disabled as it is, what ended beside it may go. */
  readonly ownCgroup: string | null;
  /** Told what went of them and of the living with them, or with `dryRun` would have gone: file pages. */
  readonly evicted: (pages: number) => void;
  readonly totals: MemcgTotals;
}

/** Evicts of all ended units what is to go now. */
export async function evictEnded(all: readonly EndedUnits[], tools: EndedTools): Promise<void> {
  for (const units of all) await new EndedEviction(units, tools).run();
}

class EndedEviction {
  readonly #tools: EndedTools;
  readonly #units: EndedUnits;
  /** What the kernel took in all steps, and how much of it was of the ended. */
  #stolenPages = 0;
  #freedPages = 0;

  constructor(units: EndedUnits, tools: EndedTools) {
    this.#units = units;
    this.#tools = tools;
  }

  async run(): Promise<void> {
    const units = this.#units;
    const { settings, cgroup } = units;
    if (settings === null || (units.pages < endedPagesMin && !isUnderJudgement(units.refault))) return;
    const nowMs = this.#tools.clock.monotonicMs();
    const limits = limitsOf(settings);
    const observation = this.#judge(settings.refault_percent_limit, nowMs, limits);
    if (units.pages < endedPagesMin) return;
    const { giveback } = this.#tools;
    const decision = decideEnded(units.state, {
      oldPages:
        giveback === null ? oldEndedPages(units.state, endedHorizonMs(limits), nowMs) : this.#wantedPages(nowMs),
      nowMs: giveback === null ? nowMs : Infinity,
      disabled: settings.disabled,
      disabledBelow: isDisabledBelow(cgroup, this.#tools.ownCgroup),
      hasReclaim: hasReclaim(this.#tools.root, this.#tools.tree, cgroup.path),
      filesAlone: this.#takesSwappiness() || this.#cannotSwap(),
      stalled: giveback?.ignorePressure !== true && this.#hasStalled(settings.period_psi_percent_limit),
      sitsOut: giveback === null && decideRefault(units.refault, settings.refault_percent_limit).do === "sit_out",
    });
    if (decision.do === "leave") {
      if (decision.why === "refaults" && !this.#tools.dryRun) units.refault = noteSitOut(units.refault);
      if (decision.why !== null) this.#end(decision.why, nowMs, limits);
      return;
    }
    if (this.#tools.dryRun) {
      this.#tools.evicted(decision.pages);
      return;
    }
    units.evictions++;
    const stallPercentMax = giveback?.ignorePressure === true ? 100 : settings.eviction_psi_percent_limit;
    const why = await this.#evict(decision.pages, stallPercentMax);
    if (observation !== null) units.refault = noteEviction(units.refault, observation, this.#freedPages);
    units.evictedPages += this.#freedPages;
    units.lostPages += this.#lostPages;
    // The living lose what the ended did not: known at the end, since the kernel's count may lag behind a step.
    this.#book(this.#lostPages);
    this.#end(why, this.#tools.clock.monotonicMs(), limits);
    this.#tools.events.emit({
      event: "ended_units",
      path: displayPath(cgroup.path),
      end: why,
      evicted_bytes: this.#freedPages * this.#tools.pageBytes,
      lost_bytes: this.#lostPages * this.#tools.pageBytes,
    });
  }

  #book(pages: number): void {
    this.#tools.totals.evictedFilePages += pages;
    this.#tools.evicted(pages);
  }

  /** Over all steps, since the kernel's count may lag behind a step. */
  get #lostPages(): number {
    return Math.max(0, this.#stolenPages - this.#freedPages);
  }

  /** What a giveback takes: all that ended so long ago, as far as more is wanted. */
  #wantedPages(nowMs: number): number {
    const { state, pages } = this.#units;
    const { giveback } = this.#tools;
    const isOld = giveback !== null && nowMs - (state.sinceMs ?? nowMs) >= giveback.minAgeMs;
    return isOld ? Math.min(pages, giveback.pagesMax() ?? pages) : 0;
  }

  #end(why: EndedEnd, nowMs: number, limits: PaceLimits): void {
    this.#units.lastEnd = why;
    if (why !== "error") this.#units.lastError = null;
    this.#units.state = noteEndedRun(this.#units.state, why, nowMs, limits);
  }

  /** Small steps, each followed by a look at what went and at what the living lost. */
  async #evict(pages: number, stallPercentMax: number): Promise<EndedEnd> {
    const { root, tree, pageBytes, backend, pressure, turns } = this.#tools;
    const units = this.#units;
    const { cgroup } = units;
    const swappiness = this.#takesSwappiness() ? 0 : null;
    let stepPages = endedStepPages;
    let idleSteps = 0;
    let before = pressure.freshWithChildren(cgroup);
    // Bounded: each step takes something of what is left, or is one of a few that do not.
    while (true) {
      if (this.#tools.stops(cgroup)) return "stopped";
      const [wasPages, wasStolen] = [units.pages, this.#countStolen()];
      try {
        await reclaim(root, tree, cgroup.path, { bytes: stepPages * pageBytes, swappiness });
      } catch (error) {
        units.lastError = messageOf(error);
        if (isFault(error)) return "error";
        throw error;
      }
      await turns.through(backend.looking(false));
      const wentPages = Math.max(0, wasPages - units.pages);
      const stolen = this.#countStolen();
      this.#freedPages += wentPages;
      units.takenPages += wentPages;
      this.#book(wentPages);
      this.#stolenPages += stolen === null || wasStolen === null ? wentPages : Math.max(0, stolen - wasStolen);
      idleSteps = wentPages === 0 ? idleSteps + 1 : 0;
      const after = pressure.freshWithChildren(cgroup);
      if (isAbove(stalledPercent(before, after, guardWindowMs), stallPercentMax)) return "pressure";
      before = after;
      const step = judgeEndedStep({
        stepPages,
        idleSteps,
        freedPages: this.#freedPages,
        lostPages: this.#lostPages,
        leftPages: Math.min(units.pages, pages - this.#freedPages),
      });
      if (step.do === "end") return step.why;
      stepPages = step.pages;
    }
  }

  /** What the kernel evicted of the living cgroup with all that is below it, the removed ones too. */
  #countStolen(): number | null {
    const { root, tree } = this.#tools;
    return nullIfFault(() => readProactiveSteal(root, tree, this.#units.cgroup.path, true))?.pages ?? null;
  }

  #takesSwappiness(): boolean {
    const { root, tree } = this.#tools;
    const units = this.#units;
    units.takesSwappiness ??= nullIfFault(() => acceptsSwappiness(root, tree, units.cgroup.path));
    return units.takesSwappiness ?? false;
  }

  #cannotSwap(): boolean {
    return this.#tools.swapFreePages() === 0 || this.#tools.bounds.swapRoomPages(this.#units.cgroup) === 0;
  }

  /** Whether what lives there stalled since the last run, and starts counting from zero. */
  #hasStalled(limitPercent: number): boolean {
    const units = this.#units;
    const now = this.#tools.pressure.freshWithChildren(units.cgroup);
    const percent = stalledPercent(units.stall, now, 0);
    units.stall = now;
    return isAbove(percent, limitPercent);
  }

  /** What the living read again while they waited for the disk is taken for what went. Null without a price. */
  #judge(limitPercent: number, nowMs: number, limits: PaceLimits): RefaultObservation | null {
    if (limitPercent === 0) return null;
    const units = this.#units;
    const { root, tree, pageBytes } = this.#tools;
    const stat = nullIfFault(() => readMemoryStat(root, tree, units.cgroup.path));
    if (stat === null) return null;
    const ioStallUs = nullIfFault(() => readSomeTotalUs(cgroupFile(root, tree, units.cgroup.path, "io.pressure")));
    const observation = {
      atMs: nowMs,
      // With what ended: a unit that ends now takes nothing away from what was read.
      residentPages: Math.round((stat.anonBytes + stat.fileBytes) / pageBytes),
      refaultedPages: null,
      stolenPages: null,
      ioStallUs,
    };
    const judged = judgeRefaults(units.refault, observation, limitPercent);
    units.refault = judged.state;
    units.refaultedPages += judged.returnedPages;
    this.#tools.totals.refaultedPages += judged.returnedPages;
    if (judged.verdict === "costly") this.#end("refaults", nowMs, limits);
    return observation;
  }
}

/** Null where there is no pressure to read. */
function stalledPercent(before: StallReading | null, after: StallReading | null, msMin: number): number | null {
  if (before === null || after === null) return null;
  const stalled = stallUs(before, after);
  return stalled === null ? null : stallPercent(stalled, Math.max(msMin, after.atMs - before.atMs));
}

function isDisabledBelow(cgroup: CgroupState, ownCgroup: string | null): boolean {
  for (const child of cgroup.children) {
    if (
      (child.path !== ownCgroup && child.targets.some(({ settings }) => settings.disabled)) ||
      isDisabledBelow(child, ownCgroup)
    )
      return true;
  }
  return false;
}
