/** The multi-gen LRU as the way to find and evict cold memory: one kept file, one snapshot for all cgroups. */
import type { Clock } from "../../base/clock.ts";
import { Fault, isFault } from "../../base/fault.ts";
import { atOnce } from "../../base/turns.ts";
import { coldAgeMs, generationsMax, planEviction, type Freed } from "../../core/eviction.ts";
import { cgroupInode, type CgroupTree } from "../../kernel/cgroup.ts";
import { formatAge, formatEvict, type LruGen } from "../../kernel/lru-gen.ts";
import type { LruGenGenerations } from "../../kernel/lru-gen-scan.ts";
import type { AgingOutcome, Backend, EvictPlan, Plan, PlanFacts, Reach } from "./backend.ts";
import type { EndedBook } from "./ended.ts";
import { isThere, type CgroupState, type MemcgRegistry, type TargetState } from "./registry.ts";

/** What the kernel gives a cgroup that was removed and has pages left. */
const offlineId = "0";

/** One write ages so many targets at most, and about so many pages: what a stop or a pressure check waits for. */
const agingTargetsMax = 64;
const agingPagesMax = 1 << 18;

/** What is needed of the kernel's file; it is disposed of with the backend. */
export type LruGenFile = Pick<LruGen, "scanning" | "write" | "rest" | "idsAreInodes"> & Disposable;

export class LruGenBackend implements Backend {
  readonly name = "lru_gen";
  readonly #root: string;
  readonly #tree: CgroupTree;
  readonly #registry: MemcgRegistry;
  readonly #lruGen: LruGenFile;
  readonly #clock: Clock;
  readonly #ended: EndedBook;

  constructor(
    root: string,
    tree: CgroupTree,
    lruGen: LruGenFile,
    registry: MemcgRegistry,
    clock: Clock,
    ended: EndedBook,
  ) {
    this.#clock = clock;
    this.#ended = ended;
    this.#root = root;
    this.#tree = tree;
    this.#registry = registry;
    this.#lruGen = lruGen;
  }

  *looking(identify: boolean): Generator<undefined, void> {
    let begun = false;
    let cgroup: CgroupState | null = null;
    let path: string | null = null;
    let seenId: string | null = null;
    yield* this.#lruGen.scanning((id, seenPath, node, generations, count) => {
      // Until all of the text is there, what the last scan showed stays.
      if (!begun) this.#begin(identify);
      begun = true;
      if (id === offlineId) {
        path = null;
        this.#ended.removed(seenPath, filePagesOf(generations, count), () => this.#registry.nearestAbove(seenPath));
        return;
      }
      // A dead cgroup with pages left is listed beside the living one of its name.
      if (seenPath !== path || id !== seenId) {
        this.#ended.living();
        path = seenPath;
        seenId = id;
        cgroup = identify ? this.#identify(seenPath, id) : this.#known(seenPath, id);
      }
      if (cgroup === null) return;
      const target = identify
        ? this.#registry.seeTarget(cgroup, node)
        : cgroup.targets.find((candidate) => candidate.node === node);
      if (target === undefined) return;
      copyGenerations(generations, count, target);
    });
    if (!begun) this.#begin(identify);
    if (!identify) return;
    yield;
    this.#registry.endScan((known) => isThere(this.#root, this.#tree, known));
    const nowMs = this.#clock.monotonicMs();
    this.#ended.note((cgroup) => this.#registry.cgroups.get(cgroup.path) === cgroup, nowMs);
    this.#registry.lookedMs = nowMs;
    for (const target of this.#registry.targets()) {
      yield;
      if (target.generationCount === 0) continue;
      target.followCohort(nowMs);
    }
  }

  #begin(identify: boolean): void {
    this.#ended.begin();
    if (identify) this.#registry.beginScan();
    // A target that is no longer shown has no generations.
    else for (const target of this.#registry.targets()) target.generationCount = 0;
  }

  async age(targets: readonly TargetState[], mayAge: (target: TargetState) => boolean): Promise<AgingOutcome> {
    const aged: TargetState[] = [];
    const failed: { target: TargetState; error: unknown }[] = [];
    for (const all of chunksOf(targets)) {
      const chunk = all.filter(mayAge);
      if (chunk.length === 0) continue;
      const startMs = this.#clock.monotonicMs();
      if ((await this.#tryToAge(chunk)) === null) {
        noteAgingTime(chunk, this.#clock.monotonicMs() - startMs);
        aged.push(...chunk);
        continue;
      }
      // The first command that fails, and a signal, end the write: age the others one by one, the aged ones not again.
      const before = new Map(chunk.map((target) => [target, target.maxSeq]));
      atOnce(this.looking(false));
      for (const target of chunk) {
        const error = target.maxSeq === before.get(target) ? await this.#tryToAge([target]) : goneOrNull(target);
        if (error === null) aged.push(target);
        else if (error !== "interrupted") failed.push({ target, error });
      }
    }
    return { aged, failed };
  }

  /** Ages these in one write. Null when all of it was done, else what ended it. */
  async #tryToAge(targets: readonly TargetState[]): Promise<unknown> {
    try {
      return (await this.#lruGen.write(targets.map(ageCommand))) === "done" ? null : "interrupted";
    } catch (error) {
      return error;
    }
  }

  plan(target: TargetState, facts: PlanFacts): Plan {
    const { settings } = target;
    const coldAgeMsMin = coldAgeMs(settings.eviction_run_aging_count_min, target.periodMs);
    return planEviction({
      generations: target.generations,
      stayedFilePages: target.stayedFilePages(coldAgeMsMin, this.#clock.monotonicMs()),
      agingCount: target.agings,
      agingCountMin: settings.eviction_run_aging_count_min,
      coldAgeMsMin,
      swap: settings.swap,
      swappinessMax: settings.swappiness_max,
      ...facts,
    });
  }

  async evict(target: TargetState, plan: EvictPlan, pages: number): Promise<void> {
    const { id } = target.cgroup;
    const swappiness = plan.swappiness ?? 0;
    await this.#lruGen.write([formatEvict({ id, node: target.node, minSeq: plan.seq, swappiness, pages })]);
  }

  freed(target: TargetState, { filePages }: Freed): void {
    target.takenFilePages += filePages;
  }

  reach(): Reach {
    return { takesSwappiness: true };
  }

  /** All that is known of a target the kernel itself remembers. */
  ran(): void {}

  rest(): void {
    this.#lruGen.rest();
  }

  #identify(path: string, id: string): CgroupState | null {
    if (this.#registry.hasLiving(path)) return null;
    try {
      const inode = cgroupInode(this.#root, this.#tree, path);
      // The folder of that name is another cgroup's: what would be read of it says nothing of this one.
      if (this.#lruGen.idsAreInodes && id !== String(inode)) return null;
      return this.#registry.seeCgroup(path, id, inode);
    } catch (error) {
      // What was wrong may pass: the cgroup, or its lack, is what it was.
      if (isFault(error)) return isFault(error, "vanished") ? null : this.#known(path, id);
      throw error;
    }
  }

  #known(path: string, id: string): CgroupState | null {
    const cgroup = this.#registry.cgroups.get(path);
    return cgroup !== undefined && cgroup.id === id ? cgroup : null;
  }

  [Symbol.dispose](): void {
    this.#lruGen[Symbol.dispose]();
  }
}

function filePagesOf({ filePages }: LruGenGenerations, count: number): number {
  let pages = 0;
  for (let index = 0; index < count; index++) pages += filePages[index] ?? 0;
  return pages;
}

/** The youngest four: there are no more, but the file does not promise it. */
function copyGenerations(from: LruGenGenerations, count: number, target: TargetState): void {
  const first = Math.max(0, count - generationsMax);
  target.generationCount = count - first;
  for (let index = first; index < count; index++) {
    target.setGeneration(
      index - first,
      from.seqs[index] ?? 0,
      from.agesMs[index] ?? 0,
      from.anonPages[index] ?? 0,
      from.filePages[index] ?? 0,
    );
  }
}

function goneOrNull(target: TargetState): Fault | null {
  if (target.generationCount > 0) return null;
  return new Fault("vanished", `cannot age ${target.cgroup.path}: it was removed; nothing to do`);
}

/** Who has most pages takes most of the time that a write took: the kernel does not say how long each of them did. */
function noteAgingTime(chunk: readonly TargetState[], tookMs: number): void {
  const pages = chunk.reduce((sum, { sizePages }) => sum + sizePages, 0);
  for (const target of chunk) {
    target.agingMs = tookMs * (pages === 0 ? 1 / chunk.length : target.sizePages / pages);
  }
}

function ageCommand(target: TargetState): string {
  return formatAge({
    id: target.cgroup.id,
    node: target.node,
    maxSeq: target.maxSeq ?? 0,
    swap: target.settings.swap,
  });
}

function* chunksOf(targets: readonly TargetState[]): Generator<readonly TargetState[]> {
  let chunk: TargetState[] = [];
  let pages = 0;
  for (const target of targets) {
    const size = target.pagesUpTo(Infinity, "anon") + target.pagesUpTo(Infinity, "file");
    if (chunk.length > 0 && (chunk.length >= agingTargetsMax || pages + size > agingPagesMax)) {
      yield chunk;
      chunk = [];
      pages = 0;
    }
    chunk.push(target);
    pages += size;
  }
  if (chunk.length > 0) yield chunk;
}
