/**
 * The parts of README.md that are made from the source: tables of settings, commands, routes and metrics, and the types
 * behind the JSON.
 *
 *     bun tests/support/readme.ts          rewrites what stands between the markers
 *
 * A part stands between `<!-- generated: name -->` and `<!-- end: name -->`.
 */
import type { ArgDef } from "citty";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { metricsTable } from "../../src/api/metrics.ts";
import { routesTable } from "../../src/api/routes.ts";
import { type Command, isGroup, type LeafCommand } from "../../src/cli/command-types.ts";
import { program } from "../../src/cli/commands.ts";
import { exitCodes } from "../../src/cli/failure.ts";
import { settingFlagsOf } from "../../src/cli/setting-arguments.ts";
import { settingsReference } from "../../src/config/docs.ts";
import { startSettings } from "../../src/config/merge.ts";
import { compileRules, ruleId } from "../../src/config/rules.ts";
import { parseQuickly } from "../../src/config/toml.ts";
import { compactDecisionTexts, compactEndTexts } from "../../src/core/compaction.ts";
import { endReasonTexts } from "../../src/core/reason.ts";
import { choices, choiceTable, simulateChoice } from "./simulation/choices.ts";
import { simulateWeek, weekTable } from "./simulation/week.ts";

const root = join(import.meta.dir, "../..");
export const readmePath = join(root, "README.md");

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
  if (about.type === "positional") return about.required === true ? name.toUpperCase() : `[${name.toUpperCase()}]`;
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

/** The declarations of a module as they stand in the source, without what only the compiler needs. */
function declarations(path: string, wanted: RegExp): string {
  const source = readFileSync(join(root, path), "utf8");
  const blocks = source.trimEnd().split(/\n{2,}/);
  const chosen = blocks.filter((block) => wanted.test(/^export (?:interface|type) (\w+)/m.exec(block)?.[1] ?? ""));
  const plain = chosen.map((block) => block.replaceAll(/\breadonly /g, "").replaceAll(/^export /gm, ""));
  return `\`\`\`ts\n${plain.join("\n\n")}\n\`\`\``;
}

/** Every part by the name in its markers. */
export const parts: Readonly<Record<string, () => string>> = {
  settings: settingsReference,
  commands: commandsTable,
  "exit codes": exitCodesTable,
  "rules example": rulesExample,
  routes: routesTable,
  metrics: metricsTable,
  "end reasons": () => textsTable("reason", endReasonTexts),
  "compact decisions": () => textsTable("decision", compactDecisionTexts),
  "compact ends": () => textsTable("end", compactEndTexts),
  "status json": () => declarations("src/agent/status.ts", /^\w+$/),
  "event json": () => declarations("src/agent/events.ts", /^AgentEvent$/),
  simulation: () => weekTable(simulateWeek()),
  choices: () => choiceTable(choices.map(simulateChoice)),
};

/**
 * The text with every part made anew.
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

if (import.meta.main) writeFileSync(readmePath, withParts(readFileSync(readmePath, "utf8")));
