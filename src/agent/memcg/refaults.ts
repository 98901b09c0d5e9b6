/** What came back of a cgroup's evicted pages: the counters, and the account that core/refault.ts keeps of them. */
import {
  decideRefault,
  isUnderJudgement,
  judgeRefaults,
  noteEviction,
  noteSitOut,
  type RefaultObservation,
  type RefaultSource,
} from "../../core/refault.ts";
import { cgroupFile, type CgroupTree } from "../../kernel/cgroup.ts";
import { isFault, nullIfFault } from "../../base/fault.ts";
import { readMemoryStat } from "../../kernel/memory-stat.ts";
import { readSomeTotalUs } from "../../kernel/pressure.ts";
import { noJudgement, type CgroupState } from "./registry.ts";

/** Of memory.stat, with the children. */
interface Counts {
  readonly residentPages: number;
  readonly refaultedPages: number | null;
  readonly stolenPages: number | null;
}

/** Counters of a cgroup without its children, from where they were first read on; and what they were reckoned from. */
interface OwnCounts {
  readonly refaultedPages: number | null;
  readonly stolenPages: number | null;
  readonly self: Counts;
  readonly children: ReadonlyMap<CgroupState, Counts>;
}

export class RefaultAccounts {
  readonly #root: string;
  readonly #tree: CgroupTree;
  readonly #pageBytes: number;
  readonly source: RefaultSource;
  readonly #clockMs: () => number;
  /** What was read in this run: a child's counts are its own and its parent's business. */
  readonly #read = new Map<CgroupState, Counts | null>();
  /** By cgroup, so that it goes with the cgroup. */
  readonly #owns = new WeakMap<CgroupState, OwnCounts>();

  constructor(root: string, tree: CgroupTree, pageBytes: number, source: RefaultSource, clockMs: () => number) {
    this.#root = root;
    this.#tree = tree;
    this.#pageBytes = pageBytes;
    this.source = source;
    this.#clockMs = clockMs;
  }

  /**
   * Judges what was evicted of the cgroup before. Returns the observation that an eviction now would be judged from,
   * null where the price is switched off or the counters cannot be read.
   */
  judge(cgroup: CgroupState, limitPercent: number, evictingNow: boolean): RefaultObservation | null {
    cgroup.judgement = noJudgement;
    const now = asks(cgroup, limitPercent, evictingNow) ? this.#observe(cgroup) : null;
    if (now === null) return null;
    const judged = judgeRefaults(cgroup.refault, now, limitPercent);
    cgroup.refault = judged.state;
    cgroup.judgement = judged;
    cgroup.bookRefaults(judged.returnedPages);
    return now;
  }

  /** Reads what `judge` will ask for, child by child: there may be thousands. */
  *reading(cgroup: CgroupState, limitPercent: number, evictingNow: boolean): Generator<undefined, void> {
    if (!asks(cgroup, limitPercent, evictingNow)) return;
    for (const child of cgroup.children) {
      this.#counts(child);
      yield;
    }
  }

  /**
   * Evictions that the cgroup still sits out, this one included; 0 when it may be evicted. Counts this one, unless it would
   * not have been one.
   */
  sitOut(cgroup: CgroupState, limitPercent: number, counting: boolean): number {
    const decision = decideRefault(cgroup.refault, limitPercent);
    if (decision.do === "evict") return 0;
    if (counting) cgroup.refault = noteSitOut(cgroup.refault);
    return decision.left;
  }

  evicted(cgroup: CgroupState, before: RefaultObservation | null, pages: number): void {
    if (before !== null && pages > 0) cgroup.refault = noteEviction(cgroup.refault, before, pages);
  }

  /** memory.stat counts the children as well: they are taken off. Their counts are those of this run. */
  #observe(cgroup: CgroupState): RefaultObservation | null {
    const self = this.#counts(cgroup);
    if (self === null) return null;
    const children = new Map<CgroupState, Counts>();
    for (const child of cgroup.children) {
      const counts = this.#counts(child);
      if (counts !== null) children.set(child, counts);
    }
    const own = ownCounts(this.#owns.get(cgroup) ?? null, self, children);
    this.#owns.set(cgroup, own);
    let residentPages = self.residentPages;
    for (const child of children.values()) residentPages -= child.residentPages;
    return {
      atMs: this.#clockMs(),
      residentPages: Math.max(0, residentPages),
      refaultedPages: own.refaultedPages,
      stolenPages: own.stolenPages,
      ioStallUs: this.source === "io_stall" ? this.#ioStallUs(cgroup) : null,
    };
  }

  /** Forgets what was read in a run: it has ended. */
  forget(): void {
    this.#read.clear();
  }

  #counts(cgroup: CgroupState): Counts | null {
    const known = this.#read.get(cgroup);
    if (known !== undefined) return known;
    const counts = nullIfFault(() => {
      const stat = readMemoryStat(this.#root, this.#tree, cgroup.path);
      return {
        residentPages: Math.round((stat.anonBytes + stat.fileBytes) / this.#pageBytes),
        refaultedPages: stat.refaults === null ? null : stat.refaults.filePages + stat.refaults.anonPages,
        stolenPages: stat.stealPages,
      };
    });
    this.#read.set(cgroup, counts);
    return counts;
  }

  #ioStallUs(cgroup: CgroupState): number | null {
    try {
      return readSomeTotalUs(cgroupFile(this.#root, this.#tree, cgroup.path, "io.pressure"));
    } catch (error) {
      if (isFault(error)) return null;
      throw error;
    }
  }
}

/** Whether anybody wants to know what came back. */
function asks(cgroup: CgroupState, limitPercent: number, evictingNow: boolean): boolean {
  return limitPercent > 0 && (evictingNow || isUnderJudgement(cgroup.refault));
}

/**
 * The growth of each child is taken off, and not its total: one that was removed leaves its total with the parent. A
 * child that is new counts from zero.
 */
function ownCounts(last: OwnCounts | null, self: Counts, children: ReadonlyMap<CgroupState, Counts>): OwnCounts {
  const own = (of: "refaultedPages" | "stolenPages"): number | null => {
    const now = self[of];
    if (now === null) return null;
    let grown = now - (last?.self[of] ?? now);
    if (last !== null)
      for (const [child, counts] of children) grown -= grownBy(last.children.get(child)?.[of], counts[of]);
    return (last?.[of] ?? 0) + Math.max(0, grown);
  };
  return { refaultedPages: own("refaultedPages"), stolenPages: own("stolenPages"), self, children };
}

function grownBy(from: number | null | undefined, to: number | null): number {
  return Math.max(0, (to ?? 0) - (from ?? 0));
}
