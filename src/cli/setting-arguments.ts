/** The flags of settings: their part of a command line, and of its help and completions. */
import { compactsetFlags, type Flag, FlagReader, memcgsetFlags, serveFlags } from "../config/flags.ts";
import { formatProblem } from "../config/problems.ts";
import { readArguments } from "./arguments.ts";
import type { LeafCommand, SettingFlags } from "./command-types.ts";
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
): Pick<Invocation, "args" | "overrides" | "edits"> {
  const settings = new FlagReader(settingFlagsOf(command));
  const { values, problems } = readArguments(command.args, argv, settings);
  const parsed = settings.finish();
  const all = [...problems, ...parsed.problems.map(formatProblem)];
  if (all.length > 0) throw new Failure(exitCodes.usage, all);
  return { args: values, overrides: parsed.overrides, edits: parsed.edits };
}
