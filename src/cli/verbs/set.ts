/** The commands that change a running daemon: `memcgset`, `compactset`, `loglevelset`, `reload`. */
import type { ChangeAnswer } from "../../agent/control.ts";
import type { CallOptions } from "../../api/client.ts";
import { ask } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn, listOf, textOf } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { changeLines } from "../screens/setting-text.ts";
import { plainTerminal } from "../screens/terminal.ts";

export async function memcgset(invocation: Invocation): Promise<number> {
  const body = { ...invocation.overrides.memcg, ...invocation.edits };
  await refuseNothing(body, "memcgset");
  return change(invocation, "memcgSet", { body, save: isOn(invocation, "save") });
}

export async function compactset(invocation: Invocation): Promise<number> {
  const body = { ...invocation.overrides.compact };
  await refuseNothing(body, "compactset");
  return change(invocation, "compactSet", { body, save: isOn(invocation, "save") });
}

export async function loglevelset(invocation: Invocation): Promise<number> {
  const { parseLogLevel } = await import("../../config/change.ts");
  const { formatProblem } = await import("../../config/problems.ts");
  const level = textOf(invocation, "level") ?? "";
  const { problems } = parseLogLevel(level);
  if (problems.length > 0) throw new Failure(exitCodes.usage, problems.map(formatProblem));
  return change(invocation, "logLevelSet", { body: { level }, save: isOn(invocation, "save") });
}

export async function reload(invocation: Invocation): Promise<number> {
  return change(invocation, "reload", {});
}

/** A command that would change nothing is a mistake: it says what it could change. */
async function refuseNothing(body: object, verb: "memcgset" | "compactset"): Promise<void> {
  if (Object.keys(body).length > 0) return;
  const { compactsetFlags, memcgsetFlags } = await import("../../config/flags.ts");
  const { flagHelp } = await import("../../config/docs.ts");
  const { entryLines } = await import("../help.ts");
  const flags = flagHelp(verb === "memcgset" ? memcgsetFlags : compactsetFlags);
  const entries = flags.map(({ usage, text }) => ({ name: usage, text }));
  const problem = "nothing to set: name at least one of these flags";
  throw new Failure(exitCodes.usage, [problem], entryLines(entries, plainTerminal));
}

type Change = "memcgSet" | "compactSet" | "logLevelSet" | "reload";

async function change<Name extends Change>(
  invocation: Invocation,
  name: Name,
  options: Pick<CallOptions<Name>, "body" | "save">,
): Promise<number> {
  const words = listOf(invocation, "addr");
  if (words.length > 1 || words.some((word) => word.includes("*"))) {
    const { changeAll } = await import("../fleet/change-all.ts");
    return changeAll(invocation, words, name, options);
  }
  const answer = await ask(invocation, name, options);
  if (isOn(invocation, "json")) writeJson(answer);
  else writeLines(changeLines(answer as ChangeAnswer));
  return exitCodes.done;
}
