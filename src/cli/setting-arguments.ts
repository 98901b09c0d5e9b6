/** The flags of settings: their part of a command line, and of its help and completions. */
import { compactsetFlags, type Flag, FlagReader, memcgsetFlags, serveFlags } from "../config/flags.ts";
import { formatProblem } from "../config/problems.ts";
import { readArguments } from "./arguments.ts";
import { type Command, isGroup, type LeafCommand, type SettingFlags } from "./command-types.ts";
import { exitCodes, Failure } from "./failure.ts";
import type { Invocation } from "./invocation.ts";

const flagTables: Readonly<Record<SettingFlags, readonly Flag[]>> = {
  serve: serveFlags,
  memcgset: memcgsetFlags,
  compactset: compactsetFlags,
};

export function settingFlagsOf(command: LeafCommand): readonly Flag[] {
  return command.settingFlags === null ? [] : flagTables[command.settingFlags];
}

/**
 * What the command line says to a command that takes settings.
 * @throws Failure `usage` with every problem
 */
export function readWithSettings(
  command: LeafCommand,
  argv: readonly string[],
  program: Command,
): Pick<Invocation, "args" | "overrides" | "edits"> {
  const settings = new FlagReader(settingFlagsOf(command));
  const { values, problems, unknownFlags } = readArguments(command.args, argv, settings);
  const parsed = settings.finish();
  const all = [...problems, ...parsed.problems.map(formatProblem), ...homesOf(program, unknownFlags)];
  if (all.length > 0) throw new Failure(exitCodes.usage, all);
  return { args: values, overrides: parsed.overrides, edits: parsed.edits };
}

/** Which commands these flags belong to, a sentence for each that belongs to any: `--compact-order is a flag of …`. */
export function homesOf(program: Command, flags: readonly string[]): string[] {
  const leaves = leavesOf(program, "");
  return flags.flatMap((flag) => {
    const homes = leaves.filter(({ command }) => flagsOf(command).includes(flag)).map(({ words }) => words);
    // What most commands have is no hint.
    return homes.length === 0 || homes.length > homesMax ? [] : [`${flag} is a flag of ${homes.join(", ")}`];
  });
}

const homesMax = 4;

function leavesOf(command: Command, words: string): { readonly command: LeafCommand; readonly words: string }[] {
  if (!isGroup(command)) return [{ command, words }];
  return Object.values(command.subCommands).flatMap((below) => leavesOf(below, `${words} ${below.meta.name}`.trim()));
}

function flagsOf(command: LeafCommand): string[] {
  const own = Object.entries(command.args).flatMap(([name, about]) => (about.type === "positional" ? [] : [name]));
  return [...own, ...settingFlagsOf(command).map(({ name }) => name)].map((name) => `--${name}`);
}
