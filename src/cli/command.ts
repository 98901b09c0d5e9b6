/** The program as a command: which table of commands its name stands for, and where its results go. */
import { defaultAddress } from "../base/address.ts";
import type { Command } from "./command-types.ts";
import { controlProgram, program, serverProgram } from "./commands.ts";
import { dispatch } from "./dispatch.ts";
import { mayBeTerminal } from "./output.ts";

/** First argument that asks what may follow on a command line: for the shells' completions. */
const completeWord = "complete";

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

export async function command(calledAs: string, argv: readonly string[]): Promise<number> {
  if (argv[0] === completeWord) {
    const { complete } = await import("./completions/complete.ts");
    return complete(programOf(calledAs), argv.slice(1), process.env["MEM_AGENT_ADDR"] ?? defaultAddress);
  }
  // The stream's object is made only for what may be a terminal: a pipe has no size, and making it takes time.
  const stdout = mayBeTerminal() ? process.stdout : {};
  return dispatch(programOf(calledAs), argv, { environment: process.env, stdout });
}
