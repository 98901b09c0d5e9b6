/** Which of the two ways to find and evict cold memory is taken: lru_gen, or memory.reclaim. Pure. */
import type { MemcgSettings } from "../../config/schema.ts";
import type { PrerequisiteFacts } from "./facts.ts";
import type { BackendName } from "../status.ts";

/** Lowest bit of lru_gen/enabled: the main switch. The others are accelerations that not every processor has. */
const lruGenMain = 1;

export interface BackendChoice {
  /** Null when neither can be used. */
  readonly backend: BackendName | null;
  /** Why, in one line. */
  readonly why: string;
}

/** Before `setUpPrerequisites` ran, what it can fix counts as usable; afterwards only what is. */
export type JudgedWhen = "before_setup" | "after_setup";

/** True when lru_gen works, or will once debugfs is mounted and it is switched on. */
function lruGenUsable(facts: PrerequisiteFacts, when: JudgedWhen): boolean {
  if (facts.lruGenMask === null || facts.debugfs === "not_built") return false;
  if (!isLruGenOn(facts.lruGenMask) && (when === "after_setup" || !maySwitchOn(facts))) return false;
  return facts.debugfs === "not_mounted" ? when === "before_setup" && mayMount(facts) : facts.lruGenFile === "ok";
}

/** Whether the main switch of a mask of lru_gen/enabled is on. */
export function isLruGenOn(mask: number): boolean {
  return (mask & lruGenMain) !== 0;
}

/** Whether this process may switch lru_gen on. */
export function maySwitchOn(facts: PrerequisiteFacts): boolean {
  return facts.lruGenSwitch === "ok";
}

/** Whether this process may mount, as far as it can be known. */
export function mayMount(facts: PrerequisiteFacts): boolean {
  return facts.capabilities?.sysAdmin ?? facts.userId === 0;
}

/** Why it is taken: what is not so yet is made so by the start of the agent. */
function lruGenText(facts: PrerequisiteFacts): string {
  const on = facts.lruGenMask !== null && isLruGenOn(facts.lruGenMask);
  const states = [on ? null : "is off", facts.debugfs === "mounted" ? null : "needs debugfs mounted"];
  const lacking = states.filter((state) => state !== null);
  if (lacking.length === 0) return "lru_gen can be used, and it knows ages";
  return `lru_gen knows ages; it ${lacking.join(" and ")}, which the start of the agent changes`;
}

/** What keeps lru_gen from being used, as the end of a sentence. */
function lruGenObstacle(facts: PrerequisiteFacts): string {
  if (facts.lruGenMask === null) return "the kernel has no lru_gen";
  if (facts.debugfs === "not_built") return "the kernel has no debugfs";
  if (facts.debugfs === "not_mounted") return "debugfs is not mounted and may not be";
  if (!isLruGenOn(facts.lruGenMask)) {
    return maySwitchOn(facts) ? "lru_gen is off" : "lru_gen is off and may not be switched on";
  }
  if (facts.lruGenFile === "denied" && isLockedDown(facts)) return `lockdown=${facts.lockdown} closes debugfs`;
  return "debugfs' lru_gen cannot be opened";
}

/** Whether kernel lockdown closes those files of debugfs that can be written; see kernel_lockdown(7). */
export function isLockedDown(facts: PrerequisiteFacts): boolean {
  return facts.lockdown === "integrity" || facts.lockdown === "confidentiality";
}

/** Which of the two ways to find and evict cold memory is taken, and why. */
export function chooseBackend(
  facts: PrerequisiteFacts,
  wanted: MemcgSettings["backend"],
  when: JudgedWhen = "before_setup",
): BackendChoice {
  const reclaimUsable = facts.memoryReclaim === "ok";
  switch (wanted) {
    case "lru_gen":
      return lruGenUsable(facts, when)
        ? { backend: "lru_gen", why: "the settings ask for it" }
        : { backend: null, why: `the settings ask for lru_gen, but ${lruGenObstacle(facts)}` };
    case "memory_reclaim":
      return reclaimUsable
        ? { backend: "memory_reclaim", why: "the settings ask for it" }
        : { backend: null, why: "the settings ask for memory_reclaim, but the kernel has no memory.reclaim" };
    case "auto":
      if (lruGenUsable(facts, when)) return { backend: "lru_gen", why: lruGenText(facts) };
      if (reclaimUsable) return { backend: "memory_reclaim", why: `${lruGenObstacle(facts)}; memory.reclaim is there` };
      return { backend: null, why: `${lruGenObstacle(facts)}, and there is no memory.reclaim` };
    default:
      return wanted satisfies never;
  }
}
