/** What batches freed, as the kernel counts it. */
import { nullIfFault } from "../../base/fault.ts";
import { splitFreed, type Freed } from "../../core/eviction.ts";
import type { CgroupTree } from "../../kernel/cgroup.ts";
import { readProactiveSteal } from "../../kernel/memory-stat.ts";
import { readVmstat } from "../../kernel/vmstat.ts";
import type { TargetState } from "./registry.ts";

export interface FreedReading {
  readonly stolenPages: number;
  /** `stolenPages` is ours alone: growth between batches belongs to them. */
  readonly apart: boolean;
  /** What all reclaim of the machine took, by type; null where only file pages are asked for. */
  readonly machine: Freed | null;
}

export class FreedCounter {
  readonly #root: string;
  readonly #tree: CgroupTree;
  /** Whether this kernel needs a push to add up its counts; true until one reading said that it does not. */
  #flush = true;

  constructor(root: string, tree: CgroupTree) {
    this.#root = root;
    this.#tree = tree;
  }

  /** Null where the kernel does not count, or the cgroup is gone. */
  read(target: TargetState, fileOnly: boolean): FreedReading | null {
    return nullIfFault(() => {
      const steal = readProactiveSteal(this.#root, this.#tree, target.cgroup.path, this.#flush);
      if (steal === null) return null;
      this.#flush = !steal.apart;
      return { stolenPages: steal.pages, apart: steal.apart, machine: fileOnly ? null : this.#machine() };
    });
  }

  #machine(): Freed {
    const { stealAnonPages, stealFilePages } = readVmstat(this.#root);
    return { anonPages: stealAnonPages, filePages: stealFilePages };
  }
}

/** What was freed between two readings, of which no more than `anonPagesMax` can be anonymous. */
export function freedBetween(before: FreedReading, after: FreedReading, anonPagesMax: number): Freed {
  const grown = (of: (machine: Freed) => number): number =>
    before.machine === null || after.machine === null ? 0 : Math.max(0, of(after.machine) - of(before.machine));
  return splitFreed({
    pages: Math.max(0, after.stolenPages - before.stolenPages),
    fileOnly: after.machine === null,
    anonPagesMax,
    machine: { anonPages: grown(({ anonPages }) => anonPages), filePages: grown(({ filePages }) => filePages) },
  });
}
