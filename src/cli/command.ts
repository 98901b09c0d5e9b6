/** The program as a command: which table of commands its name stands for, and where its results go. */
import type { Command } from "./command-types.ts";
import { controlProgram, program, serverProgram } from "./commands.ts";
import { dispatch } from "./dispatch.ts";
import { mayBeTerminal } from "./output.ts";

/** The tables by the name that the program is called by, so that links to it are programs of their own. */
const programs: Readonly<Record<string, Command>> = {
  "mem-agent-srv": serverProgram,
  "mem-agent-ctl": controlProgram,
};

/** @param calledAs the first word of the command line, with or without a directory */
export function programOf(calledAs: string): Command {
  const name = calledAs.slice(calledAs.lastIndexOf("/") + 1);
  return programs[name] ?? program;
}

export function command(calledAs: string, argv: readonly string[]): Promise<number> {
  // The stream's object is made only for what may be a terminal: a pipe has no size, and making it takes time.
  const stdout = mayBeTerminal() ? process.stdout : {};
  return dispatch(programOf(calledAs), argv, { environment: process.env, stdout });
}
