/** Bodies of the requests that change settings, and what the set commands make of their flags. */
import type { SettingsChange } from "./merge.ts";
import { type LocatedProblem, readKeys, readRuleChanges, readRules, readRuleTargets } from "./values.ts";
import type { Problem } from "./problems.ts";
import type { RuleEdits } from "./rules.ts";
import { type MemcgSettings, type Setting, settingList, settingsOf } from "./schema.ts";

export interface ParsedChange {
  /** To be used only if there are no problems. */
  readonly change: SettingsChange;
  readonly problems: readonly Problem[];
}

/** `{period_secs: 300, …, add: [rule, …], set: [rule, …], del: [{path, numa_id}, …]}` */
export function parseMemcgChange(body: unknown): ParsedChange {
  const problems: LocatedProblem[] = [];
  const edits: { -readonly [List in keyof RuleEdits]: RuleEdits[List] } = {};
  const keys = settingsOf("memcg");
  const memcg: Partial<MemcgSettings> = readKeys(body, [], keys, problems, {
    add: (list, at) => void (edits.add = readRules(list, at, problems)),
    set: (list, at) => void (edits.set = readRuleChanges(list, at, problems)),
    del: (list, at) => void (edits.del = readRuleTargets(list, at, problems)),
  });
  const count = Object.keys(memcg).length + ruleEditCount(edits);
  return parsed({ memcg, rules: edits }, problems, count, [...namesOf(keys), "add", "set", "del"]);
}

/** `{order: 8, …}` */
export function parseCompactChange(body: unknown): ParsedChange {
  const problems: LocatedProblem[] = [];
  const keys = settingsOf("compact");
  const compact = readKeys(body, [], keys, problems);
  return parsed({ compact }, problems, Object.keys(compact).length, namesOf(keys));
}

/** A level by its name: the value itself, not an object around it. */
export function parseLogLevel(level: unknown): ParsedChange {
  const problems: LocatedProblem[] = [];
  const keys = settingList.filter((setting) => setting.name === "log.level");
  const log = readKeys({ level }, [], keys, problems);
  return parsed({ log }, problems, 1, []);
}

/** How many rules the edits name. */
function ruleEditCount(edits: RuleEdits): number {
  return (edits.add?.length ?? 0) + (edits.set?.length ?? 0) + (edits.del?.length ?? 0);
}

function namesOf(settings: readonly Setting[]): string[] {
  return settings.map((setting) => setting.key);
}

/** A request has no lines to point at. */
function unplaced({ key, message, allowed }: LocatedProblem): Problem {
  return { key, message, allowed };
}

function parsed(
  change: SettingsChange,
  problems: readonly LocatedProblem[],
  count: number,
  names: readonly string[],
): ParsedChange {
  if (problems.length > 0) return { change: {}, problems: problems.map(unplaced) };
  if (count > 0) return { change, problems: [] };
  return { change: {}, problems: [{ key: "", message: "nothing is changed by this", allowed: names.join(", ") }] };
}
