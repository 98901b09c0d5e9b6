/** What a memcg run needs of a way to find and evict cold memory. */
import type { Freed } from "../../core/eviction.ts";
import type { EndReason } from "../../core/reason.ts";
import type { TargetState } from "./registry.ts";
import type { BackendName } from "../status.ts";

export interface AgingOutcome {
  readonly aged: readonly TargetState[];
  readonly failed: readonly { readonly target: TargetState; readonly error: unknown }[];
}

/** What a plan needs to know beside the target itself. */
export interface PlanFacts {
  readonly swapFreePages: number;
  /** What memory.swap.max leaves, up the tree; null without any limit. */
  readonly swapRoomPages: number | null;
  /** Pages above memory.min and memory.low; null where nothing is protected. */
  readonly unprotectedPages: number | null;
}

export interface EvictPlan {
  readonly do: "evict";
  /** Up to which generation is evicted. */
  readonly seq: number;
  /** 0 file pages only, 200 anonymous only; null leaves it to the kernel. */
  readonly swappiness: number | null;
  readonly filePages: number;
  readonly anonPages: number;
  /** How much of both to evict at most. */
  readonly pages: number;
  /** The reason that the target ends with once `pages` are gone. */
  readonly endsWith: EndReason;
}

export type Plan = EvictPlan | { readonly do: "end"; readonly why: EndReason };

export interface Reach {
  /** Whether the kernel takes file pages alone, or in a given share, when it is asked to. */
  readonly takesSwappiness: boolean;
}

export interface Backend extends Disposable {
  readonly name: BackendName;
  /** Reads every target again into the registry, step by step. `identify` also checks inodes: at the start of a run. */
  looking(identify: boolean): Generator<undefined, void>;
  /** No scan is due soon: what was kept for the next one may go. */
  rest(): void;
  /** Ages these targets, but those that `mayAge` refuses when it is their turn. */
  age(targets: readonly TargetState[], mayAge: (target: TargetState) => boolean): Promise<AgingOutcome>;
  /** What to evict of a target in this run, or why nothing. */
  plan(target: TargetState, facts: PlanFacts): Plan;
  /** Evicts about `pages` pages of the target's cold memory. Resolves when the kernel is done with it. */
  evict(target: TargetState, plan: EvictPlan, pages: number): Promise<void>;
  /** So much of the target went since `evict` began, by the kernel's count. */
  freed(target: TargetState, freed: Freed): void;
  /** How all pages of a target can be evicted, cold or not; null where they cannot without others, or without swapping. */
  reach(target: TargetState, facts: Pick<PlanFacts, "swapFreePages">): Reach | null;
  /** A target's run has ended, for which `askedPages` were planned; 0 where none were. */
  ran(target: TargetState, askedPages: number): void;
}
