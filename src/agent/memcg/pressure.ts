/**
 * Where a cgroup's stall is read, over its waiting period and while it is evicted. A cgroup without a pressure file of
 * its own is judged by the nearest parent that has one, else by the system.
 */
import type { Clock } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import {
  isAbove,
  SlidingPressure,
  stallPercent,
  stallUs,
  triggerPercent,
  type StallReading,
  type StallTotals,
} from "../../core/pressure.ts";
import { pressurePath, type CgroupTree } from "../../kernel/cgroup.ts";
import { readSomeTotalUs, systemPressurePath } from "../../kernel/pressure.ts";
import type { FsPath } from "../../system/path-name.ts";
import { PressureTrigger } from "../../kernel/pressure-trigger.ts";
import { spareDescriptors } from "../../system/self.ts";
import type { CgroupState, TargetState } from "./registry.ts";

/** The name of the system's pressure as a source. */
export const systemSource = "system";

/** The shortest window of a stall share while an eviction is on: what every kernel accepts for a trigger. */
export const guardWindowMs = 500;

/** How old the reading of a cgroup that is written to may be. */
const readingMsMax = 150;

/** Each armed cgroup costs kernel threads; beyond so many, the totals that are read must do. */
const armedMax = 16;
/** Of memory and of io. */
const descriptorsEach = 2;
/** Descriptors that triggers leave to others: the totals, the log, the control socket's clients, a compaction. */
const descriptorsKept = 12;

/** How many targets may have triggers now, each of which is a descriptor for the length of the run. */
function armedAllowed(): number {
  const spare = spareDescriptors("/");
  if (spare === null) return armedMax;
  return Math.max(0, Math.min(armedMax, Math.floor((spare - descriptorsKept) / descriptorsEach)));
}

export class PressureReader {
  readonly #root: string;
  readonly #tree: CgroupTree;
  readonly #clock: Clock;
  /** Totals read in this run, by source: a parent's files are read once for all its children. */
  readonly #cache = new Map<string, StallTotals>();

  constructor(root: string, tree: CgroupTree, clock: Clock) {
    this.#root = root;
    this.#tree = tree;
    this.#clock = clock;
  }

  /** Forgets what was read: a run begins, or ends. */
  forget(): void {
    this.#cache.clear();
  }

  /**
   * A reading that may be as old as the run; null where there is no pressure file at all. Files come and go since
   * Linux 6.1 (`cgroup.pressure`), so it is asked whose stand for the cgroup now.
   */
  cached(cgroup: CgroupState): StallReading | null {
    this.#reconsider(cgroup);
    return this.#read(cgroup, (source) => this.#cachedTotals(source));
  }

  /** Reads what `cached` will ask for, child by child: there may be thousands. */
  *reading(cgroup: CgroupState): Generator<undefined, void> {
    for (const child of cgroup.children) {
      if (this.#source(child) === child.path) this.#cachedTotals(child.path);
      yield;
    }
  }

  #cachedTotals(source: string): StallTotals {
    const known = this.#cache.get(source);
    if (known !== undefined) return known;
    const totals = this.#totals(source);
    this.#cache.set(source, totals);
    return totals;
  }

  /** Totals of different files cannot be held against each other: with another source a new waiting period begins. */
  #reconsider(cgroup: CgroupState): void {
    const source = cgroup.pressureSource;
    if (source === null) return;
    const own = source === cgroup.path || this.#tree.pressureMount === null;
    const stays = own ? isKnown(this.#cachedTotals(source)) : this.#someTotalUs(cgroup.path, "memory") === null;
    if (stays) return;
    cgroup.pressureSource = null;
    cgroup.windowStart = null;
  }

  /** A reading of this moment. */
  fresh(cgroup: CgroupState): StallReading | null {
    return this.#read(cgroup, (source) => this.#totals(source));
  }

  /**
   * As `fresh`, with the children's stall left in: two files however many children there are. A trigger on the file
   * has it open. Where the cgroup's own files are gone, those that stand for it now. Null where none do.
   */
  freshWithChildren(
    cgroup: CgroupState,
    memory: PressureTrigger | null = null,
    io: PressureTrigger | null = null,
  ): StallReading | null {
    const source = this.#source(cgroup);
    if (source === null) return null;
    const memoryUs = memory === null ? this.#someTotalUs(source, "memory") : totalOrNull(() => memory.readTotalUs());
    const ioUs = io === null ? this.#someTotalUs(source, "io") : totalOrNull(() => io.readTotalUs());
    const self = { memoryUs, ioUs };
    if (isKnown(self)) return { atMs: this.#clock.monotonicMs(), self, children: null };
    cgroup.pressureSource = null;
    // Totals of different files cannot be held against each other.
    cgroup.windowStart = null;
    return this.#source(cgroup) === null ? null : this.freshWithChildren(cgroup);
  }

  now(): number {
    return this.#clock.monotonicMs();
  }

  /** The files to arm triggers on. */
  files(cgroup: CgroupState): { readonly memory: FsPath; readonly io: FsPath } | null {
    const source = this.#source(cgroup);
    return source === null ? null : { memory: this.#file(source, "memory"), io: this.#file(source, "io") };
  }

  #read(cgroup: CgroupState, totalsOf: (source: string) => StallTotals): StallReading | null {
    const source = this.#source(cgroup);
    if (source === null) return null;
    const self = totalsOf(source);
    const atMs = this.#clock.monotonicMs();
    if (source !== cgroup.path || cgroup.children.size === 0) return { atMs, self, children: null };
    const children = new Map<number, StallTotals>();
    for (const child of cgroup.children) {
      if (this.#source(child) === child.path) children.set(child.inode, totalsOf(child.path));
    }
    return { atMs, self, children };
  }

  #source(cgroup: CgroupState): string | null {
    if (cgroup.pressureSource !== null) return cgroup.pressureSource;
    for (let at: CgroupState | null = cgroup; at !== null; at = at.parent) {
      if (this.#someTotalUs(at.path, "memory") !== null || this.#someTotalUs(at.path, "io") !== null) {
        cgroup.pressureSource = at.path;
        return at.path;
      }
    }
    if (this.#someTotalUs(systemSource, "memory") === null) return null;
    cgroup.pressureSource = systemSource;
    return systemSource;
  }

  #totals(source: string): StallTotals {
    return { memoryUs: this.#someTotalUs(source, "memory"), ioUs: this.#someTotalUs(source, "io") };
  }

  #someTotalUs(source: string, resource: "memory" | "io"): number | null {
    return totalOrNull(() => readSomeTotalUs(this.#file(source, resource)));
  }

  #file(source: string, resource: "memory" | "io"): FsPath {
    return source === systemSource
      ? systemPressurePath(this.#root, resource)
      : pressurePath(this.#root, this.#tree, source, resource);
  }
}

/** Null where there is no such file. */
function totalOrNull(read: () => number): number | null {
  try {
    return read();
  } catch (error) {
    // Without a descriptor to read with, nothing is known, and what is not guarded is not evicted.
    if (isFault(error) && error.kind !== "io") return null;
    throw error;
  }
}

function isKnown(totals: StallTotals): boolean {
  return totals.memoryUs !== null || totals.ioUs !== null;
}

/** Share of the waiting period that a cgroup stalled, in percent; null before there is a period to speak of. */
export function waitingPercent(cgroup: CgroupState, now: StallReading | null): number | null {
  if (cgroup.windowStart === null || now === null) return null;
  const stalled = stallUs(cgroup.windowStart, now);
  return stalled === null ? null : stallPercent(stalled, now.atMs - cgroup.windowStart.atMs);
}

/** A parent of more is held against the readings that the run began with: it must not read all of them for each watch. */
const freshChildrenMax = 16;

/**
 * Watches one cgroup while it is evicted. The children's stall is only taken off when the whole is above the limit:
 * a parent of a thousand cgroups must not read them all before each batch.
 */
export class EvictionGuard implements Disposable {
  readonly cgroup: CgroupState;
  readonly #reader: PressureReader;
  readonly #limitPercent: number;
  #source: string | null = null;
  #sliding: SlidingPressure | null = null;
  #ownStart: StallReading | null;
  #memory: PressureTrigger | null = null;
  #io: PressureTrigger | null = null;
  #readMs = 0;

  constructor(reader: PressureReader, cgroup: CgroupState, limitPercent: number) {
    this.cgroup = cgroup;
    this.#reader = reader;
    this.#limitPercent = limitPercent;
    this.#read();
    const few = cgroup.children.size <= freshChildrenMax;
    this.#ownStart = cgroup.children.size === 0 ? null : few ? reader.fresh(cgroup) : reader.cached(cgroup);
  }

  /** Arms triggers on the cgroup's files. A kernel that refuses leaves the totals to do the work. */
  arm(): void {
    const files = this.#reader.files(this.cgroup);
    const stallPercent = triggerPercent(this.#limitPercent);
    if (files === null || stallPercent === null) return;
    this.#memory = armedOrNull(files.memory, stallPercent);
    this.#io = armedOrNull(files.io, stallPercent);
  }

  get triggers(): readonly PressureTrigger[] {
    return [this.#memory, this.#io].filter((trigger) => trigger !== null);
  }

  /** When its pressure was last read, on the monotonic clock. */
  get readMs(): number {
    return this.#readMs;
  }

  /** Percent of stall when it is above the limit now, else null. What cannot be read counts as a stall all the time. */
  above(): number | null {
    const percent = this.#read();
    if (!isAbove(percent, this.#limitPercent)) return null;
    return this.#ownStart === null ? percent : this.#ownAbove(this.#ownStart);
  }

  #read(): number {
    const reading = this.#reader.freshWithChildren(this.cgroup, this.#memory, this.#io);
    this.#readMs = this.#reader.now();
    if (reading === null) {
      this.#ownStart = null;
      return 100;
    }
    if (this.#sliding === null || this.#source !== this.cgroup.pressureSource) {
      // Others' files from now on: what they stalled before says nothing.
      if (this.#sliding !== null) this[Symbol.dispose]();
      this.#ownStart = null;
      this.#source = this.cgroup.pressureSource;
      this.#sliding = new SlidingPressure(reading, guardWindowMs);
    }
    return this.#sliding.percent(reading) ?? 100;
  }

  #ownAbove(start: StallReading): number | null {
    const now = this.#reader.fresh(this.cgroup);
    if (now === null) return 100;
    const percent = stallPercent(stallUs(start, now) ?? 0, Math.max(guardWindowMs, now.atMs - start.atMs));
    if (isAbove(percent, this.#limitPercent)) return percent;
    if (now.atMs - start.atMs >= guardWindowMs) this.#ownStart = now;
    return null;
  }

  [Symbol.dispose](): void {
    this.#memory?.[Symbol.dispose]();
    this.#io?.[Symbol.dispose]();
    this.#memory = this.#io = null;
  }
}

function armedOrNull(file: FsPath, stallPercent: number): PressureTrigger | null {
  try {
    return PressureTrigger.open(file, stallPercent, guardWindowMs, "vanished");
  } catch (error) {
    if (isFault(error)) return null;
    throw error;
  }
}

/**
 * The guards of those that are written to: triggers as far as descriptors reach, and one poll() for all. Each target has
 * its own, though nodes of one cgroup watch the same files: their limits may differ, and one that ends must not end the
 * watch over the others.
 */
export class EvictionGuards implements Disposable {
  readonly #reader: PressureReader;
  readonly #guards = new Map<TargetState, EvictionGuard>();
  #armedAllowed: number | null = null;

  constructor(reader: PressureReader) {
    this.#reader = reader;
  }

  /** Watches a target from now on, also while others have their turn. */
  watch(target: TargetState): void {
    const { cgroup, settings } = target;
    const guard = new EvictionGuard(this.#reader, cgroup, settings.eviction_psi_percent_limit);
    this.#guards.set(target, guard);
  }

  /** Arms triggers for a watched target, as far as there are descriptors. A target that is done after one batch needs none. */
  arm(target: TargetState): void {
    const guard = this.#guards.get(target);
    this.#armedAllowed ??= armedAllowed();
    if (guard === undefined || guard.triggers.length > 0 || this.#armed >= this.#armedAllowed) return;
    guard.arm();
  }

  get #armed(): number {
    let count = 0;
    for (const guard of this.#guards.values()) if (guard.triggers.length > 0) count++;
    return count;
  }

  /** Percent of a watched target's stall when it is above its limit now, else null. */
  above(target: TargetState): number | null {
    return this.#guards.get(target)?.above() ?? null;
  }

  /**
   * Watched targets that are above their limit, of those whose trigger has fired since the last call or whose last reading
   * is old. A trigger alone does not tell: it also counts what the cgroup's children stalled.
   */
  stalled(): readonly TargetState[] {
    const fired = new Set(PressureTrigger.pollAll(this.#triggers()).map(({ trigger }) => trigger));
    const oldMs = this.#reader.now() - readingMsMax;
    const stalled: TargetState[] = [];
    for (const [target, guard] of this.#guards) {
      if (guard.readMs > oldMs && !guard.triggers.some((trigger) => fired.has(trigger))) continue;
      if (guard.above() !== null) stalled.push(target);
    }
    return stalled;
  }

  #triggers(): readonly PressureTrigger[] {
    return [...this.#guards.values()].flatMap((guard) => guard.triggers);
  }

  /** Ends the watch over one target. */
  release(target: TargetState): void {
    this.#guards.get(target)?.[Symbol.dispose]();
    this.#guards.delete(target);
  }

  [Symbol.dispose](): void {
    for (const guard of this.#guards.values()) guard[Symbol.dispose]();
    this.#guards.clear();
  }
}
