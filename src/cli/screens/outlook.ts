/** What comes next and why not more, in few words: for the lines of `status` and a table's column. */
import { percentText, spanText } from "../../base/units.ts";
import type { MemcgSummary, TargetStatus } from "../../agent/status.ts";
import type { EndReason } from "../../core/reason.ts";
import { clockText, countText } from "./quantity.ts";

/** What is said of one target, and of several together. */
const reasonTexts: Readonly<Record<EndReason, string>> = {
  not_ready: "too young",
  sampled: "on trial",
  pressure: "stalled",
  refaults: "came back",
  protected: "protected",
  swap_full: "no room in swap",
  no_progress: "kernel frees nothing",
  error: "failed",
  disabled: "disabled",
  nothing_cold: "nothing cold",
  evicted: "evicted",
  unreached: "first in the next run",
  vanished: "removed",
  stopped: "stopped",
};

/** Why a target gives no more now: `too young, 70 s`, `stalled 2.3 % of 1 %`; empty where the next run may evict. */
export function whyNotText(target: TargetStatus): string {
  const { why_not: why, settings, pressure_percent: percent, next_eviction_secs: secs } = target;
  switch (why) {
    case null:
      return secs === null ? "" : `next run, ${spanText(Math.round(secs))}`;
    case "not_ready":
      return secs === null ? reasonTexts.not_ready : `${reasonTexts.not_ready}, ${spanText(Math.round(secs))}`;
    case "sampled":
      return `${target.pace.idle ? "idle" : "busy"}, sample on trial`;
    case "pressure":
      return percent === null
        ? reasonTexts.pressure
        : `stalled ${percentText(percent)} of ${settings.period_psi_percent_limit} %`;
    case "refaults":
      if (target.sit_out > 0) return `came back, sits out ${target.sit_out}`;
      return target.pace.rhythm_secs === null
        ? reasonTexts.refaults
        : `comes back after ${spanText(Math.round(target.pace.rhythm_secs))}`;
    case "nothing_cold":
    case "no_progress":
    case "swap_full":
    case "protected":
    case "evicted":
    case "unreached":
    case "vanished":
    case "disabled":
    case "stopped":
    case "error":
      return reasonTexts[why];
    default:
      return why satisfies never;
  }
}

/**
 * `5 cgroups: 3 too young, 1 stalled 2.3 % of 1 %; nothing cold in 12`. A reason of a single target is told whole where
 * the targets are known. Empty where no target is.
 */
export function whyNotSummary({ why_not: counts }: MemcgSummary, targets: readonly TargetStatus[] | null): string {
  const { nothing_cold: cold, ...others } = counts;
  const held = Object.entries(others).filter(([, count]) => count > 0) as [EndReason, number][];
  const heldCount = held.reduce((sum, [, count]) => sum + count, 0);
  const texts = held
    .toSorted(([, left], [, right]) => right - left)
    .map(([reason, count]) => {
      const only = count === 1 ? targets?.find(({ why_not: why }) => why === reason) : undefined;
      const text = only === undefined ? reasonTexts[reason] : whyNotText(only);
      return held.length === 1 ? text : `${count} ${text}`;
    });
  const parts = [
    texts.length === 0 ? null : `${countText(heldCount, "cgroup")}: ${texts.join(", ")}`,
    cold === 0 ? null : `nothing cold in ${texts.length === 0 ? countText(cold, "cgroup") : `${cold} more`}`,
  ];
  return parts.filter((part) => part !== null).join("; ");
}

/** `first eviction in about 70 s (18:46:10); run in 12 s`; empty where nothing is to run. */
export function nextText(memcg: MemcgSummary, nowMs: number): string {
  const { next_eviction_secs: evictionSecs, next_run_secs: runSecs, evicted_bytes: evicted } = memcg;
  if (memcg.disabled) return "never, eviction is disabled; `mem-agent memcgset --memcg-disabled false` enables it";
  const first = evicted.anon_bytes + evicted.file_bytes === 0 ? "first eviction" : "eviction";
  const at = clockText(new Date(nowMs + (evictionSecs ?? 0) * 1000).toISOString(), nowMs);
  const eviction =
    evictionSecs === null ? "nothing to evict yet" : `${first} in about ${aboutText(evictionSecs)} (${at})`;
  const run = memcg.running ? "a run is under way" : runSecs === null ? null : runText(runSecs);
  return run === null ? eviction : `${eviction}; ${run}`;
}

function runText(secs: number): string {
  return secs < 0.5 ? "a run is due" : `run in ${aboutText(secs)}`;
}

function aboutText(secs: number): string {
  return spanText(Math.round(secs));
}
