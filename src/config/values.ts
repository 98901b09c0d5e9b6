/**
 * From input to settings: each value checked against its declaration, with what is allowed instead of a refused one; of a
 * parsed file every key checked, every problem found, and only what was said kept.
 */
import * as v from "valibot";
import { vsockCidMax } from "../base/address.ts";
import { parseSpan } from "../base/units.ts";
import { didYouMean } from "./nearest.ts";
import { show, type Problem } from "./problems.ts";
import { ruleId, ruleValues } from "./rules.ts";
import {
  type Setting,
  type SettingAbout,
  type SettingKind,
  type SettingUnit,
  type RulePatch,
  type RuleTarget,
  ruleSettingList,
  type SectionName,
  sectionNames,
  settingList,
  settingsOf,
  type SettingsOverrides,
} from "./schema.ts";

/** What is allowed: `a whole number from 0 to 200`. */
export function allowedText({
  kind,
  unit = null,
}: Pick<SettingAbout, "kind"> & Partial<Pick<SettingAbout, "unit">>): string {
  switch (kind.type) {
    case "boolean":
      return "true or false";
    case "whole": {
      const range = kind.max === null ? `>= ${kind.min}` : `from ${kind.min} to ${kind.max}`;
      const also = unit === "seconds" ? '; files and flags take "10m" too' : "";
      return `a whole number ${range}${kind.word === null ? "" : `, or "${kind.word}"`}${also}`;
    }
    case "decimal":
      return `a number from ${kind.min} to ${kind.max}, decimals too`;
    case "choice":
      return kind.choices.join(", ");
    case "text":
      return kind.allowed;
    case "cids":
      return `numbers from 0 to ${vsockCidMax}, at least one`;
    case "nodes":
      break;
  }
  return "numbers of NUMA nodes (0 to 1023), at least one; leave it out for all nodes";
}

export type ReadValue =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string; readonly allowed: string };

/** Checks a value against the schema of its setting; the value that comes back is the one to use. */
export function readValue(setting: Setting, raw: unknown): ReadValue {
  const result = v.safeParse(setting.schema, raw);
  if (result.success) return { ok: true, value: result.output };
  return { ok: false, message: refusal(setting, raw), allowed: allowedText(setting) };
}

function refusal({ kind, unit }: SettingAbout, raw: unknown): string {
  const shown = show(raw);
  switch (kind.type) {
    case "boolean":
      return `${shown} is not true or false`;
    case "whole":
      if (typeof raw === "number" && !Number.isInteger(raw)) return `${shown} is not a whole number`;
      return outOfRange(kind, raw) ?? `${shown} is not ${numberNoun(unit)}`;
    case "decimal":
      return outOfRange(kind, raw) ?? `${shown} is not ${numberNoun(unit)}`;
    case "choice":
      return `${shown} is not known${typeof raw === "string" ? didYouMean(raw, kind.choices) : ""}`;
    case "text":
      return `${shown} is not ${kind.noun}`;
    case "cids":
      return Array.isArray(raw) && raw.length === 0
        ? "an empty list lets nobody in"
        : `${shown} is not a list of context ids`;
    case "nodes":
      break;
  }
  return Array.isArray(raw) && raw.length === 0 ? "an empty list names no node" : `${shown} is not a list of nodes`;
}

function numberNoun(unit: SettingUnit | null): string {
  if (unit === "percent") return "a percentage";
  return unit === null ? "a number" : `a number of ${unit}`;
}

function outOfRange(
  kind: SettingKind & { readonly min: number; readonly max: number | null },
  raw: unknown,
): string | null {
  if (typeof raw === "bigint") return raw < 0n ? `${show(raw)} is too small` : `${show(raw)} is too large`;
  if (typeof raw !== "number" || Number.isNaN(raw)) return null;
  return raw < kind.min ? `${show(raw)} is too small` : `${show(raw)} is too large`;
}

/** The value that a flag's text stands for, still to be checked; text that stands for none stays text. */
export function valueOfText({ kind, unit }: Pick<SettingAbout, "kind" | "unit">, text: string): unknown {
  if (unit === "seconds") return secondsOfText(text) ?? numberOfText(text);
  switch (kind.type) {
    case "boolean":
      return text === "true" ? true : text === "false" ? false : text;
    case "whole":
      return numberOfText(text);
    case "decimal":
      return /^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : text;
    case "choice": {
      const word = text.toLowerCase();
      return kind.aliases[word] ?? (kind.choices.includes(word) ? word : text);
    }
    case "text":
      return text;
    case "cids":
      return /^\d+(,\d+)*$/.test(text) ? text.split(",").map(Number) : text;
    case "nodes":
      break;
  }
  return /^\d+(:\d+)*$/.test(text) ? text.split(":").map(Number) : text;
}

function numberOfText(text: string): unknown {
  return /^[+-]?\d+$/.test(text) ? integerOf(text) : /^[+-]?\d+\.\d+$/.test(text) ? Number(text) : text;
}

/** Seconds of a span with its unit, such as `10m`; null for every other text. */
export function secondsOfText(text: string): number | null {
  return /[a-z]$/.test(text) ? parseSpan(text) : null;
}

function integerOf(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text.replace(/^\+/, ""));
}

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

/** Says where a known key in the wrong place belongs, or which one was probably meant. */
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
