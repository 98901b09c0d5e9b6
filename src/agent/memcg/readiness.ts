/**
 * Opens what memcg runs need, keeps it for as long as it works, and decides when to change the way that memory is
 * evicted.
 *
 * lru_gen is switched on, and debugfs mounted, when somebody asks for it: at the start, when memcg is enabled, when the
 * backend is chosen. Switched off later it is somebody else's decision: the agent reports it and waits. With `auto` the runs go
 * on through memory.reclaim once it stayed off for a while, and return to lru_gen when that is on again.
 */
import type { Clock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import type { Logger } from "../../base/log.ts";
import { Turns } from "../../base/turns.ts";
import type { Settings } from "../../config/schema.ts";
import { cgroupMountIdentity, readCgroupTree, type CgroupTree } from "../../kernel/cgroup.ts";
import { readKernelRelease } from "../../kernel/kernel-release.ts";
import { lruGenEnabledAll, readEnabled } from "../../kernel/lru-gen.ts";
import { pageBytes as kernelPageBytes } from "../../system/page-size.ts";
import type { Events } from "../events.ts";
import type { Backend } from "./backend.ts";
import { isLruGenOn, type BackendChoice } from "../doctor/backend-choice.ts";
import { LruGenBackend, type LruGenFile } from "./lru-gen.ts";
import type { EndedBook } from "./ended.ts";
import { Pace } from "./evict.ts";
import { FreedCounter } from "./freed.ts";
import { PressureReader } from "./pressure.ts";
import { refaultSourceOf } from "../../core/refault.ts";
import { RefaultAccounts } from "./refaults.ts";
import type { MemcgRegistry } from "./registry.ts";
import type { MemcgTools } from "./run.ts";
import { MemoryReclaimBackend } from "./memory-reclaim.ts";
import { meetPrerequisites } from "../doctor/prerequisites.ts";
import type { BackendName } from "../status.ts";

/** Runs in a row that find lru_gen off before `auto` goes on without it: who only tries something switches it back. */
export const offRunsMax = 3;

export interface ReadinessOptions {
  readonly root: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: Events;
  readonly registry: MemcgRegistry;
  readonly ended: EndedBook;
  /** Opens lru_gen's file; Faults as `LruGen.open`. */
  readonly openLruGen: (root: string) => LruGenFile;
}

export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #pace = new Pace();
  #tools: MemcgTools | null = null;
  /** What was mounted there when the tree was found. */
  #mount: string | null = null;
  #why = "not started";
  #wanted: Settings["memcg"]["backend"] | null = null;
  #maySetUp = true;
  /** Runs that found lru_gen off after it had been in use; null while nobody misses it. */
  #offRuns: number | null = null;
  #lastBackend: BackendName | null = null;
  #mask: number | null = null;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  get current(): MemcgTools | null {
    return this.#tools;
  }

  /** Mask of lru_gen/enabled when it was last read; null before, and where there is none. */
  get lruGenMask(): number | null {
    return this.#mask;
  }

  /** Whether the tree that the tools was made for is still mounted: without it every cgroup seems to be gone. */
  get mounted(): boolean {
    if (this.#tools === null) return false;
    return cgroupMountIdentity(this.#options.root, this.#tools.tree) === this.#mount;
  }

  /** Why the backend was taken, in one line. */
  get why(): string {
    return this.#why;
  }

  /** Somebody wants memcg to run: what the machine lacks may be fixed once more. */
  allowSetup(): void {
    this.#maySetUp = true;
  }

  /**
   * What a run needs under these settings. Faults: `missing` with one problem for each prerequisite, or while lru_gen is
   * switched off and waited for; those of opening lru_gen.
   */
  ready(settings: Settings): MemcgTools {
    const { backend } = settings.memcg;
    if (this.#wanted !== backend) {
      this.#wanted = backend;
      this.allowSetup();
    }
    if (this.#maySetUp) {
      this.#offRuns = null;
      this.close();
    }
    if (this.#tools !== null && !this.mounted) this.#leaveMount(this.#tools.tree.memoryMount);
    if (backend !== "memory_reclaim") this.#followSwitch(backend);
    this.#tools ??= this.#open(settings);
    return this.#tools;
  }

  close(): void {
    this.#tools?.backend[Symbol.dispose]();
    this.#tools = null;
  }

  /** Another mount of the tree is as good; without any the start of the run says so, until there is one again. */
  #leaveMount(path: string): void {
    this.#options.log.warn("the mount of the cgroups is gone or another; looking for one", { path });
    this.close();
  }

  /** Somebody may have switched lru_gen off since, or on again: it is theirs to do, and ours to notice. */
  #followSwitch(wanted: "auto" | "lru_gen"): void {
    const name = this.#tools?.backend.name ?? null;
    if (name !== "lru_gen" && this.#offRuns === null) return;
    this.#mask = readEnabled(this.#options.root);
    if (isLruGenOn(this.#mask)) {
      if (this.#offRuns === null) return;
      this.#offRuns = null;
      // It was switched on to be used: debugfs, should it have gone meanwhile, is mounted again.
      this.allowSetup();
      this.close();
      // The kernel sorted all pages again, and not by age.
      this.#options.registry.restart();
      return;
    }
    if (name === "memory_reclaim") return;
    this.close();
    this.#offRuns = (this.#offRuns ?? 0) + 1;
    this.#why = "lru_gen was switched off while it was in use; waiting until it is on again";
    if (wanted === "auto" && this.#offRuns >= offRunsMax) return;
    throw new Fault(
      "missing",
      `cannot age: lru_gen was switched off; echo ${lruGenEnabledAll} > /sys/kernel/mm/lru_gen/enabled`,
    );
  }

  #open(settings: Settings): MemcgTools {
    const { root, clock, log, events, registry } = this.#options;
    const { cgroups: _, ...memcg } = settings.memcg;
    const needs = { memcg: { ...memcg, disabled: false }, compact: settings.compact };
    const fixing = this.#maySetUp ? "fix" : "look";
    // Once: what could not be fixed is not tried and logged in each period.
    this.#maySetUp = false;
    const { choice, facts } = meetPrerequisites(root, needs, log, fixing);
    const tree = readCgroupTree(root);
    this.#mount = cgroupMountIdentity(root, tree);
    const pageBytes = kernelPageBytes();
    this.#mask = facts.lruGenMask;
    const lruGenOn = facts.lruGenMask !== null && isLruGenOn(facts.lruGenMask);
    const source = refaultSourceOf(readKernelRelease(root), lruGenOn);
    const refaults = new RefaultAccounts(root, tree, pageBytes, source, () => clock.monotonicMs());
    const backend = this.#openBackend(choice.backend, tree, pageBytes);
    this.#noteBackend(backend.name, choice);
    return {
      root,
      tree,
      pageBytes,
      clock,
      log,
      events,
      backend,
      registry,
      ended: this.#options.ended,
      pressure: new PressureReader(root, tree, clock),
      refaults,
      pace: this.#pace,
      turns: new Turns(clock),
      counter: new FreedCounter(root, tree),
    };
  }

  #openBackend(name: BackendName | null, tree: CgroupTree, pageBytes: number): Backend {
    if (name === null) throw new Fault("missing", "cannot evict: there is no way to reclaim; see `mem-agent doctor`");
    const { root, registry, ended, openLruGen, clock } = this.#options;
    return name === "lru_gen"
      ? new LruGenBackend(root, tree, openLruGen(root), registry, clock, ended)
      : new MemoryReclaimBackend({ root, tree, pageBytes, registry, clock });
  }

  #noteBackend(name: BackendName, choice: BackendChoice): void {
    this.#why =
      this.#offRuns === null ? choice.why : "lru_gen was switched off while it was in use; memory.reclaim is there";
    if (this.#lastBackend === name) return;
    // What one backend saw means nothing to the other.
    if (this.#lastBackend !== null) this.#options.registry.restart();
    this.#lastBackend = name;
    this.#options.log.info(`cold memory is found by ${name}`, { why: this.#why });
  }
}
