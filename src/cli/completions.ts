/** `completions`: scripts for the shells, from the command table. */
import { exitCodes } from "./failure.ts";
import { writeOut } from "./output.ts";
import { completionEntries } from "./completion-entries.ts";
import { bashCompletions, fishCompletions, zshCompletions } from "./completion-scripts.ts";

export function completionsBash(): number {
  writeOut(bashCompletions(completionEntries()));
  return exitCodes.done;
}

export function completionsZsh(): number {
  writeOut(zshCompletions(completionEntries()));
  return exitCodes.done;
}

export function completionsFish(): number {
  writeOut(fishCompletions(completionEntries()));
  return exitCodes.done;
}
