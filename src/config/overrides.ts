/** From a parsed file to what it says: every key checked, every problem found, only what was said kept. */
import { didYouMean } from "./nearest.ts";
import { type Problem, show } from "./problems.ts";
import { ruleId, ruleValues } from "./rules.ts";
import {
  type RulePatch,
  type RuleTarget,
  ruleSettingList,
  type SectionName,
  sectionNames,
  type Setting,
  settingList,
  settingsOf,
  type SettingsOverrides,
} from "./schema.ts";
import { allowedText, readValue } from "./values.ts";

/** Where in the input, as keys and indexes: `["memcg", "cgroups", 0, "path"]`. */
export type InputPath = readonly (string | number)[];

/** A problem that still has to be found in the text. */
export interface LocatedProblem extends Problem {
  readonly at: InputPath;
}

/** Keys of a table that a reader of its own takes. */
type OtherKeys = Readonly<Record<string, (value: unknown, at: InputPath) => void>>;

export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** `memcg.cgroups[0].path` */
export function keyOf(at: InputPath): string {
  return at
    .map((part, index) => (typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${part}`))
    .join("");
}

/** Reads a whole file's tables. The overrides are to be used only if there are no problems. */
export function readOverrides(root: unknown): { overrides: SettingsOverrides; problems: LocatedProblem[] } {
  const problems: LocatedProblem[] = [];
  const found: Partial<Record<SectionName, Record<string, unknown>>> = {};
  if (!isTable(root)) {
    problems.push(wrongShape([], root, "a table of sections", sectionNames.join(", ")));
    return { overrides: {}, problems };
  }
  const readers = sectionNames.map((section) => {
    const read = (table: unknown, at: InputPath): void => {
      let rules: readonly RulePatch[] | null = null;
      const others: OtherKeys =
        section !== "memcg" ? {} : { cgroups: (list, where) => void (rules = readRules(list, where, problems)) };
      const values = readKeys(table, at, settingsOf(section), problems, others);
      found[section] = rules === null ? values : { ...values, cgroups: rules };
    };
    return [section, read] as const;
  });
  readKeys(root, [], [], problems, Object.fromEntries(readers));
  return { overrides: found, problems };
}

/**
 * The values of a table's keys that are settings of the list; `others` take theirs by themselves. Every unknown key and
 * refused value becomes a problem.
 */
export function readKeys(
  table: unknown,
  at: InputPath,
  settings: readonly Setting[],
  problems: LocatedProblem[],
  others: OtherKeys = {},
): Record<string, unknown> {
  const names = [...settings.map((setting) => setting.key), ...Object.keys(others)];
  const found: Record<string, unknown> = {};
  if (!isTable(table)) {
    problems.push(wrongShape(at, table, "a table", names.join(", ")));
    return found;
  }
  const byKey = new Map(settings.map((setting) => [setting.key, setting]));
  for (const [key, raw] of Object.entries(table)) {
    const where = [...at, key];
    const setting = byKey.get(key);
    if (setting !== undefined) {
      const value = readValue(setting, raw);
      if (value.ok) found[key] = value.value;
      else problems.push({ key: keyOf(where), message: value.message, allowed: value.allowed, at: where });
    } else if (Object.hasOwn(others, key)) {
      others[key]?.(raw, where);
    } else {
      problems.push({ key: keyOf(where), message: unknownKey(key, at, names), allowed: names.join(", "), at: where });
    }
  }
  return found;
}

/** Says where a known key belongs that stands in the wrong place, or which one was probably meant. */
function unknownKey(key: string, at: InputPath, names: readonly string[]): string {
  const homes = settingList.filter((setting) => setting.key === key);
  if (at.length === 0 && names.includes("memcg") && homes.length > 0) {
    return `this key belongs into ${homes.map((setting) => `[${setting.section}]`).join(" or ")}`;
  }
  const isBaseOnly = homes.some((setting) => setting.section === "memcg" && !setting.inRules);
  if (names.includes("path") && isBaseOnly) return "a rule cannot set this, only the base settings can";
  return `unknown key${didYouMean(key, names)}`;
}

/** The rules of a list, as far as they are right; two of one path and nodes are a problem. */
export function readRules(list: unknown, at: InputPath, problems: LocatedProblem[]): RulePatch[] {
  const rules = readRuleList(list, at, ruleSettingList, problems);
  const seen = new Set<string>();
  for (const { rule, where } of rules) {
    const id = ruleId(rule);
    if (seen.has(id)) problems.push(twice(id, where));
    seen.add(id);
  }
  return rules.filter(({ right }) => right).map(({ rule }) => rule);
}

/** Rules that must set something; a rule may be named once. */
export function readRuleChanges(list: unknown, at: InputPath, problems: LocatedProblem[]): RulePatch[] {
  const rules = readRuleList(list, at, ruleSettingList, problems).filter(({ right }) => right);
  for (const { rule, where } of rules) {
    if (ruleValues(rule).length > 0) continue;
    const allowed = ruleSettingList.map((setting) => setting.key).filter((key) => key !== "path" && key !== "numa_id");
    problems.push({ key: keyOf(where), message: "this sets nothing", allowed: allowed.join(", "), at: where });
  }
  return rules.map(({ rule }) => rule);
}

/** Paths and nodes of rules. */
export function readRuleTargets(list: unknown, at: InputPath, problems: LocatedProblem[]): RuleTarget[] {
  const settings = ruleSettingList.filter((setting) => setting.key === "path" || setting.key === "numa_id");
  const rules = readRuleList(list, at, settings, problems);
  return rules.filter(({ right }) => right).map(({ rule }) => rule);
}

interface PlacedRule {
  readonly rule: RulePatch;
  readonly where: InputPath;
  /** False where a value is wrong that does not name the rule: then only its name counts. */
  readonly right: boolean;
}

function readRuleList(
  list: unknown,
  at: InputPath,
  settings: readonly Setting[],
  problems: LocatedProblem[],
): PlacedRule[] {
  if (!Array.isArray(list)) {
    problems.push(wrongShape(at, list, "a list of rules", "tables with a path"));
    return [];
  }
  return list.flatMap((item: unknown, index) => readRule(item, [...at, index], settings, problems));
}

function readRule(
  item: unknown,
  where: InputPath,
  settings: readonly Setting[],
  problems: LocatedProblem[],
): PlacedRule[] {
  const known = problems.length;
  const rule = readKeys(item, where, settings, problems);
  if (isTable(item) && item["path"] === undefined) {
    const path = ruleSettingList.find((setting) => setting.key === "path");
    const allowed = path === undefined ? "" : allowedText(path);
    problems.push({ key: keyOf([...where, "path"]), message: "a rule needs a path", allowed, at: where });
  }
  const isNamed =
    isTable(item) && ["path", "numa_id"].every((key) => (item[key] === undefined) === (rule[key] === undefined));
  const right = problems.length === known;
  return right || (isNamed && rule["path"] !== undefined) ? [{ rule: rule as unknown as RulePatch, where, right }] : [];
}

function twice(id: string, at: InputPath): LocatedProblem {
  return { key: keyOf(at), message: `the rule ${id} is here twice`, allowed: "one rule for each path and nodes", at };
}

function wrongShape(at: InputPath, value: unknown, noun: string, allowed: string): LocatedProblem {
  return { key: keyOf(at), message: `${show(value)} is not ${noun}`, allowed, at };
}
