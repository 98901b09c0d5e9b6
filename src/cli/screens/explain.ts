/** `explain CGROUP`: one sentence that sums up, then every guard beside its limit. */
import { escapeControls } from "../../base/log-line.ts";
import { bytesText, percentText, spanText } from "../../base/units.ts";
import type { MemcgStatus, TargetStatus } from "../../agent/status.ts";
import { endReasonTexts } from "../../core/reason.ts";
import { endedText, evictedSum, paceText } from "./memcg.ts";
import { whyNotText } from "./outlook.ts";
import { ageText, countText } from "./quantity.ts";
import { fieldLines, heading, joinParts } from "./screen.ts";
import type { Terminal } from "./terminal.ts";

/** Why this target gives what it gives, in one sentence. */
export function explained(target: TargetStatus, memcg: Pick<MemcgStatus, "dry_run">): string {
  const { settings, last_end: end, next_run_secs: nextSecs } = target;
  const cold = evictedSum(target.cold_bytes);
  const next = nextSecs === null ? "" : `; its next run is in ${spanText(nextSecs)}`;
  if (settings.disabled) {
    return target.rule === null
      ? "It is left alone: memcg is disabled."
      : `It is left alone: the rule ${target.rule} disables it.`;
  }
  if (target.runs === 0) return `It has not been run yet${next}.`;
  const dry = memcg.dry_run ? "This is a dry run, so nothing is evicted. " : "";
  switch (end) {
    case "pressure": {
      const percent = target.pressure_percent;
      const seen = percent === null ? "" : `: ${percentText(percent)} in its waiting period`;
      return `${dry}It was left alone because it stalled${seen} (limit ${settings.period_psi_percent_limit} %, while it is evicted ${settings.eviction_psi_percent_limit} %)${next}.`;
    }
    case "refaults":
      if (target.sit_out === 0 && target.pace.rhythm_secs !== null) {
        return `${dry}It came back after pauses of up to ${spanText(target.pace.rhythm_secs)}, so nothing is evicted before it pauses for longer${next}.`;
      }
      return `${dry}Too much of what was evicted came back, so it sits out ${countText(target.sit_out, "eviction")}${next}.`;
    case "not_ready":
      return `${dry}It is too young to judge: ${countText(target.agings, "aging")} of ${settings.eviction_run_aging_count_min}, and ${generationsText(target)}${evictionText(target)}${next}.`;
    case "error":
      return `${dry}Its last run failed: ${escapeControls(target.last_error ?? "see the log")}${next}.`;
    case null:
      return `${dry}No run of it has ended yet${next}.`;
    case "evicted":
      return `${dry}All that was cold went in its last run${next}.`;
    case "sampled":
      return `${dry}A sample of what is cold went; what comes back decides how much goes next${next}.`;
    case "nothing_cold":
    case "no_progress":
    case "swap_full":
    case "protected":
    case "unreached":
    case "vanished":
    case "disabled":
    case "stopped":
      return `${dry}Its last run ended with ${end}: ${endReasonTexts[end]}; ${cold === 0 ? "nothing is cold now" : `${bytesText(cold)} are cold now`}${next}.`;
    default:
      return end satisfies never;
  }
}

/** When something of it may go, if nobody touches that. */
function evictionText({ next_eviction_secs: secs, candidate_bytes: bytes }: TargetStatus): string {
  if (secs === null) return "";
  return `; ${bytesText(bytes)} stay untouched so far, and some of that may go in about ${spanText(Math.round(secs))}`;
}

function generationsText({ generations }: TargetStatus): string {
  return generations === null ? "its generations are not known" : `${generations.length} of 4 generations`;
}

export function renderExplanation(target: TargetStatus, memcg: MemcgStatus, terminal: Terminal): string[] {
  const { settings, generations } = target;
  const field = (label: string, text: string): string[] => fieldLines(terminal, label, text);
  const evicted = evictedSum(target.evicted_bytes);
  const { refaulted_bytes: back } = target;
  const ages = (generations ?? []).map(
    (one) => `${bytesText(one.anon_bytes + one.file_bytes)} since ${spanText(one.age_secs)}`,
  );
  return [
    `${heading(terminal, escapeControls(target.path))}  node ${target.node}`,
    ...field("", explained(target, memcg)).map((line) => line.trimStart()),
    "",
    ...field("Rule", target.rule === null ? "none; the base settings apply" : escapeControls(target.rule)),
    ...field("Candidate", candidateText(target)),
    ...field("Size", `${bytesText(target.size_bytes)}, ${bytesText(evictedSum(target.cold_bytes))} of it cold`),
    ...field("Generations", generations === null ? "not known to this backend" : `oldest first: ${ages.join(", ")}`),
    ...field("Pace", `${paceText(target)}; between ${settings.period_min_secs} s and ${settings.period_secs} s`),
    ...field("Agings", `${target.agings}, at least ${settings.eviction_run_aging_count_min} before it is evicted`),
    ...field("Stalled", stallText(target)),
    ...field("Evicted", joinParts([bytesText(evicted), `in ${countText(target.evictions, "eviction")}`])),
    ...field("Came back", backText(target, evicted, back)),
    ...memcg.ended
      .filter(({ path }) => path === target.path)
      .flatMap((units) => field("Ended units", `below it: ${endedText(units)}`)),
    ...field(
      "Swap",
      settings.swap ? `used, swappiness at most ${settings.swappiness_max}` : "not used: file pages only",
    ),
    ...field(
      "Last run",
      target.last_end === null ? "none yet" : `${target.last_end}: ${endReasonTexts[target.last_end]}`,
    ),
    ...field("Next run", nextRunText(target)),
    ...field("Why not more", whyNotText(target)),
  ];
}

function candidateText({ candidate_bytes: bytes, candidate_age_secs: age }: TargetStatus): string {
  return age === null || bytes === 0
    ? bytesText(bytes)
    : `${bytesText(bytes)} untouched, most of it for ${ageText(age)}`;
}

function nextRunText({ next_run_secs: runSecs, next_eviction_secs: evictionSecs }: TargetStatus): string {
  if (runSecs === null) return "never";
  const run = `in ${spanText(Math.round(runSecs))}`;
  return evictionSecs === null ? run : `${run}; it may evict in about ${spanText(Math.round(evictionSecs))}`;
}

function stallText({ pressure_percent: percent, pressure_source: source, settings }: TargetStatus): string {
  const seen = percent === null ? "not known yet" : percentText(percent);
  const from = source === null ? ", no pressure file" : `, read from ${escapeControls(source)}`;
  return `${seen} of ${settings.period_psi_percent_limit} % in the waiting period${from}; at most ${settings.eviction_psi_percent_limit} % while it is evicted`;
}

function backText({ sit_out: sitOut, settings }: TargetStatus, evicted: number, back: number | null): string {
  if (back === null) return "not counted: refault_percent_limit is 0";
  const share = evicted === 0 ? "" : ` (${percentText((back / evicted) * 100)} of what was evicted)`;
  const waits = sitOut > 0 ? `; sits out ${countText(sitOut, "eviction")}` : "";
  return `${bytesText(back)}${share}; limit ${settings.refault_percent_limit} % of the cgroup a minute${waits}`;
}
