/**
 * memory.reclaim of cgroup v2 as the way to evict, where lru_gen is not to be had. There are no ages: what core/reclaim.ts
 * makes of the lists and of what comes back stands in for them. Each cgroup is one target on node 0, since the file knows
 * no nodes.
 */
import { isFault } from "../base/fault.ts";
import { newReclaim, noteReclaimRun, planReclaim, type ListSizes, type ReclaimState } from "../core/reclaim.ts";
import { cgroupChildren, cgroupInode, type CgroupTree } from "../kernel/cgroup.ts";
import { readUsageBytes } from "../kernel/memory-control.ts";
import { acceptsSwappiness, reclaim } from "../kernel/memory-reclaim.ts";
import { readMemoryStat } from "../kernel/memory-stat.ts";
import type { AgingOutcome, Backend, EvictPlan, Plan, PlanFacts } from "./backend.ts";
import type { CgroupState, MemcgRegistry, SettingsOfTarget, TargetState } from "./memcg-registry.ts";

const onlyNode = 0;
/** The pages of a cgroup stand as one generation, whose number says nothing. */
const onlySeq = 0;
/** The kernel nests cgroups without limit; a walk of ours does not. */
const depthMax = 128;
/** Swappiness of anonymous pages alone. */
const swappinessMax = 200;

interface Reclaimed {
  sizes: ListSizes;
  state: ReclaimState;
}

export class MemoryReclaimBackend implements Backend {
  readonly name = "memory_reclaim";
  readonly #root: string;
  readonly #tree: CgroupTree;
  readonly #pageBytes: number;
  readonly #registry: MemcgRegistry;
  readonly #settingsOf: SettingsOfTarget;
  /** By cgroup, so that it goes with the cgroup. */
  readonly #reclaimed = new WeakMap<CgroupState, Reclaimed>();
  #takesSwappiness: boolean | null = null;

  constructor(
    root: string,
    tree: CgroupTree,
    pageBytes: number,
    registry: MemcgRegistry,
    settingsOf: SettingsOfTarget,
  ) {
    this.#root = root;
    this.#tree = tree;
    this.#pageBytes = pageBytes;
    this.#registry = registry;
    this.#settingsOf = settingsOf;
  }

  /** Walks the tree. Within a run nothing is read again: the sizes follow what `evict` saw go. */
  look(identify: boolean): void {
    if (!identify) return;
    this.#registry.beginScan();
    this.#walk("/", 0);
    this.#registry.endScan();
  }

  #walk(path: string, depth: number): void {
    if (!this.#see(path) || depth >= depthMax) return;
    const above = path === "/" ? "" : path;
    for (const name of this.#children(path)) this.#walk(`${above}/${name}`, depth + 1);
  }

  #children(path: string): readonly string[] {
    try {
      return cgroupChildren(this.#root, this.#tree, path);
    } catch (error) {
      if (isFault(error)) return [];
      throw error;
    }
  }

  /** False for a cgroup that is gone, or whose memory is not counted apart. */
  #see(path: string): boolean {
    try {
      const inode = cgroupInode(this.#root, this.#tree, path);
      const stat = readMemoryStat(this.#root, this.#tree, path);
      const cgroup = this.#registry.seeCgroup(path, String(inode), inode);
      const pages = (bytes: number): number => Math.round(bytes / this.#pageBytes);
      const sizes: ListSizes = {
        inactiveFilePages: pages(stat.inactiveFileBytes),
        activeFilePages: pages(stat.activeFileBytes),
        inactiveAnonPages: pages(stat.inactiveAnonBytes),
        activeAnonPages: pages(stat.activeAnonBytes),
      };
      this.#reclaimed.set(cgroup, { state: this.#reclaimed.get(cgroup)?.state ?? newReclaim, sizes });
      this.#show(this.#registry.seeTarget(cgroup, onlyNode, this.#settingsOf), sizes);
      return true;
    } catch (error) {
      if (isFault(error)) return false;
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
    // The root has no memory.reclaim, and all others are below it.
    if (reclaimed === undefined || target.cgroup.path === "/") return { do: "end", why: "not_ready" };
    const plan = planReclaim({
      ...reclaimed,
      ...facts,
      settings: target.settings,
      takesSwappiness: this.#swappinessIsTaken(target.cgroup),
      childrenHoldMemory: [...target.cgroup.children].some((child) => this.#holdsMemory(child)),
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

  #holdsMemory(cgroup: CgroupState): boolean {
    return cgroup.targets.some((target) => target.pagesUpTo(Infinity, "anon") + target.pagesUpTo(Infinity, "file") > 0);
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
    const before = readUsageBytes(this.#root, this.#tree, path);
    await reclaim(this.#root, this.#tree, path, { bytes: pages * this.#pageBytes, swappiness: plan.swappiness });
    const after = readUsageBytes(this.#root, this.#tree, path);
    if (before !== null && after !== null) this.#takeOff(target, plan, Math.max(0, before - after) / this.#pageBytes);
  }

  /** memory.stat lags by seconds; usage does not, but knows no types: they are taken as they were planned. */
  #takeOff(target: TargetState, plan: EvictPlan, gonePages: number): void {
    const generation = target.generation(0);
    if (generation === null) return;
    const planned = plan.anonPages + plan.filePages;
    const anonGone = planned === 0 ? 0 : Math.min(generation.anonPages, (gonePages * plan.anonPages) / planned);
    const anonPages = Math.round(generation.anonPages - anonGone);
    const filePages = Math.max(0, Math.round(generation.filePages - (gonePages - anonGone)));
    target.setGeneration(0, onlySeq, 0, anonPages, filePages);
  }

  ran(target: TargetState, askedPages: number): void {
    const reclaimed = this.#reclaimed.get(target.cgroup);
    if (reclaimed === undefined) return;
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
