/** What a command line says that has nothing but flags of settings. */
import { readArguments } from "../../../src/cli/arguments.ts";
import { type Flag, FlagReader, type ParsedFlags } from "../../../src/config/flags.ts";
import { formatProblem } from "../../../src/config/problems.ts";

export function readFlags(
  argv: readonly string[],
  flags: readonly Flag[],
): Omit<ParsedFlags, "problems"> & { readonly problems: readonly string[] } {
  const reader = new FlagReader(flags);
  const { problems } = readArguments({}, argv, reader);
  const parsed = reader.finish();
  return { ...parsed, problems: [...problems, ...parsed.problems.map(formatProblem)] };
}
