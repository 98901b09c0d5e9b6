/**
 * Writes a change into the text of a settings file, with its comments, order and formatting kept.
 *
 * New keys and rules are put in as lines of their own, below the last key of their table: the library would put them
 * right above the next header, between it and the comment that belongs to it. Everything else is the library's work.
 */
import type * as TomlLibrary from "@decimalturn/toml-patch";
import { Fault, messageOf } from "../base/fault.ts";
import { saidValues, type SettingsChange } from "./merge.ts";
import { problemsFault } from "./problems.ts";
import { ruleId, ruleValues } from "./rules.ts";
import { type RulePatch, settingList, type Settings, type SettingsOverrides, type SettingValue } from "./schema.ts";
import { parseConfig } from "./toml.ts";

type Table = Record<string, unknown>;
type Library = typeof TomlLibrary;

/**
 * The file's text with the change in it. Reading it again changes nothing in the daemon that made the change.
 *
 * A rule that the file does not have is written whole, as it is in force: the file would otherwise lose at the next
 * start what a flag or an earlier request had set in it.
 * @param text the file as it is; empty where there is none yet
 * @param change a change that was applied
 * @param settings the settings in force after it
 * @param options.file the file's name, for messages
 * @throws Fault `invalid` when the file has problems, `io` when its form cannot be kept; it stays as it is then
 */
export async function saveIntoToml(
  text: string,
  change: SettingsChange,
  settings: Settings,
  options: { readonly file: string },
): Promise<string> {
  const doing = `save into ${options.file}`;
  const before = await parseConfig(text, options);
  if (before.problems.length > 0) throw problemsFault(doing, before.problems);
  const wanted = wantedFile(before.overrides, change, settings);
  if (sameFile(before.overrides, wanted)) return text;
  const library = await import("@decimalturn/toml-patch");
  for (const write of [writeLines, writePlainly]) {
    try {
      const saved = write(library, text, before.overrides, wanted);
      const after = await parseConfig(saved, options);
      if (after.problems.length === 0 && sameFile(after.overrides, wanted)) return saved;
    } catch (error) {
      if (write === writePlainly) {
        throw new Fault("io", `cannot ${doing}: ${messageOf(error)}; edit the file by hand`, { cause: error });
      }
    }
  }
  throw new Fault("io", `cannot ${doing}: its form cannot be kept; edit the file by hand`);
}

/** What the file is to say. */
function wantedFile(file: SettingsOverrides, change: SettingsChange, settings: Settings): SettingsOverrides {
  const values = new Map([...saidValues(file), ...saidValues(change)]);
  const built: Record<string, Table> = {};
  for (const { section, key, name } of settingList) {
    const value = values.get(name) ?? null;
    if (value !== null) (built[section] ??= {})[key] = value;
  }
  const rules = wantedRules(file, change, settings);
  if (rules.length > 0) (built["memcg"] ??= {})["cgroups"] = rules;
  return built;
}

function wantedRules(file: SettingsOverrides, change: SettingsChange, settings: Settings): RulePatch[] {
  const rules = rulesById(file.memcg?.cgroups ?? []);
  const live = rulesById(settings.memcg.cgroups);
  const { add = [], set = [], del = [] } = change.rules ?? {};
  const whole = new Set([...del, ...add].map(ruleId));
  const named = rulesById(set);
  for (const id of new Set([...whole, ...named.keys()])) {
    const [there, inForce] = [rules.get(id), live.get(id)];
    if (inForce === undefined) rules.delete(id);
    else if (there === undefined || whole.has(id)) rules.set(id, spoken(inForce));
    else rules.set(id, { ...there, ...named.get(id) });
  }
  return [...rules.values()];
}

/** A rule as a person would write it: what is so anyway is left out. */
function spoken({ no_subdir: noSubdir, ...rule }: RulePatch): RulePatch {
  return noSubdir === true ? { ...rule, no_subdir: true } : rule;
}

function rulesById(rules: readonly RulePatch[]): Map<string, RulePatch> {
  return new Map(rules.map((rule) => [ruleId(rule), rule]));
}

function sameFile(one: SettingsOverrides, other: SettingsOverrides): boolean {
  return Bun.deepEquals(comparable(one), comparable(other));
}

type Writer = (library: Library, text: string, before: SettingsOverrides, wanted: SettingsOverrides) => string;

function comparable(file: SettingsOverrides): unknown {
  return [saidValues(file), (file.memcg?.cgroups ?? []).map((rule) => [ruleId(rule), new Map(ruleValues(rule))])];
}

const writePlainly: Writer = (library, text, before, wanted) => {
  const root = library.parse(text) as Table;
  shape(root, before, wanted);
  return library.patch(text, root);
};

const writeLines: Writer = (library, text, before, wanted) =>
  writePlainly(library, withNewLines(library, text, before, wanted), before, wanted);

/** Makes a parsed file say what is wanted; what it says already is not touched, however it is written. */
function shape(root: Table, before: SettingsOverrides, wanted: SettingsOverrides): void {
  const [was, now] = [saidValues(before), saidValues(wanted)];
  for (const { section, key, name } of settingList) {
    const value = now.get(name);
    if (value === was.get(name)) continue;
    const table = (root[section] ??= {}) as Table;
    if (value === undefined) delete table[key];
    else table[key] = value;
  }
  const rules = wanted.memcg?.cgroups ?? [];
  const memcg = (root["memcg"] ?? {}) as Table;
  const there = Array.isArray(memcg["cgroups"]) ? (memcg["cgroups"] as Table[]) : [];
  const old = new Map(
    (before.memcg?.cgroups ?? []).map((rule, index) => [ruleId(rule), { rule, table: there[index] }]),
  );
  if (rules.length > 0) {
    root["memcg"] = memcg;
    memcg["cgroups"] = rules.map((rule) => shapeRule(rule, old.get(ruleId(rule))));
  } else if (there.length > 0) delete memcg["cgroups"];
}

function shapeRule(rule: RulePatch, old: { rule: RulePatch; table: Table | undefined } | undefined): Table {
  if (old?.table === undefined) return tomlOfRule(rule);
  const table: Table = { ...old.table };
  const [was, now] = [new Map(ruleValues(old.rule)), new Map(ruleValues(rule))];
  for (const key of was.keys()) if (!now.has(key)) delete table[key];
  for (const [key, value] of now) if (was.get(key) !== value) table[key] = value;
  return table;
}

function tomlOfRule(rule: RulePatch): Table {
  const nodes = rule.numa_id === undefined ? {} : { numa_id: [...rule.numa_id] };
  return { path: rule.path, ...nodes, ...Object.fromEntries(ruleValues(rule)) };
}

type SyntaxNode = TomlLibrary.TomlDocument["cst"][number];
type SyntaxTable = Extract<SyntaxNode, { items: unknown }>;

/** Lines to put in below a line, counted from 1. */
interface Insertion {
  readonly below: number;
  readonly indent: string;
  readonly toml: string;
}

/** The text with the keys that a table lacks, and the rules that the file lacks. */
function withNewLines(library: Library, text: string, before: SettingsOverrides, wanted: SettingsOverrides): string {
  const lines = text.split("\n");
  const tables = library.parseDocument(text).cst.filter((node): node is SyntaxTable => "items" in node);
  const named = (name: string): SyntaxTable[] => tables.filter((table) => table.key.item.value.join(".") === name);
  const insertions: Insertion[] = [];
  const insert = (table: SyntaxTable, values: Table): void => {
    if (Object.keys(values).length > 0) insertions.push(insertionInto(table, lines, library.stringify(values)));
  };
  for (const section of new Set(settingList.map((setting) => setting.section))) {
    const [table] = named(section);
    if (table !== undefined) insert(table, newValues(section, before, wanted));
  }
  const old = rulesById(before.memcg?.cgroups ?? []);
  const ruleTables = named("memcg.cgroups");
  const rules = rulesById(wanted.memcg?.cgroups ?? []);
  for (const [index, [id, was]] of [...old].entries()) {
    const [table, now] = [ruleTables[index], rules.get(id)];
    if (table !== undefined && now !== undefined) insert(table, newRuleValues(was, now));
  }
  const added = [...rules].filter(([id]) => !old.has(id)).map(([, rule]) => rule);
  const lastTable = ruleTables.at(-1);
  const below = lastTable === undefined ? lines.length : lastLineOf(lastTable);
  if (old.size === ruleTables.length) {
    for (const rule of added) {
      insertions.push({ below, indent: "", toml: `\n[[memcg.cgroups]]\n${library.stringify(tomlOfRule(rule))}` });
    }
  }
  return withInsertions(lines, insertions);
}

function newValues(section: string, before: SettingsOverrides, wanted: SettingsOverrides): Table {
  const [was, now] = [saidValues(before), saidValues(wanted)];
  const lacking = settingList.filter(({ name, ...setting }) => setting.section === section && !was.has(name));
  return Object.fromEntries(lacking.flatMap(({ key, name }) => (now.has(name) ? [[key, now.get(name)]] : [])));
}

function newRuleValues(before: RulePatch, wanted: RulePatch): Table {
  const was = new Map(ruleValues(before));
  return Object.fromEntries(ruleValues(wanted).filter(([key]: [string, SettingValue]) => !was.has(key)));
}

function lastLineOf(table: SyntaxTable): number {
  const rows = table.items.filter((row) => "value" in row);
  return rows.at(-1)?.loc.end.line ?? table.key.loc.end.line;
}

function insertionInto(table: SyntaxTable, lines: readonly string[], toml: string): Insertion {
  const below = lastLineOf(table);
  const row = table.items.find((row) => "value" in row) ?? table;
  const indent = /^[ \t]*/.exec(lines[row.loc.start.line - 1] ?? "")?.[0] ?? "";
  return { below, indent, toml };
}

function withInsertions(lines: readonly string[], insertions: readonly Insertion[]): string {
  const end = lines[0]?.endsWith("\r") === true ? "\r" : "";
  const result = lines.flatMap((line, index) => {
    const here = insertions.filter((insertion) => insertion.below === index + 1);
    const inserted = here.flatMap(({ indent, toml }) =>
      toml
        .trimEnd()
        .split("\n")
        .map((added) => (added === "" ? end : `${indent}${added}${end}`)),
    );
    return [line, ...inserted];
  });
  return result.join("\n");
}
