/**
 * What is remembered of each cgroup and of each target (one node of one cgroup) from run to run. A cgroup is its path
 * and its inode: one that comes back under the same name has no history.
 */
import { isFault } from "../../base/fault.ts";
import type { Effective, RuleBook } from "../../config/rules.ts";
import type { MemcgRule, MemcgSettings } from "../../config/schema.ts";
import { cohortColumns, forgetCohort, lookAtCohort, oldPagesOf, seenMsOf } from "../../core/cohort.ts";
import { generationsMax, type Freed, type Generation } from "../../core/eviction.ts";
import {
  newPace,
  paceLimits,
  periodMs,
  quietMs,
  type CpuSeen,
  type PaceLimits,
  type PaceState,
} from "../../core/pace.ts";
import type { StallReading } from "../../core/pressure.ts";
import { endReasons, noEnds, type EndReason } from "../../core/reason.ts";
import { noRefaults, type RefaultState, type RefaultVerdict } from "../../core/refault.ts";
import { cgroupInode, parentPath, type CgroupTree } from "../../kernel/cgroup.ts";

/** What went and what came back of all cgroups, also of those that are gone. Pages. */
export interface MemcgTotals {
  evictedFilePages: number;
  evictedAnonPages: number;
  refaultedPages: number;
}

const generationColumns = 4;
const endsColumn = generationsMax * generationColumns;
const cohortColumn = endsColumn + endReasons.length;
const targetColumns = cohortColumn + cohortColumns;

export class TargetState {
  readonly cgroup: CgroupState;
  readonly node: number;
  settings: MemcgSettings;
  rule: MemcgRule | null;
  /** The row of this target: what the last scan showed, oldest generation first, how often it ended for each reason, and what stayed. */
  readonly #rows: NumberRows;
  readonly #row: number;
  readonly #totals: MemcgTotals;
  generationCount = 0;
  /** Pages on the inactive lists, where those stand in for ages; null with the multi-gen LRU. */
  inactive: { readonly anonPages: number; readonly filePages: number } | null = null;
  /** When the last run of this target ended, on the monotonic clock; null before the first. */
  ranMs: number | null = null;
  /** Number of that run among those that were not asked for. */
  ranOrdinal = 0;
  runs = 0;
  skips = 0;
  /** How long the kernel took for the last of its agings. */
  agingMs = 0;
  /** Agings since this target is known: what eviction waits for. */
  agings = 0;
  evictions = 0;
  evictedAnonPages = 0;
  evictedFilePages = 0;
  lastEvictedAnonPages = 0;
  lastEvictedFilePages = 0;
  /** Its part of what came back of the cgroup, which the kernel does not count by nodes. */
  refaultedPages = 0;
  /** File pages that we evicted since the last scan. */
  takenFilePages = 0;
  /** What it has shown of itself, and so how often it is run and how much goes at once. */
  pace: PaceState = newPace;
  lastEnd: EndReason | null = null;
  lastError: string | null = null;
  seenInScan = 0;

  constructor(cgroup: CgroupState, node: number, { settings, rule }: Effective, rows: NumberRows, totals: MemcgTotals) {
    this.#rows = rows;
    this.#totals = totals;
    this.#row = rows.take();
    this.cgroup = cgroup;
    this.node = node;
    this.settings = settings;
    this.rule = rule;
  }

  /** How often its part of a run ended for each reason. */
  get ends(): Readonly<Record<EndReason, number>> {
    const counts = noEnds();
    for (const [index, reason] of endReasons.entries()) counts[reason] = this.#rows.get(this.#row, endsColumn + index);
    return counts;
  }

  setGeneration(index: number, seq: number, ageMs: number, anonPages: number, filePages: number): void {
    const at = index * generationColumns;
    this.#rows.set(this.#row, at, seq);
    this.#rows.set(this.#row, at + 1, ageMs);
    this.#rows.set(this.#row, at + 2, anonPages);
    this.#rows.set(this.#row, at + 3, filePages);
  }

  generation(index: number): Generation | null {
    if (index < 0 || index >= this.generationCount) return null;
    return {
      seq: this.#number(index, 0),
      ageMs: this.#number(index, 1),
      anonPages: this.#number(index, 2),
      filePages: this.#number(index, 3),
    };
  }

  #number(index: number, column: number): number {
    return this.#rows.get(this.#row, index * generationColumns + column);
  }

  /** Oldest first. */
  get generations(): readonly Generation[] {
    const list: Generation[] = [];
    for (let index = 0; index < this.generationCount; index++) {
      const generation = this.generation(index);
      if (generation !== null) list.push(generation);
    }
    return list;
  }

  /** At each scan, with the multi-gen LRU only: what stays in its old generations is followed. */
  followCohort(nowMs: number): void {
    lookAtCohort(this.#rows.at(this.#row, cohortColumn), this.generations, this.takenFilePages, nowMs);
    this.takenFilePages = 0;
  }

  /** File pages of its oldest generation that were there at every scan within the horizon. */
  stayedFilePages(horizonMs: number, nowMs: number): number {
    const row = this.#rows.at(this.#row, cohortColumn);
    return this.generationCount === 0 ? 0 : oldPagesOf(row, this.#number(0, 0), horizonMs, nowMs);
  }

  /** File pages up to generation `seq` that were there at every scan since that one was first seen. */
  untouchedFilePages(seq: number, nowMs: number): number {
    return oldPagesOf(this.#rows.at(this.#row, cohortColumn), seq, Number.NEGATIVE_INFINITY, nowMs);
  }

  /** When generation `seq` was first seen, on the monotonic clock; null where it was not. */
  seenMs(seq: number): number | null {
    return seenMsOf(this.#rows.at(this.#row, cohortColumn), seq);
  }

  forgetCohort(): void {
    forgetCohort(this.#rows.at(this.#row, cohortColumn));
  }

  /** Between what its period may be. */
  get paceLimits(): PaceLimits {
    return paceLimits(this.settings.period_min_secs, this.settings.period_secs, this.agingMs);
  }

  /** The waiting period that it has found, within its settings. */
  get periodMs(): number {
    return periodMs(this.pace, this.paceLimits);
  }

  /** When its cgroup counts as idle if it goes on using no CPU, and what is under trial may go; else null. */
  get idleAtMs(): number | null {
    const { cpu } = this.cgroup;
    if (this.pace.evictedMs === null || this.pace.idle || cpu === null) return null;
    return cpu.busyMs + quietMs(this.generation(0)?.ageMs ?? 0);
  }

  get maxSeq(): number | null {
    return this.generationCount === 0 ? null : this.#number(this.generationCount - 1, 0);
  }

  get youngestAgeMs(): number {
    return this.generationCount === 0 ? 0 : this.#number(this.generationCount - 1, 1);
  }

  /** Pages of one type in the generations up to and with `seq`; in all of them with Infinity. */
  pagesUpTo(seq: number, type: "anon" | "file"): number {
    let pages = 0;
    for (let index = 0; index < this.generationCount; index++) {
      if (this.#number(index, 0) > seq) break;
      pages += this.#number(index, type === "anon" ? 2 : 3);
    }
    return pages;
  }

  get sizePages(): number {
    return this.pagesUpTo(Infinity, "anon") + this.pagesUpTo(Infinity, "file");
  }

  /** Pages of it were evicted. */
  book({ filePages, anonPages }: Freed): void {
    this.evictedFilePages += filePages;
    this.evictedAnonPages += anonPages;
    this.lastEvictedFilePages += filePages;
    this.lastEvictedAnonPages += anonPages;
    this.#totals.evictedFilePages += filePages;
    this.#totals.evictedAnonPages += anonPages;
  }

  get evictedPages(): number {
    return this.evictedFilePages + this.evictedAnonPages;
  }

  bookRefaults(pages: number): void {
    this.refaultedPages += pages;
    this.#totals.refaultedPages += pages;
  }

  /** Whether the last run came to its end before it was its turn. */
  get unreached(): boolean {
    return this.lastEnd === "unreached";
  }

  end(reason: EndReason): void {
    this.lastEnd = reason;
    const column = endsColumn + endReasons.indexOf(reason);
    this.#rows.set(this.#row, column, this.#rows.get(this.#row, column) + 1);
  }

  /** Called once, when nothing is to be known of it any more. */
  forget(): void {
    this.#rows.giveBack(this.#row);
  }
}

export interface Judgement {
  readonly verdict: RefaultVerdict;
  readonly returnedPages: number;
}

export const noJudgement: Judgement = { verdict: "none", returnedPages: 0 };

/** Most cgroups have none. */
const noChildren: ReadonlySet<CgroupState> = new Set();

interface Window extends StallReading {
  atMs: number;
  readonly self: { memoryUs: number | null; ioUs: number | null };
  children: StallReading["children"];
}

export class CgroupState {
  readonly path: string;
  readonly inode: number;
  parent: CgroupState | null;
  /** lru_gen's id, opaque. */
  id: string;
  targets: TargetState[] = [];
  #children: Set<CgroupState> | null = null;
  /** Where its stall is read: its own path, a parent's, "system", or null where none can be read. */
  pressureSource: string | null = null;
  /** Made once: readings that are allocated in each run would lie between what is thrown away. */
  readonly #window: Window = { atMs: 0, self: { memoryUs: null, ioUs: null }, children: null };
  #windowBegun = false;
  windowPercent: number | null = null;
  /** Null before the first run, and where the kernel does not say: then it counts as busy. */
  cpu: CpuSeen | null = null;
  /** The account of what was evicted and what came back. */
  refault: RefaultState = noRefaults;
  /** What the last run's judgement said about the evictions before it. */
  judgement: Judgement = noJudgement;
  seenInScan = 0;

  constructor(path: string, inode: number, id: string, parent: CgroupState | null) {
    this.path = path;
    this.inode = inode;
    this.id = id;
    this.parent = parent;
  }

  /** The reading at the start of the waiting period; null before the first run. */
  get windowStart(): StallReading | null {
    return this.#windowBegun ? this.#window : null;
  }

  /** Begins a waiting period with this reading; with null none is known until the next. */
  set windowStart(reading: StallReading | null) {
    this.#windowBegun = reading !== null;
    if (reading === null) return;
    this.#window.atMs = reading.atMs;
    this.#window.self.memoryUs = reading.self.memoryUs;
    this.#window.self.ioUs = reading.self.ioUs;
    this.#window.children = reading.children;
  }

  get children(): ReadonlySet<CgroupState> {
    return this.#children ?? noChildren;
  }

  adopt(child: CgroupState): void {
    this.#children ??= new Set();
    this.#children.add(child);
  }

  moveTo(parent: CgroupState | null): void {
    this.parent?.disown(this);
    this.parent = parent;
    parent?.adopt(this);
  }

  disown(child: CgroupState): void {
    this.#children?.delete(child);
  }

  /** Shares out among the nodes what came back, by what was evicted of each. */
  bookRefaults(pages: number): void {
    let leftOf = this.targets.reduce((sum, target) => sum + target.evictedPages, 0);
    let left = pages;
    for (const [index, target] of this.targets.entries()) {
      const last = index === this.targets.length - 1;
      const share = last || leftOf === 0 ? left : Math.round((left * target.evictedPages) / leftOf);
      target.bookRefaults(share);
      left -= share;
      leftOf -= target.evictedPages;
    }
  }

  /** Forgets the nodes that a snapshot did not show: another backend tells nodes apart, or none. */
  dropUnseen(scan: number): void {
    if (this.targets.every((target) => target.seenInScan === scan)) return;
    for (const target of this.targets) if (target.seenInScan !== scan) target.forget();
    this.targets = this.targets.filter((target) => target.seenInScan === scan);
  }

  /** What tells it from another cgroup of the same name. */
  get identity(): string {
    return `${this.inode}:${this.path}`;
  }
}

export class MemcgRegistry {
  readonly cgroups = new Map<string, CgroupState>();
  readonly #rows = new NumberRows(targetColumns);
  readonly totals: MemcgTotals = { evictedFilePages: 0, evictedAnonPages: 0, refaultedPages: 0 };
  #scan = 0;
  /** When all targets were last looked at, on the monotonic clock; null before that. */
  lookedMs: number | null = null;
  /** Whether nodes that the next snapshot does not show are none any more. */
  #restarted = false;
  /** What targets go by, and what they will go by once nothing is under way. */
  #rules: RuleBook;
  #newRules: RuleBook;
  /** True while all that is under way has to end at its next batch. */
  halted = false;
  /** Whether somebody's parent may be one further up than it should be. */
  #gaps = false;

  constructor(rules: RuleBook) {
    this.#rules = rules;
    this.#newRules = rules;
  }

  get targetCount(): number {
    let count = 0;
    for (const cgroup of this.cgroups.values()) count += cgroup.targets.length;
    return count;
  }

  *targets(): Generator<TargetState> {
    for (const cgroup of this.cgroups.values()) yield* cgroup.targets;
  }

  /** Starts a snapshot: what is not seen until `endScan` is gone. */
  beginScan(): void {
    this.#scan++;
  }

  /**
   * One cgroup of the snapshot. Called for a cgroup before it is called for the cgroups below it, as the kernel lists
   * them. Of two with one name the later counts, the dead being older; see `hasLiving`.
   */
  seeCgroup(path: string, id: string, inode: number): CgroupState {
    let cgroup = this.cgroups.get(path);
    if (cgroup === undefined || cgroup.inode !== inode) {
      if (cgroup !== undefined) this.#drop(cgroup);
      cgroup = new CgroupState(path, inode, id, this.#parentOf(path));
      this.cgroups.set(path, cgroup);
      this.#link(cgroup);
    }
    cgroup.id = id;
    cgroup.seenInScan = this.#scan;
    return cgroup;
  }

  /** The nearest cgroup above a path that is there; null where none is known. */
  nearestAbove(path: string): CgroupState | null {
    for (let at = parentPath(path); at !== null; at = parentPath(at)) {
      const cgroup = this.cgroups.get(at);
      if (cgroup !== undefined) return cgroup;
    }
    return null;
  }

  /** True when this snapshot has shown a cgroup whose id is its inode: another one of its name is dead. */
  hasLiving(path: string): boolean {
    const cgroup = this.cgroups.get(path);
    return cgroup !== undefined && cgroup.seenInScan === this.#scan && cgroup.id === String(cgroup.inode);
  }

  seeTarget(cgroup: CgroupState, node: number): TargetState {
    let target = cgroup.targets.find((candidate) => candidate.node === node);
    if (target === undefined) {
      target = new TargetState(cgroup, node, this.#rules.lookup(cgroup.path, node), this.#rows, this.totals);
      cgroup.targets.push(target);
    }
    target.seenInScan = this.#scan;
    return target;
  }

  /**
   * Forgets what the snapshot did not show and is not there any more, and returns it. A snapshot may lack what is there: a
   * line that could not be read, a file that skipped one. Its targets have no generations then.
   */
  endScan(isThere: (cgroup: CgroupState) => boolean): readonly CgroupState[] {
    const gone: CgroupState[] = [];
    for (const cgroup of this.cgroups.values()) {
      if (cgroup.seenInScan !== this.#scan && !isThere(cgroup)) gone.push(cgroup);
      else if (this.#restarted) cgroup.dropUnseen(this.#scan);
      for (const target of cgroup.targets) if (target.seenInScan !== this.#scan) target.generationCount = 0;
    }
    this.#restarted = false;
    for (const cgroup of gone) this.#drop(cgroup);
    return gone;
  }

  /** What was seen of pages, and how often they were aged, holds no longer; the counts and accounts do. */
  restart(): void {
    this.#restarted = true;
    for (const target of this.targets()) {
      target.generationCount = 0;
      target.inactive = null;
      target.agings = 0;
      target.forgetCohort();
    }
  }

  /** Takes changed rules. What is under way goes on by the old ones until `applyRules`, but ends where they switch it off. */
  changeRules(rules: RuleBook): void {
    this.#newRules = rules;
  }

  /** Gives every target its settings by the rules that were taken last. */
  applyRules(): void {
    if (this.#rules === this.#newRules) return;
    this.#rules = this.#newRules;
    for (const target of this.targets()) {
      const { settings, rule } = this.#rules.lookup(target.cgroup.path, target.node);
      target.settings = settings;
      target.rule = rule;
    }
  }

  /** The agent's own cgroup where that is disabled for nothing else; null elsewhere. */
  get ownCgroup(): string | null {
    return this.#rules.ownCgroup;
  }

  /** Whether a target that is under way has to end: all have to, or it was switched off since. */
  mustStop({ cgroup, node, settings }: TargetState): boolean {
    if (this.halted || this.#rules === this.#newRules || settings.disabled) return this.halted;
    return this.#newRules.lookup(cgroup.path, node).settings.disabled;
  }

  /** Between its parent and those that the parent has in its stead until now. */
  #link(cgroup: CgroupState): void {
    if (!this.#gaps) {
      cgroup.parent?.adopt(cgroup);
      return;
    }
    const start = cgroup.path === "/" ? "/" : `${cgroup.path}/`;
    const above = cgroup.parent?.children ?? (cgroup.path === "/" ? this.#topmost() : []);
    for (const other of above) if (other.path.startsWith(start)) other.moveTo(cgroup);
    cgroup.parent?.adopt(cgroup);
  }

  *#topmost(): Generator<CgroupState> {
    for (const cgroup of this.cgroups.values()) if (cgroup.parent === null && cgroup.path !== "/") yield cgroup;
  }

  #drop(cgroup: CgroupState): void {
    if (cgroup.children.size > 0) this.#gaps = true;
    for (const child of cgroup.children) child.moveTo(cgroup.parent);
    cgroup.parent?.disown(cgroup);
    for (const target of cgroup.targets) target.forget();
    if (this.cgroups.get(cgroup.path) === cgroup) this.cgroups.delete(cgroup.path);
  }

  #parentOf(path: string): CgroupState | null {
    if (path === "/") return null;
    let parent = path;
    while (parent !== "/") {
      const slash = parent.lastIndexOf("/");
      parent = slash <= 0 ? "/" : parent.slice(0, slash);
      const cgroup = this.cgroups.get(parent);
      if (cgroup !== undefined) return cgroup;
      this.#gaps = true;
    }
    return null;
  }
}

/** Whether the cgroup was not removed: one that has its name by now is another. What cannot be known counts as there. */
export function isThere(root: string, tree: CgroupTree, cgroup: CgroupState): boolean {
  try {
    return cgroupInode(root, tree, cgroup.path) === cgroup.inode;
  } catch (error) {
    if (!isFault(error)) throw error;
    return error.kind !== "vanished";
  }
}

const most = 2 ** 32 - 1;

export class NumberRows {
  readonly #width: number;
  #numbers: Uint32Array<ArrayBuffer>;
  #rows = 0;
  readonly #free: number[] = [];

  constructor(width: number) {
    this.#width = width;
    this.#numbers = new Uint32Array(16 * width);
  }

  /** A row of zeros. */
  take(): number {
    const row = this.#free.pop() ?? this.#rows++;
    const end = (row + 1) * this.#width;
    if (end > this.#numbers.length) this.#grow();
    this.#numbers.fill(0, end - this.#width, end);
    return row;
  }

  /** The row may be another one's from now on. */
  giveBack(row: number): void {
    this.#free.push(row);
  }

  /** The numbers as they lie now: they move when a row is taken. */
  at(row: number, column: number): { readonly numbers: Uint32Array; readonly at: number } {
    return { numbers: this.#numbers, at: row * this.#width + column };
  }

  get(row: number, column: number): number {
    return this.#numbers[row * this.#width + column] ?? 0;
  }

  /** What does not fit into 32 bits is the largest number that does: 49 days in milliseconds, 16 TiB in pages. */
  set(row: number, column: number, value: number): void {
    this.#numbers[row * this.#width + column] = Math.min(most, value);
  }

  #grow(): void {
    const larger = new Uint32Array(
      this.#numbers.length + Math.ceil(this.#numbers.length / 4 / this.#width) * this.#width,
    );
    larger.set(this.#numbers);
    this.#numbers = larger;
  }
}
