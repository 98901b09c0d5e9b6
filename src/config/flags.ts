/**
 * Flags, made from the settings: `--section-key` with dashes. Reading is strict: what is not allowed or given twice is
 * a problem, and all problems are reported at once. cli/arguments.ts finds the flags on the command line.
 *
 * A boolean takes `true` or `false`, after a blank or an equals sign, and alone means true. A flag for rules takes one
 * or several values, `path=/a,numa-id=1:2,period-secs=300`, and may be repeated; a comma inside a path is written `\,`.
 */
import { didYouMean } from "./nearest.ts";
import {
  type LocatedProblem,
  readRuleChanges,
  readRules,
  readRuleTargets,
  allowedText,
  readValue,
  valueOfText,
} from "./values.ts";
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

/** Flags that are worth a short name; the long one means the same. */
const shortNames: Readonly<Record<string, string>> = { "control.addr": "addr", "control.name": "name" };

function settingFlag(setting: Setting): Flag {
  const full = `${setting.section}-${dashed(setting.key)}`;
  const short = shortNames[setting.name];
  return {
    name: short ?? full,
    aliases: short === undefined ? [] : [full],
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
      return kind.valueName ?? "PATH";
    case "cids":
      return "CID,…";
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

/** Reads the flags of settings as a command line comes upon them. */
export class FlagReader {
  /** With their dashes. */
  readonly names: readonly string[];
  readonly #flags: ReadonlyMap<string, Flag>;
  readonly #sections: Partial<Record<SectionName, Record<string, unknown>>> = {};
  /** The texts of rules are kept until all are there, since two of them may be the same rule. */
  readonly #rules = new Map<RuleList, string[]>();
  readonly #seen = new Set<Flag>();
  readonly #problems: Problem[] = [];

  constructor(flags: readonly Flag[]) {
    this.names = flags.map((flag) => `--${flag.name}`);
    this.#flags = new Map(
      flags.flatMap((flag) => [flag.name, ...flag.aliases].map((name) => [`--${name}`, flag] as const)),
    );
  }

  /**
   * Reads one flag.
   * @param given what follows its equals sign, null without one
   * @param ahead the words up to the next flag
   * @returns how many of those it took; null for what is no flag of a setting
   */
  read(name: string, given: string | null, ahead: readonly string[]): number | null {
    const flag = this.#flags.get(name);
    if (flag === undefined) return null;
    const key = `--${flag.name}`;
    const valueMissing: Problem = { key, message: "a value is missing", allowed: allowedText(flag.about) };
    if (flag.target.type === "rules") {
      const { list } = flag.target;
      const texts = given === null ? ahead : [given, ...ahead];
      if (texts.length === 0) this.#problems.push(valueMissing);
      this.#rules.set(list, [...(this.#rules.get(list) ?? []), ...texts]);
      return ahead.length;
    }
    if (this.#seen.has(flag)) this.#problems.push({ key, message: "given twice", allowed: "once" });
    this.#seen.add(flag);
    const next = ahead[0];
    const text = given ?? next ?? (flag.about.kind.type === "boolean" ? "true" : undefined);
    if (text === undefined) this.#problems.push(valueMissing);
    else this.#readText(key, flag.target.setting, text);
    return given === null && next !== undefined ? 1 : 0;
  }

  #readText(key: string, setting: Setting, text: string): void {
    const value = readValue(setting, valueOfText(setting, text));
    if (value.ok) (this.#sections[setting.section] ??= {})[setting.key] = value.value;
    else this.#problems.push({ key, message: value.message, allowed: value.allowed });
  }

  /** What all of them say. */
  finish(): ParsedFlags {
    const problems = [...this.#problems];
    const sections = { ...this.#sections };
    const lists = new Map([...this.#rules].map(([list, texts]) => [list, readRuleTexts(list, texts, problems)]));
    const cgroups = lists.get("cgroups");
    if (cgroups !== undefined) sections.memcg = { ...sections.memcg, cgroups };
    const edits = Object.fromEntries([...lists].filter(([list]) => list !== "cgroups"));
    return { overrides: sections, edits, problems };
  }
}

function dashed(key: string): string {
  return key.replaceAll("_", "-");
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
      table[setting.key] = equals < 0 ? true : valueOfText(setting, part.slice(equals + 1));
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
