/** What can follow what on a command line: the command table, flattened for the shells. */
import type { ArgDef } from "citty";
import type { Flag, RuleList } from "../../config/flags.ts";
import { ruleSettingList, type Setting } from "../../config/schema.ts";
import { type Command, isGroup } from "../command-types.ts";
import { settingFlagsOf } from "../setting-arguments.ts";

/** What a value is, as far as a shell can help with it. */
export type CompletionValue =
  | { readonly type: "none" }
  | { readonly type: "any" }
  | { readonly type: "file" }
  | { readonly type: "cgroup" }
  | { readonly type: "choice"; readonly choices: readonly string[] }
  /** `path=/a,key=value,…`, one or several. */
  | { readonly type: "rule"; readonly keys: readonly RuleKey[] };

export interface RuleKey {
  /** As a flag writes it, with dashes. */
  readonly name: string;
  readonly text: string;
  readonly value: CompletionValue;
}

export interface CompletionFlag {
  /** With its dashes. */
  readonly name: string;
  readonly text: string;
  readonly value: CompletionValue;
}

/** One command or group of commands: what can follow its words. */
export interface CompletionEntry {
  /** `["config", "check"]`; empty for the program itself. */
  readonly words: readonly string[];
  readonly commands: readonly { readonly name: string; readonly text: string }[];
  readonly flags: readonly CompletionFlag[];
  readonly positional: CompletionValue;
}

const none: CompletionValue = { type: "none" };
const help: CompletionFlag = { name: "--help", text: "what the command does", value: none };
const fileHints: ReadonlySet<string> = new Set(["FILE", "PATH", "ADDRESS", "ADDRESS…"]);
const cgroupHints: ReadonlySet<string> = new Set(["CGROUP", "GLOB"]);

function argumentValue(name: string, about: ArgDef): CompletionValue {
  if (about.type === "boolean") return none;
  if (about.type === "enum") return { type: "choice", choices: about.options ?? [] };
  if (about.type === "positional" && name === "level") {
    return { type: "choice", choices: (about.valueHint ?? "").split("|") };
  }
  if (cgroupHints.has(about.valueHint ?? "")) return { type: "cgroup" };
  const isFile = fileHints.has(about.valueHint ?? "") || name === "file";
  return { type: isFile ? "file" : "any" };
}

/** What names a rule, and with all flags but the one that deletes what it may set. */
function ruleKeys(list: RuleList): readonly RuleKey[] {
  return ruleSettingList
    .filter(({ key }) => list !== "del" || key === "path" || key === "numa_id")
    .map((setting) => ({ name: setting.key.replaceAll("_", "-"), text: setting.text, value: ruleValue(setting) }));
}

function ruleValue({ key, kind }: Setting): CompletionValue {
  if (key === "path") return { type: "cgroup" };
  return kind.type === "boolean" ? { type: "choice", choices: ["true", "false"] } : { type: "any" };
}

function settingValue(flag: Flag): CompletionValue {
  if (flag.target.type === "rules") return { type: "rule", keys: ruleKeys(flag.target.list) };
  const { kind } = flag.about;
  if (kind.type === "boolean") return { type: "choice", choices: ["true", "false"] };
  if (kind.type === "choice") return { type: "choice", choices: kind.choices };
  return { type: flag.name === "log-file" ? "file" : "any" };
}

function entriesOf(command: Command, words: readonly string[]): CompletionEntry[] {
  if (isGroup(command)) {
    const below = Object.values(command.subCommands);
    const version: CompletionFlag[] =
      words.length === 0 ? [{ name: "--version", text: "the version", value: none }] : [];
    const own: CompletionEntry = {
      words,
      commands: below.map(({ meta }) => ({ name: meta.name, text: meta.description })),
      flags: [help, ...version],
      positional: none,
    };
    return [own, ...below.flatMap((one) => entriesOf(one, [...words, one.meta.name]))];
  }
  const args = Object.entries(command.args);
  const positional = args.find(([, about]) => about.type === "positional");
  const flags = args
    .filter(([, about]) => about.type !== "positional")
    .map(([name, about]) => ({ name: `--${name}`, text: about.description ?? "", value: argumentValue(name, about) }));
  const settings = settingFlagsOf(command).map((flag) => ({
    name: `--${flag.name}`,
    text: flag.about.text,
    value: settingValue(flag),
  }));
  return [
    {
      words,
      commands: [],
      flags: [...flags, ...settings, help],
      positional: positional === undefined ? none : argumentValue(...positional),
    },
  ];
}

export function completionEntries(program: Command): readonly CompletionEntry[] {
  return entriesOf(program, []);
}
