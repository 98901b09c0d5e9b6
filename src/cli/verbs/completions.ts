/** `completions`: scripts for the shells, from the command table. */
import type { Command } from "../command-types.ts";
import { exitCodes } from "../failure.ts";
import { writeOut } from "../output.ts";
import { completionEntries } from "../completion-entries.ts";
import { bashCompletions, fishCompletions, zshCompletions } from "../completion-scripts.ts";

export function completionsBash(program: Command): number {
  writeOut(bashCompletions(completionEntries(program)));
  return exitCodes.done;
}

export function completionsZsh(program: Command): number {
  writeOut(zshCompletions(completionEntries(program)));
  return exitCodes.done;
}

export function completionsFish(program: Command): number {
  writeOut(fishCompletions(completionEntries(program)));
  return exitCodes.done;
}
