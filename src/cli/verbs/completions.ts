/** `completions`: a stub for each shell, which asks the program what may follow. */
import { exitCodes } from "../failure.ts";
import { writeOut } from "../output.ts";
import bash from "../completions/bash.sh" with { type: "text" };
import fish from "../completions/fish.sh" with { type: "text" };
import zsh from "../completions/zsh.sh" with { type: "text" };

export function completionsBash(): number {
  writeOut(bash);
  return exitCodes.done;
}

export function completionsZsh(): number {
  writeOut(zsh);
  return exitCodes.done;
}

export function completionsFish(): number {
  writeOut(fish);
  return exitCodes.done;
}
