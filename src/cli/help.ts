/** Help of a command, from its definition. */
import type { ArgDef, ArgsDef } from "citty";
import { isList } from "./arguments.ts";
import { type Command, isGroup, type LeafCommand } from "./command-types.ts";
import { heading } from "./screens/screen.ts";
import { paint, type Terminal } from "./screens/terminal.ts";
import { padText, textWidth, wrapText } from "./screens/text.ts";

export interface Entry {
  readonly name: string;
  readonly text: string;
}

/** Longer names get a line of their own, so that the texts keep room. */
const nameColumnsMax = 28;
const textColumnsMin = 30;

/** Names and what they mean, in two columns. */
export function entryLines(entries: readonly Entry[], terminal: Terminal): string[] {
  const widths = entries.map(({ name }) => textWidth(name)).filter((width) => width <= nameColumnsMax);
  const nameColumns = Math.max(0, ...widths);
  const textColumns = Math.max(textColumnsMin, (terminal.columns ?? 100) - nameColumns - 4);
  return entries.flatMap(({ name, text }) => {
    const painted = paint(terminal, "cyan", name);
    const lines = wrapText(text, textColumns);
    const indented = (line: string): string => `  ${" ".repeat(nameColumns)}  ${line}`;
    if (textWidth(name) > nameColumns) return [`  ${painted}`, ...lines.map(indented)];
    const [first = "", ...more] = lines;
    const gap = padText(name, nameColumns, "left").slice(name.length);
    return [`  ${painted}${gap}  ${first}`.trimEnd(), ...more.map(indented)];
  });
}

function argumentEntry(name: string, about: ArgDef): Entry {
  if (about.type === "positional") return { name: placeholder(name, about), text: about.description ?? "" };
  if (about.type === "boolean") return { name: `--${name}`, text: about.description ?? "" };
  const value = about.type === "enum" ? (about.options ?? []).join("|") : (about.valueHint ?? "VALUE");
  return { name: `--${name} ${value}`, text: about.description ?? "" };
}

function placeholder(name: string, about: ArgDef): string {
  return `${name.toUpperCase()}${isList(about) ? "…" : ""}`;
}

/** The command with placeholders for its arguments: `mem-agent loglevelset [flags] LEVEL`. */
export function usageOf(command: LeafCommand, path: string): string {
  const positionals = Object.entries(command.args).flatMap(([name, about]) => {
    if (about.type !== "positional") return [];
    return [about.required === true ? placeholder(name, about) : `[${placeholder(name, about)}]`];
  });
  const flags = Object.keys(command.args).length > positionals.length || command.settingFlags !== null;
  return [path, ...(flags ? ["[flags]"] : []), ...positionals].join(" ");
}

function section(title: string, entries: readonly Entry[], terminal: Terminal): string[] {
  return entries.length === 0 ? [] : ["", heading(terminal, title), ...entryLines(entries, terminal)];
}

/** What help says of a command's positional arguments, or of its flags. */
export function argumentEntries(args: ArgsDef, positional: boolean): Entry[] {
  return Object.entries(args)
    .filter(([, about]) => (about.type === "positional") === positional)
    .map(([name, about]) => argumentEntry(name, about));
}

async function settingEntries(command: LeafCommand): Promise<readonly Entry[]> {
  if (command.settingFlags === null) return [];
  const [{ settingFlagsOf }, { flagHelp }] = await Promise.all([
    import("./setting-arguments.ts"),
    import("../config/docs.ts"),
  ]);
  return flagHelp(settingFlagsOf(command)).map(({ usage, text }) => ({ name: usage, text }));
}

async function wordSections(command: LeafCommand, terminal: Terminal): Promise<string[]> {
  if (command.words === null) return [];
  return Object.entries(await command.words()).flatMap(([title, words]) => {
    const entries = Object.entries(words).map(([name, text]) => ({ name, text }));
    return section(title, entries, terminal);
  });
}

/** The lines of `--help`. */
export async function renderHelp(command: Command, path: string, terminal: Terminal): Promise<string[]> {
  const { description } = command.meta;
  const help: Entry = { name: "-h, --help", text: "this text" };
  if (isGroup(command)) {
    const commands = Object.values(command.subCommands).map(({ meta }) => ({
      name: meta.name,
      text: meta.description,
    }));
    const flags = command.meta.version === undefined ? [help] : [help, { name: "-v, --version", text: "the version" }];
    return [
      `${path}: ${description}`,
      "",
      `${heading(terminal, "Usage")}  ${path} COMMAND [flags]`,
      ...section("Commands", commands, terminal),
      ...section("Flags", flags, terminal),
      "",
      `${path} COMMAND --help says more about a command.`,
    ];
  }
  return [
    `${path}: ${description}`,
    "",
    `${heading(terminal, "Usage")}  ${usageOf(command, path)}`,
    ...section("Arguments", argumentEntries(command.args, true), terminal),
    ...section("Flags", [...argumentEntries(command.args, false), help], terminal),
    ...section("Settings", await settingEntries(command), terminal),
    ...(await wordSections(command, terminal)),
  ];
}
