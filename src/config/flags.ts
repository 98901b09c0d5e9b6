/**
 * Flags, made from the settings: `--section-key` with dashes. Reading is strict: what is not known, not allowed or
 * named twice is a problem, and all problems are told at once.
 *
 * A boolean takes `true` or `false`, after a blank or an equals sign, and alone means true. A flag for rules takes one
 * or several values, `path=/a,numa-id=1:2,period-secs=300`, and may be repeated; a comma inside a path is written `\,`.
 */
import { didYouMean } from "./nearest.ts";
import { type LocatedProblem, readRuleChanges, readRules, readRuleTargets } from "./overrides.ts";
import { type Problem, show } from "./problems.ts";
import type { RuleEdits } from "./rules.ts";
import {
  type RulePatch,
  ruleSettingList,
  type SectionName,
  type Setting,
  type SettingAbout,
  type SettingKind,
  settingList,
  settingsOf,
  type SettingsOverrides,
} from "./schema.ts";
import { allowedText, readValue, valueOfText } from "./values.ts";

/** What a flag for rules does with them: `cgroups` declares them, the others edit the list of a running daemon. */
export type RuleList = "cgroups" | "add" | "set" | "del";

export interface Flag {
  /** Without the two dashes. */
  readonly name: string;
  /** Other names that mean the same; not shown in help. */
  readonly aliases: readonly string[];
  /** `SECONDS`; null for a boolean. */
  readonly valueName: string | null;
  readonly about: Pick<SettingAbout, "kind" | "fallback" | "text">;
  readonly target:
    | { readonly type: "setting"; readonly setting: Setting }
    | { readonly type: "rules"; readonly list: RuleList };
}

function settingFlag(setting: Setting): Flag {
  const full = `${setting.section}-${dashed(setting.key)}`;
  const isAddress = setting.name === "control.addr";
  return {
    name: isAddress ? "addr" : full,
    aliases: isAddress ? [full] : [],
    valueName: valueNameOf(setting),
    about: setting,
    target: { type: "setting", setting },
  };
}

function valueNameOf({ kind, unit }: SettingAbout): string | null {
  switch (kind.type) {
    case "boolean":
      return null;
    case "choice":
      return kind.choices.join("|");
    case "text":
      return "PATH";
    case "whole":
    case "decimal":
    case "nodes":
      break;
  }
  return unit === null ? "N" : unit.toUpperCase();
}

const ruleFlagTexts: Readonly<Record<RuleList, string>> = {
  cgroups: "rules for single cgroups, such as path=/a,numa-id=1:2,period-secs=300 path=/b,disabled=true",
  add: "add rules; none of them may be there",
  set: "change the named keys of rules that are there",
  del: "delete rules, named by path and numa-id",
};

function rulesFlag(list: RuleList): Flag {
  const kind: SettingKind = { type: "text", noun: "a rule", allowed: "path=/a,key=value,…" };
  return {
    name: `memcg-${list}`,
    aliases: [],
    valueName: "RULE…",
    about: { kind, fallback: null, text: ruleFlagTexts[list] },
    target: { type: "rules", list },
  };
}

function sectionFlags(section: SectionName): Flag[] {
  return settingsOf(section).map(settingFlag);
}

export const serveFlags: readonly Flag[] = [...settingList.map(settingFlag), rulesFlag("cgroups")];
export const memcgsetFlags: readonly Flag[] = [
  ...sectionFlags("memcg"),
  rulesFlag("add"),
  rulesFlag("set"),
  rulesFlag("del"),
];
export const compactsetFlags: readonly Flag[] = sectionFlags("compact");

export interface ParsedFlags {
  /** The settings that were named, with the rules of `--memcg-cgroups`. */
  readonly overrides: SettingsOverrides;
  /** The rules of `--memcg-add`, `--memcg-set` and `--memcg-del`. */
  readonly edits: RuleEdits;
  /** The rest is to be used only if there are none. */
  readonly problems: readonly Problem[];
}

/** What was seen so far; the texts of rules are kept until all are there, since two of them may be the same rule. */
interface Reading {
  readonly sections: Partial<Record<SectionName, Record<string, unknown>>>;
  readonly rules: Map<RuleList, string[]>;
  readonly seen: Set<string>;
  readonly problems: Problem[];
}

/** Reads flags with their values, and nothing else. */
export function parseFlags(args: readonly string[], flags: readonly Flag[]): ParsedFlags {
  const byName = new Map(flags.flatMap((flag) => [flag.name, ...flag.aliases].map((name) => [`--${name}`, flag])));
  const names = flags.map((flag) => `--${flag.name}`);
  const reading: Reading = {
    sections: {},
    rules: new Map(),
    seen: new Set(),
    problems: [],
  };
  const flagsEnd = args.includes("--") ? args.indexOf("--") : args.length;
  let index = 0;
  while (index < flagsEnd) {
    const arg = args[index++] ?? "";
    const equals = arg.indexOf("=");
    const name = equals < 0 ? arg : arg.slice(0, equals);
    const given = equals < 0 ? null : arg.slice(equals + 1);
    const ahead = args.slice(index, index + valuesAhead(args, index));
    const flag = byName.get(name);
    if (flag !== undefined) {
      index += readFlag(flag, given, ahead, reading);
    } else if (looksLikeFlag(arg)) {
      reading.problems.push(unknownFlag(name, names));
      if (given === null) index += ahead.length;
    } else {
      reading.problems.push(unexpected(arg, names));
    }
  }
  for (const arg of args.slice(flagsEnd + 1)) reading.problems.push(unexpected(arg, names));
  return finish(reading);
}

function unexpected(arg: string, names: readonly string[]): Problem {
  const message = `unexpected argument${didYouMean(`--${arg}`, names)}`;
  return { key: show(arg), message, allowed: "only flags and their values" };
}

function unknownFlag(name: string, names: readonly string[]): Problem {
  const meant = didYouMean(name, names);
  return { key: name, message: `unknown flag${meant}`, allowed: meant === "" ? names.join(" ") : "" };
}

function dashed(key: string): string {
  return key.replaceAll("_", "-");
}

/** A lone dash and a negative number are values. */
function looksLikeFlag(arg: string): boolean {
  return arg.length > 1 && arg.startsWith("-") && !/^-[\d.]/.test(arg);
}

/** How many arguments from `index` on are no flags. */
function valuesAhead(args: readonly string[], index: number): number {
  let end = index;
  while (end < args.length && !looksLikeFlag(args[end] ?? "")) end++;
  return end - index;
}

/** Reads a flag's values; returns how many of the arguments ahead it took. */
function readFlag(flag: Flag, given: string | null, ahead: readonly string[], reading: Reading): number {
  const key = `--${flag.name}`;
  const valueMissing: Problem = { key, message: "a value is missing", allowed: allowedText(flag.about) };
  if (flag.target.type === "rules") {
    const texts = given === null ? ahead : [given, ...ahead];
    if (texts.length === 0) reading.problems.push(valueMissing);
    reading.rules.set(flag.target.list, [...(reading.rules.get(flag.target.list) ?? []), ...texts]);
    return ahead.length;
  }
  if (reading.seen.has(flag.name)) reading.problems.push({ key, message: "given twice", allowed: "once" });
  reading.seen.add(flag.name);
  const isBoolean = flag.about.kind.type === "boolean";
  const next = ahead[0];
  const text = given ?? next ?? (isBoolean ? "true" : undefined);
  if (text === undefined) reading.problems.push(valueMissing);
  else readText(key, flag.target.setting, text, reading);
  return given === null && next !== undefined ? 1 : 0;
}

function readText(key: string, setting: Setting, text: string, reading: Reading): void {
  const value = readValue(setting, valueOfText(setting.kind, text));
  if (value.ok) (reading.sections[setting.section] ??= {})[setting.key] = value.value;
  else reading.problems.push({ key, message: value.message, allowed: value.allowed });
}

function finish(reading: Reading): ParsedFlags {
  const { problems, sections } = reading;
  const lists = new Map([...reading.rules].map(([list, texts]) => [list, readRuleTexts(list, texts, problems)]));
  const cgroups = lists.get("cgroups");
  if (cgroups !== undefined) (sections.memcg ??= {})["cgroups"] = cgroups;
  const edits = Object.fromEntries([...lists].filter(([list]) => list !== "cgroups"));
  return { overrides: sections, edits, problems };
}

function readRuleTexts(list: RuleList, texts: readonly string[], problems: Problem[]): readonly RulePatch[] {
  const tables = texts.map((text) => tableOfText(list, text, problems));
  const found: LocatedProblem[] = [];
  const read = { cgroups: readRules, add: readRules, set: readRuleChanges, del: readRuleTargets }[list];
  const rules = read(tables, [], found);
  for (const { at, message, allowed } of found) {
    const [index, key] = at;
    const inside = key === undefined ? "" : `: ${dashed(String(key))}`;
    const text = texts[Number(index)] ?? "";
    problems.push({ key: `--memcg-${list} ${text}${inside}`, message, allowed: dashedKeys(allowed) });
  }
  return rules;
}

/** `path=/a,numa-id=1:2,disabled` as the table that it would be in a file. */
function tableOfText(list: RuleList, text: string, problems: Problem[]): Record<string, unknown> {
  const key = `--memcg-${list} ${text}`;
  const table: Record<string, unknown> = {};
  const settings = new Map(ruleSettingList.map((setting) => [dashed(setting.key), setting]));
  for (const part of partsOf(text)) {
    const equals = part.indexOf("=");
    const name = dashed(equals < 0 ? part : part.slice(0, equals));
    const setting = settings.get(name);
    const isSwitch = setting?.kind.type === "boolean";
    if (setting === undefined) {
      const names = [...settings.keys()];
      problems.push({ key, message: `unknown key ${show(name)}${didYouMean(name, names)}`, allowed: names.join(", ") });
    } else if (Object.hasOwn(table, setting.key)) {
      problems.push({ key, message: `${name} is given twice`, allowed: "once" });
    } else if (equals < 0 && !isSwitch) {
      problems.push({ key, message: `${name} has no value`, allowed: `${name}=VALUE` });
    } else {
      table[setting.key] = equals < 0 ? true : valueOfText(setting.kind, part.slice(equals + 1));
    }
  }
  return table;
}

/** Splits at commas; a backslash takes the next character as it is. */
function partsOf(text: string): string[] {
  const parts = [...text.matchAll(/(?:^|,)((?:\\.|[^,\\]|\\$)*)/gs)].map((match) => match[1] ?? "");
  return parts.map((part) => part.replaceAll(/\\([\\,])/g, "$1"));
}

const underscored = new Map(ruleSettingList.map((setting) => [setting.key, dashed(setting.key)]));

function dashedKeys(allowed: string): string {
  return allowed.replaceAll(/\w+/g, (word) => underscored.get(word) ?? word);
}
