/**
 * memory.reclaim of cgroup v2 as the way to evict, where lru_gen is not available. There are no ages: what core/reclaim.ts
 * makes of the lists and of what comes back stands in for them. Each cgroup is one target on node 0, since the file knows
 * no nodes.
 */
import type { Clock } from "../../base/clock.ts";
import { isFault } from "../../base/fault.ts";
import { decideAging } from "../../core/aging.ts";
import type { Freed } from "../../core/eviction.ts";
import { newReclaim, noteReclaimRun, planReclaim, type ListSizes, type ReclaimState } from "../../core/reclaim.ts";
import { toleranceMs } from "../../core/schedule.ts";
import { cgroupChildren, cgroupInode, type CgroupTree } from "../../kernel/cgroup.ts";
import { acceptsSwappiness, reclaim } from "../../kernel/memory-reclaim.ts";
import { readMemoryStat } from "../../kernel/memory-stat.ts";
import type { AgingOutcome, Backend, EvictPlan, Plan, PlanFacts, Reach } from "./backend.ts";
import { isThere, type CgroupState, type MemcgRegistry, type TargetState } from "./registry.ts";

const onlyNode = 0;
/** The pages of a cgroup count as one generation, whose number says nothing. */
const onlySeq = 0;
/** The kernel nests cgroups without limit; a walk of ours does not. */
const depthMax = 128;
/** Swappiness of anonymous pages alone. */
const swappinessMax = 200;

interface Reclaimed {
  /** Its own, without those of the cgroups below it. */
  sizes: ListSizes;
  childrenHoldMemory: boolean;
  state: ReclaimState;
  /** When the last run was noted, on the monotonic clock. */
  notedMs: number | null;
}

const nothing: ListSizes = { inactiveFilePages: 0, activeFilePages: 0, inactiveAnonPages: 0, activeAnonPages: 0 };

export interface MemoryReclaimOptions {
  readonly root: string;
  readonly tree: CgroupTree;
  readonly pageBytes: number;
  readonly registry: MemcgRegistry;
  readonly clock: Clock;
}

export class MemoryReclaimBackend implements Backend {
  readonly name = "memory_reclaim";
  readonly #root: string;
  readonly #tree: CgroupTree;
  readonly #pageBytes: number;
  readonly #registry: MemcgRegistry;
  readonly #clock: Clock;
  /** By cgroup, so that it goes with the cgroup. */
  readonly #reclaimed = new WeakMap<CgroupState, Reclaimed>();
  /** What went since the last scan. */
  readonly #gone = new Map<TargetState, Freed>();
  #takesSwappiness: boolean | null = null;

  constructor({ root, tree, pageBytes, registry, clock }: MemoryReclaimOptions) {
    this.#root = root;
    this.#tree = tree;
    this.#pageBytes = pageBytes;
    this.#registry = registry;
    this.#clock = clock;
  }

  /** Nothing is kept for the next scan. */
  rest(): void {}

  /** Walks the tree. Within a run nothing is read again: the sizes follow what `evict` saw go. */
  *looking(identify: boolean): Generator<undefined, void> {
    for (const [target, gone] of this.#gone) takeOff(target, gone);
    this.#gone.clear();
    if (!identify) return;
    this.#registry.beginScan();
    yield* this.#walk("/", 0);
    this.#registry.endScan((known) => isThere(this.#root, this.#tree, known));
    this.#registry.lookedMs = this.#clock.monotonicMs();
  }

  /** Returns the lists of the cgroup with all below it; null for one that is gone, or not counted apart. */
  *#walk(path: string, depth: number): Generator<undefined, ListSizes | null> {
    const seen = this.#see(path);
    yield;
    if (seen === null || depth >= depthMax) return seen?.sizes ?? null;
    let below = nothing;
    for (const child of this.#children(path)) below = sum(below, (yield* this.#walk(child, depth + 1)) ?? nothing, 1);
    const known = this.#reclaimed.get(seen.cgroup);
    const own = sum(seen.sizes, below, -1);
    this.#reclaimed.set(seen.cgroup, {
      sizes: own,
      childrenHoldMemory: total(below) > 0,
      state: known?.state ?? newReclaim,
      notedMs: known?.notedMs ?? null,
    });
    this.#show(this.#registry.seeTarget(seen.cgroup, onlyNode), own);
    return seen.sizes;
  }

  #children(path: string): readonly string[] {
    try {
      return cgroupChildren(this.#root, this.#tree, path);
    } catch (error) {
      if (isFault(error)) return [];
      throw error;
    }
  }

  #see(path: string): { readonly cgroup: CgroupState; readonly sizes: ListSizes } | null {
    try {
      const inode = cgroupInode(this.#root, this.#tree, path);
      const stat = readMemoryStat(this.#root, this.#tree, path);
      const pages = (bytes: number): number => Math.round(bytes / this.#pageBytes);
      const sizes: ListSizes = {
        inactiveFilePages: pages(stat.inactiveFileBytes),
        activeFilePages: pages(stat.activeFileBytes),
        inactiveAnonPages: pages(stat.inactiveAnonBytes),
        activeAnonPages: pages(stat.activeAnonBytes),
      };
      return { cgroup: this.#registry.seeCgroup(path, String(inode), inode), sizes };
    } catch (error) {
      if (isFault(error)) return null;
      throw error;
    }
  }

  #show(target: TargetState, sizes: ListSizes): void {
    const anonPages = sizes.inactiveAnonPages + sizes.activeAnonPages;
    const filePages = sizes.inactiveFilePages + sizes.activeFilePages;
    target.generationCount = 1;
    target.setGeneration(0, onlySeq, 0, anonPages, filePages);
    target.inactive = { anonPages: sizes.inactiveAnonPages, filePages: sizes.inactiveFilePages };
  }

  /** There is nothing to age: the kernel moves pages between its lists only when it reclaims. */
  age(): Promise<AgingOutcome> {
    return Promise.resolve({ aged: [], failed: [] });
  }

  plan(target: TargetState, facts: PlanFacts): Plan {
    const reclaimed = this.#reclaimed.get(target.cgroup);
    // What the root's memory.reclaim takes is of all cgroups, and all others are below it.
    if (reclaimed === undefined || target.cgroup.path === "/" || this.#isSoon(target, reclaimed)) {
      return { do: "end", why: "not_ready" };
    }
    const plan = planReclaim({
      ...reclaimed,
      ...facts,
      settings: target.settings,
      takesSwappiness: this.#swappinessIsTaken(target.cgroup),
    });
    if (plan.do === "end") return plan;
    const anonPages = Math.round((plan.pages * (plan.swappiness ?? 0)) / swappinessMax);
    return {
      do: "evict",
      seq: onlySeq,
      swappiness: plan.swappiness,
      anonPages,
      filePages: plan.pages - anonPages,
      pages: plan.pages,
      endsWith: plan.endsWith,
    };
  }

  /** As with aging: pages need time to be touched again, however often somebody asks for a run. */
  #isSoon(target: TargetState, { notedMs }: Reclaimed): boolean {
    if (notedMs === null) return false;
    const { periodMs } = target;
    const youngestAgeMs = this.#clock.monotonicMs() - notedMs;
    return decideAging({ youngestAgeMs, periodMs, toleranceMs: toleranceMs(periodMs) }).do === "skip";
  }

  #swappinessIsTaken(cgroup: CgroupState): boolean {
    try {
      this.#takesSwappiness ??= acceptsSwappiness(this.#root, this.#tree, cgroup.path);
      return this.#takesSwappiness;
    } catch (error) {
      if (isFault(error)) return false;
      throw error;
    }
  }

  async evict(target: TargetState, plan: EvictPlan, pages: number): Promise<void> {
    const { path } = target.cgroup;
    await reclaim(this.#root, this.#tree, path, { bytes: pages * this.#pageBytes, swappiness: plan.swappiness });
  }

  freed(target: TargetState, { filePages, anonPages }: Freed): void {
    const gone = this.#gone.get(target) ?? { filePages: 0, anonPages: 0 };
    this.#gone.set(target, { filePages: gone.filePages + filePages, anonPages: gone.anonPages + anonPages });
  }

  reach(target: TargetState, { swapFreePages }: Pick<PlanFacts, "swapFreePages">): Reach | null {
    const reclaimed = this.#reclaimed.get(target.cgroup);
    if (reclaimed === undefined || reclaimed.childrenHoldMemory || target.cgroup.path === "/") return null;
    const takesSwappiness = this.#swappinessIsTaken(target.cgroup);
    // Without the word the kernel swaps as vm.swappiness says.
    if (!takesSwappiness && !target.settings.swap && swapFreePages > 0) return null;
    return { takesSwappiness };
  }

  ran(target: TargetState, askedPages: number): void {
    const reclaimed = this.#reclaimed.get(target.cgroup);
    if (reclaimed === undefined || this.#isSoon(target, reclaimed)) return;
    reclaimed.notedMs = this.#clock.monotonicMs();
    reclaimed.state = noteReclaimRun(reclaimed.state, {
      sizes: reclaimed.sizes,
      askedPages,
      reclaimedPages: target.lastEvictedAnonPages + target.lastEvictedFilePages,
      ...target.cgroup.judgement,
    });
  }

  [Symbol.dispose](): void {
    // Nothing is kept open.
  }
}

/** The lists of memory.stat lag by seconds: what went is taken off the sizes that the run began with. */
function takeOff(target: TargetState, gone: Freed): void {
  const generation = target.generation(0);
  if (generation === null) return;
  const anonPages = Math.max(0, generation.anonPages - gone.anonPages);
  target.setGeneration(0, onlySeq, 0, anonPages, Math.max(0, generation.filePages - gone.filePages));
}

function total(sizes: ListSizes): number {
  return sizes.inactiveFilePages + sizes.activeFilePages + sizes.inactiveAnonPages + sizes.activeAnonPages;
}

/** Never below zero: the kernel does not count all cgroups at one moment. */
function sum(left: ListSizes, right: ListSizes, sign: 1 | -1): ListSizes {
  const added = (of: (sizes: ListSizes) => number): number => Math.max(0, of(left) + sign * of(right));
  return {
    inactiveFilePages: added((sizes) => sizes.inactiveFilePages),
    activeFilePages: added((sizes) => sizes.activeFilePages),
    inactiveAnonPages: added((sizes) => sizes.inactiveAnonPages),
    activeAnonPages: added((sizes) => sizes.activeAnonPages),
  };
}
