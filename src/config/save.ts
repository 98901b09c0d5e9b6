/**
 * Writes a change into the text of a settings file, with its comments, order and formatting kept.
 *
 * New keys and rules are put in as lines of their own, below the last key of their table, and rules that go are taken
 * out by their lines: the library takes a comment above a header for a part of the table before it. Everything else is
 * the library's work.
 */
import type * as TomlLibrary from "@decimalturn/toml-patch";
import { Fault, messageOf } from "../base/fault.ts";
import { saidValues, type SettingsChange } from "./merge.ts";
import { problemsFault } from "./problems.ts";
import { ruleId, ruleValues } from "./rules.ts";
import {
  type RulePatch,
  sameValue,
  type SectionName,
  sectionNames,
  settingList,
  type Settings,
  settingsOf,
  type SettingsOverrides,
} from "./schema.ts";
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
      const saved = await write(library, text, before.overrides, wanted);
      const after = await parseConfig(saved, options);
      if (after.problems.length === 0 && sameFile(after.overrides, wanted)) return saved;
    } catch (error) {
      if (write === writePlainly) {
        throw new Fault("io", `cannot ${doing}: ${messageOf(error)}; edit the file by hand`, { cause: error });
      }
    }
  }
  throw new Fault("io", `cannot ${doing}: its formatting cannot be kept; edit the file by hand`);
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

type Writer = (
  library: Library,
  text: string,
  before: SettingsOverrides,
  wanted: SettingsOverrides,
) => string | Promise<string>;

function comparable(file: SettingsOverrides): unknown {
  return [saidValues(file), (file.memcg?.cgroups ?? []).map((rule) => [ruleId(rule), new Map(ruleValues(rule))])];
}

const writePlainly: Writer = (library, text, before, wanted) => {
  const root = library.parse(text) as Table;
  shape(root, before, wanted);
  return library.patch(text, root);
};

const writeLines: Writer = async (library, text, before, wanted) => {
  const edited = withLinesEdited(library, text, before, wanted);
  const { overrides } = await parseConfig(edited, { file: "" });
  return writePlainly(library, edited, overrides, wanted);
};

/** Makes a parsed file say what is wanted; what it says already is not touched, however it is written. */
function shape(root: Table, before: SettingsOverrides, wanted: SettingsOverrides): void {
  const [was, now] = [saidValues(before), saidValues(wanted)];
  for (const { section, key, name } of settingList) {
    const value = now.get(name);
    if (sameValue(value, was.get(name))) continue;
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

/**
 * The text with the keys, sections and rules that it lacks, and without the rules that go. A section that is written as
 * an inline table or by dotted keys is left to the library.
 */
function withLinesEdited(library: Library, text: string, before: SettingsOverrides, wanted: SettingsOverrides): string {
  const lines = text.split(/(?<=\n)/);
  const nodes = library.parseDocument(text).cst;
  const tables = nodes.filter((node): node is SyntaxTable => "items" in node);
  const named = (name: string): SyntaxTable[] => tables.filter((table) => table.key.item.value.join(".") === name);
  const rootKeys = new Set<string | undefined>(nodes.map((node) => ("value" in node ? node.key.value[0] : undefined)));
  const insertions: Insertion[] = [];
  for (const section of sectionNames) {
    const values = newValues(section, before, wanted);
    const [table] = named(section);
    if (Object.keys(values).length === 0 || rootKeys.has(section)) continue;
    const toml = library.stringify(values);
    if (table !== undefined) insertions.push(insertionInto(table, lines, toml));
    else insertions.push({ below: lines.length, indent: "", toml: `\n[${section}]\n${toml}` });
  }
  const ruleTables = named("memcg.cgroups");
  const rulesThere = before.memcg?.cgroups ?? [];
  const dropped = new Set<number>();
  if (!rootKeys.has("memcg") && ruleTables.length === rulesThere.length) {
    const placed = rulesThere.map((rule, index): PlacedRule => ({ rule, table: ruleTables[index] as SyntaxTable }));
    const rules = rulesById(wanted.memcg?.cgroups ?? []);
    insertions.push(...ruleInsertions(library, lines, placed, rules));
    for (const { rule, table } of placed) if (!rules.has(ruleId(rule))) dropTable(lines, table, dropped);
  }
  return withLines(lines, insertions, dropped);
}

interface PlacedRule {
  readonly rule: RulePatch;
  readonly table: SyntaxTable;
}

function ruleInsertions(
  library: Library,
  lines: readonly string[],
  placed: readonly PlacedRule[],
  wanted: ReadonlyMap<string, RulePatch>,
): Insertion[] {
  const insertions: Insertion[] = [];
  const added = new Map(wanted);
  let below = lines.length;
  for (const { rule, table } of placed) {
    const now = added.get(ruleId(rule));
    if (now === undefined) continue;
    added.delete(ruleId(rule));
    below = lastLineOf(table);
    const values = newRuleValues(rule, now);
    if (Object.keys(values).length > 0) insertions.push(insertionInto(table, lines, library.stringify(values)));
  }
  const blocks = [...added.values()].map((rule) => `\n[[memcg.cgroups]]\n${library.stringify(tomlOfRule(rule))}`);
  return [...insertions, ...blocks.map((toml) => ({ below, indent: "", toml }))];
}

/** Marks a table's lines, the comment right above it, and the blank lines that would be left over. */
function dropTable(lines: readonly string[], table: SyntaxTable, dropped: Set<number>): void {
  const isBlank = (line: number): boolean => lines[line - 1]?.trim() === "";
  let first = table.key.loc.start.line;
  while (first > 1 && lines[first - 2]?.trimStart().startsWith("#") === true) first--;
  let last = lastLineOf(table);
  if (first === 1 || isBlank(first - 1)) while (isBlank(last + 1)) last++;
  for (let line = first; line <= last; line++) dropped.add(line);
}

function newValues(section: SectionName, before: SettingsOverrides, wanted: SettingsOverrides): Table {
  const [was, now] = [saidValues(before), saidValues(wanted)];
  const lacking = settingsOf(section).filter(({ name }) => now.has(name) && !was.has(name));
  return Object.fromEntries(lacking.map(({ key, name }) => [key, now.get(name)]));
}

function newRuleValues(before: RulePatch, wanted: RulePatch): Table {
  const was = new Map(ruleValues(before));
  return Object.fromEntries(ruleValues(wanted).filter(([key]) => !was.has(key)));
}

function lastLineOf(table: SyntaxTable): number {
  const rows = table.items.filter((row) => "value" in row);
  return rows.at(-1)?.loc.end.line ?? table.key.loc.end.line;
}

function insertionInto(table: SyntaxTable, lines: readonly string[], toml: string): Insertion {
  const row = table.items.find((item) => "value" in item) ?? table;
  const indent = /^[ \t]*/.exec(lines[row.loc.start.line - 1] ?? "")?.[0] ?? "";
  return { below: lastLineOf(table), indent, toml };
}

/** @param lines with their line breaks, whose kind the new ones take over */
function withLines(lines: readonly string[], insertions: readonly Insertion[], dropped: ReadonlySet<number>): string {
  const lineBreak = lines[0]?.endsWith("\r\n") === true ? "\r\n" : "\n";
  let result = "";
  for (const [index, line] of lines.entries()) {
    if (!dropped.has(index + 1)) result += line;
    for (const { indent, toml } of insertions.filter(({ below }) => below === index + 1)) {
      if (result !== "" && !result.endsWith("\n")) result += lineBreak;
      const added = result === "" ? toml.trim() : toml.trimEnd();
      for (const content of added.split("\n")) result += `${content === "" ? "" : indent}${content}${lineBreak}`;
    }
  }
  return result;
}
