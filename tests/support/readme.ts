/**
 * The parts of README.md and of the manual that are made from the source: tables of settings, commands, routes and
 * metrics, and of the objects behind the JSON.
 *
 *     bun tests/support/readme.ts          rewrites the text between the markers
 *
 * A part is between `<!-- generated: name -->` and `<!-- end: name -->`.
 */
import type { ArgDef } from "citty";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { metricsTable } from "../../src/api/metrics.ts";
import { routesTable } from "../../src/api/routes.ts";
import { isList } from "../../src/cli/arguments.ts";
import { type Command, isGroup, type LeafCommand } from "../../src/cli/command-types.ts";
import { program } from "../../src/cli/commands.ts";
import { exitCodes } from "../../src/cli/failure.ts";
import { settingFlagsOf } from "../../src/cli/setting-arguments.ts";
import { settingsReference } from "../../src/config/docs.ts";
import { startSettings } from "../../src/config/merge.ts";
import { compileRules, ruleId } from "../../src/config/rules.ts";
import { parseQuickly } from "../../src/config/toml.ts";
import { compactDecisionTexts, compactEndTexts } from "../../src/core/compaction.ts";
import { endedEndTexts } from "../../src/core/ended.ts";
import { endReasonTexts } from "../../src/core/reason.ts";
import { choices, choiceTable, simulateChoice } from "./simulation/choices.ts";
import { firstHourTable, weekOfNine, weekOfOthers } from "./simulation/weeks.ts";

const root = join(import.meta.dir, "../..");

export interface Document {
  /** From the project's root: `README.md`, `src/manual/rules.md`. */
  readonly path: string;
  readonly text: string;
}

/** README and every page of the manual. */
export function documents(): readonly Document[] {
  const pages = readdirSync(join(root, "src/manual")).filter((name) => name.endsWith(".md"));
  return ["README.md", ...pages.toSorted().map((name) => `src/manual/${name}`)].map((path) => ({
    path,
    text: readFileSync(join(root, path), "utf8"),
  }));
}

/** A verb with the words that call it, `config check`. */
export interface NamedCommand {
  readonly name: string;
  readonly command: LeafCommand;
}

/** Every verb of the command table, those of groups too. */
export function leafCommands(group: Command = program, prefix = ""): readonly NamedCommand[] {
  if (!isGroup(group)) return [{ name: prefix, command: group }];
  return Object.entries(group.subCommands).flatMap(([name, command]) =>
    leafCommands(command, prefix === "" ? name : `${prefix} ${name}`),
  );
}

function argumentText(name: string, about: ArgDef): string {
  const several = isList(about) ? "…" : "";
  if (about.type === "positional") {
    const placeholder = `${name.toUpperCase()}${several}`;
    return about.required === true ? placeholder : `[${placeholder}]`;
  }
  if (about.type === "boolean") return `\`--${name}\``;
  const value = about.type === "enum" ? (about.options ?? []).join("\\|") : (about.valueHint ?? "VALUE");
  return `\`--${name}\` ${value}`;
}

function commandsTable(): string {
  const rows = leafCommands().map(({ name, command }) => {
    const own = Object.entries(command.args).map(([argument, about]) => argumentText(argument, about));
    const prefixes = [...new Set(settingFlagsOf(command).map((flag) => flag.name.split("-")[0] ?? ""))];
    const settings = prefixes.length > 1 ? ["a flag for each setting"] : prefixes.map((prefix) => `\`--${prefix}-…\``);
    return `| \`${name}\` | ${command.meta.description.replaceAll("|", "\\|")} | ${[...own, ...settings].join(", ")} |`;
  });
  return ["| command | does | arguments |", "|---|---|---|", ...rows].join("\n");
}

function textsTable(head: string, texts: Readonly<Record<string, string>>): string {
  const rows = Object.entries(texts).map(([word, text]) => `| \`${word}\` | ${text} |`);
  return [`| ${head} | meaning |`, "|---|---|", ...rows].join("\n");
}

const exitTexts: Readonly<Record<keyof typeof exitCodes, string>> = {
  done: "done",
  failed: "failed, or `doctor` found a failure, or `config check` a problem",
  usage: "wrong usage: an unknown command or flag, a bad value",
  noDaemon: "no daemon answers there",
  refused: "the daemon refused",
};

function exitCodesTable(): string {
  const names = Object.keys(exitTexts) as (keyof typeof exitCodes)[];
  return [
    "| exit code | meaning |",
    "|---|---|",
    ...names.map((name) => `| ${exitCodes[name]} | ${exitTexts[name]} |`),
  ].join("\n");
}

const rulesToml = `[memcg]
period_secs = 600

[[memcg.cgroups]]
path = "/system.slice"
period_secs = 300

[[memcg.cgroups]]
path = "/system.slice/*.service"
swap = true

[[memcg.cgroups]]
path = "/system.slice/database.service"
disabled = true

[[memcg.cgroups]]
path = "/system.slice/database.service"
numa_id = [1]
period_secs = 1800

[[memcg.cgroups]]
path = "/machine.slice"
no_subdir = true
period_secs = 60
`;

const rulesExampleTargets: readonly (readonly [path: string, node: number, why: string])[] = [
  ["/init.scope", 0, "no rule names it"],
  ["/system.slice", 0, "its own path"],
  ["/system.slice/system-getty.slice", 0, "its parent's path; the glob wants names that end in .service"],
  [
    "/system.slice/web.service",
    0,
    "the glob names it itself, the parent's rule is farther; so the period is the base's",
  ],
  ["/system.slice/web.service/worker", 0, "the glob names its parent"],
  ["/system.slice/database.service", 0, "an exact path before a glob"],
  ["/system.slice/database.service", 1, "the rule that names the node; it does not say disabled"],
  ["/machine.slice", 0, "its own path"],
  ["/machine.slice/vm1.scope", 0, "no_subdir: that rule does not reach it"],
];

/** A file with rules, and what the real lookup makes of it. */
function rulesExample(): string {
  const said = parseQuickly(rulesToml);
  if (said === null) throw new Error("the example of rules does not pass the check");
  const { settings } = startSettings({ file: said });
  const rules = compileRules(settings.memcg);
  const rows = rulesExampleTargets.map(([path, node, why]) => {
    const { settings: found, rule } = rules.lookup(path, node);
    const state = found.disabled ? "disabled" : `every ${found.period_secs} s${found.swap ? ", with swap" : ""}`;
    return `| \`${path}\` | ${node} | ${rule === null ? "none" : `\`${ruleId(rule)}\``} | ${state} | ${why} |`;
  });
  const head = ["| cgroup | node | rule | in force | since |", "|---|---|---|---|---|"];
  return [`\`\`\`toml\n${rulesToml}\`\`\``, "", ...head, ...rows].join("\n");
}

interface Field {
  readonly name: string;
  readonly type: string;
  readonly about: string;
}

/** Fields of an object type, those of objects within it under its name: `config.file`. */
function fieldsOf(body: string): readonly Field[] {
  const fields: Field[] = [];
  const around: { name: string; about: string; at: number }[] = [];
  let about = "";
  for (const line of body.split("\n").map((text) => text.trim().replaceAll(/\breadonly /g, ""))) {
    const [, comment] = /^\/\*\* (.*) \*\/$/.exec(line) ?? [];
    const [, name = "", type = ""] = /^(\w+): (.*?);?$/.exec(line) ?? [];
    if (comment !== undefined) {
      about = comment;
    } else if (line.startsWith("}")) {
      const closed = around.pop();
      if (closed === undefined) continue;
      const list = line.startsWith("}[]") ? "a list of objects" : "object";
      const rest = line.includes("| null") ? " or null" : "";
      fields.splice(closed.at, 0, { name: closed.name, type: list + rest, about: closed.about });
    } else if (name !== "") {
      const path = [...around.map((outer) => outer.name).slice(-1), name].join(".");
      if (type === "{") around.push({ name: path, about, at: fields.length });
      else fields.push({ name: path, type: typeText(type), about });
      about = "";
    }
  }
  return fields;
}

/** A type in words that need no TypeScript. */
function typeText(type: string): string {
  return type
    .replaceAll(/Readonly<Record<(\w+), number>>/g, "a number for each $1")
    .replaceAll(/\{ (.*?) \}\[\]/g, "a list of objects with $1")
    .replaceAll(/\{ (.*?) \}/g, "an object with $1")
    .replaceAll(/(\w+)\[\]/g, "a list of $1")
    .replaceAll("; ", ", ")
    .replaceAll(" | ", " or ");
}

function fieldTable(fields: readonly Field[]): string {
  const rows = fields.map(({ name, type, about }) => `| \`${name}\` | ${type} | ${about.replaceAll("|", "\\|")} |`);
  return ["| field | type | meaning |", "|---|---|---|", ...rows].join("\n");
}

/** The exported object types of a module, a table for each. */
function objectTables(path: string): string {
  const source = readFileSync(join(root, path), "utf8");
  const objects = source.matchAll(/(?:^\/\*\* (.*) \*\/\n)?^export interface (\w+) \{\n([^]*?)^\}/gm);
  const parts = [...objects].map(([, about, name = "", body = ""]) =>
    [`### ${name}`, ...(about === undefined ? [] : [about]), fieldTable(fieldsOf(body))].join("\n\n"),
  );
  const words = source.matchAll(/^export type (\w+) = ((?:"\w+"(?: \| )?)+);/gm);
  const rows = [...words].map(
    ([, name, choice = ""]) => `\`${name}\` is ${choice.replaceAll('"', "`").replaceAll(" | ", " or ")}.`,
  );
  return [...parts, ...rows].join("\n\n");
}

/** Every event with its fields. */
function eventTables(): string {
  const source = readFileSync(join(root, "src/agent/events.ts"), "utf8");
  const union = /^export type AgentEvent =\n([^]*?);\n\n/m.exec(source)?.[1] ?? "";
  const rows = union
    .split(/^ {2}\| /m)
    .slice(1)
    .map((member) => {
      const fields = fieldsOf(
        member
          .replace(/^\{/, "")
          .replace(/\}\s*$/, "")
          .replaceAll("; ", ";\n"),
      );
      const [first, ...others] = fields;
      const texts = others.map(
        ({ name, type, about }) => `\`${name}\` (${type})${about === "" ? "" : `: ${about.replace(/\.$/, "")}`}`,
      );
      return `| ${first?.type.replaceAll('"', "`") ?? ""} | ${texts.join("; ")} |`;
    });
  return ["| event | fields |", "|---|---|", ...rows].join("\n");
}

/** Every part by the name in its markers. */
export const parts: Readonly<Record<string, () => string>> = {
  settings: settingsReference,
  commands: commandsTable,
  "exit codes": exitCodesTable,
  "rules example": rulesExample,
  routes: routesTable,
  metrics: metricsTable,
  "ended ends": () => textsTable("end", endedEndTexts),
  "end reasons": () => textsTable("reason", endReasonTexts),
  "compact decisions": () => textsTable("decision", compactDecisionTexts),
  "compact ends": () => textsTable("end", compactEndTexts),
  "status json": () => objectTables("src/agent/status.ts"),
  "fleet json": () => objectTables("src/cli/fleet/rows.ts"),
  "event json": eventTables,
  simulation: weekOfNine,
  "simulation of others": weekOfOthers,
  "first hour": firstHourTable,
  choices: () => choiceTable(choices.map(simulateChoice)),
};

/**
 * The text with every part made again.
 *
 * @throws Error for a marker without its end, and for a name that no part has
 */
export function withParts(text: string): string {
  return text.replaceAll(/<!-- generated: (.+?) -->\n[^]*?<!-- end: (.+?) -->/g, (_, name: string, end: string) => {
    const make = Object.hasOwn(parts, name) ? parts[name] : undefined;
    if (make === undefined) throw new Error(`cannot make "${name}": there are ${Object.keys(parts).join(", ")}`);
    if (end !== name) throw new Error(`cannot make "${name}": its end is missing, "${end}" comes first`);
    return `<!-- generated: ${name} -->\n\n${make().trim()}\n\n<!-- end: ${name} -->`;
  });
}

if (import.meta.main) for (const { path, text } of documents()) writeFileSync(join(root, path), withParts(text));
