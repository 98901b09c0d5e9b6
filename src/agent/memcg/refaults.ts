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
import { isFault } from "../../base/fault.ts";
import { readMemoryStat } from "../../kernel/memory-stat.ts";
import { readSomeTotalUs } from "../../kernel/pressure.ts";
import { noJudgement, type CgroupState } from "./registry.ts";

export class RefaultKeeper {
  readonly #root: string;
  readonly #tree: CgroupTree;
  readonly #pageBytes: number;
  readonly source: RefaultSource;
  readonly #clockMs: () => number;

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
    if (limitPercent > 0 && !evictingNow && !isUnderJudgement(cgroup.refault)) return null;
    const now = limitPercent === 0 ? null : this.#observe(cgroup);
    if (now === null) return null;
    const judged = judgeRefaults(cgroup.refault, now, limitPercent);
    cgroup.refault = judged.state;
    cgroup.judgement = judged;
    cgroup.refaultedPages += judged.returnedPages;
    return now;
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

  #observe(cgroup: CgroupState): RefaultObservation | null {
    try {
      const stat = readMemoryStat(this.#root, this.#tree, cgroup.path);
      return {
        atMs: this.#clockMs(),
        residentPages: Math.round((stat.anonBytes + stat.fileBytes) / this.#pageBytes),
        refaultedPages: stat.refaults === null ? null : stat.refaults.filePages + stat.refaults.anonPages,
        stolenPages: stat.stealPages,
        ioStallUs: this.source === "io_stall" ? this.#ioStallUs(cgroup) : null,
      };
    } catch (error) {
      if (isFault(error)) return null;
      throw error;
    }
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
