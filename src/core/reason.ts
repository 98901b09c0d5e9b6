/** Why a target, or a compaction, ended. One word each, counted and shown everywhere under the same name. */

/** How one target's part of a memcg run ended (SPEC 4.5). */
export const endReasons = [
  "evicted",
  "sampled",
  "nothing_cold",
  "no_progress",
  "pressure",
  "swap_full",
  "protected",
  "refaults",
  "not_ready",
  "unreached",
  "vanished",
  "disabled",
  "stopped",
  "error",
] as const;

export type EndReason = (typeof endReasons)[number];

/** What each reason means, for help and reference. */
export const endReasonTexts: Readonly<Record<EndReason, string>> = {
  evicted: "all that was cold was evicted",
  sampled: "a sample of the cold pages was evicted; what comes back decides how much goes next",
  nothing_cold: "there were no cold pages",
  no_progress: "the kernel freed nothing, although there are cold pages",
  pressure: "the cgroup stalled more than its limit allows",
  swap_full: "only anonymous pages are cold, and swap or memory.swap.max has no room",
  protected: "the rest is protected by memory.min or memory.low",
  refaults: "too much of what was evicted came back; sitting out, or waiting for a pause longer than those before",
  not_ready: "not aged often enough yet, fewer than four generations, or the oldest is younger than two periods",
  unreached: "the next period came before its turn; it is first in the next run",
  vanished: "the cgroup was removed",
  disabled: "disabled by the settings, or the agent's own cgroup",
  stopped: "the agent was asked to stop or its settings changed",
  error: "the kernel refused; see the log",
};

/** A count for each reason, all zero. */
export function noEnds(): Record<EndReason, number> {
  const counts = {} as Record<EndReason, number>;
  for (const reason of endReasons) counts[reason] = 0;
  return counts;
}
