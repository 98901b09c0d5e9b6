/** The commands that change a running daemon: `memcgset`, `compactset`, `loglevelset`, `reload`. */
import type { ChangeAnswer } from "../../agent/face.ts";
import { escapeControls } from "../../base/log-line.ts";
import { ask } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn, textOf } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { fieldText } from "../screens/setting-text.ts";
import { plainTerminal } from "../screens/terminal.ts";

export async function memcgset(invocation: Invocation): Promise<number> {
  const body = { ...invocation.overrides.memcg, ...invocation.edits };
  await refuseNothing(body, "memcgset");
  return show(invocation, await ask(invocation, "memcgSet", { body, save: isOn(invocation, "save") }));
}

export async function compactset(invocation: Invocation): Promise<number> {
  const body = { ...invocation.overrides.compact };
  await refuseNothing(body, "compactset");
  return show(invocation, await ask(invocation, "compactSet", { body, save: isOn(invocation, "save") }));
}

export async function loglevelset(invocation: Invocation): Promise<number> {
  const { parseLogLevel } = await import("../../config/change.ts");
  const { formatProblem } = await import("../../config/problems.ts");
  const level = textOf(invocation, "level") ?? "";
  const { problems } = parseLogLevel(level);
  if (problems.length > 0) throw new Failure(exitCodes.usage, problems.map(formatProblem));
  return show(invocation, await ask(invocation, "logLevelSet", { body: { level }, save: isOn(invocation, "save") }));
}

export async function reload(invocation: Invocation): Promise<number> {
  return show(invocation, await ask(invocation, "reload"));
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

function show(invocation: Invocation, answer: ChangeAnswer): number {
  if (isOn(invocation, "json")) {
    writeJson(answer);
    return exitCodes.done;
  }
  const changes = answer.changes.map(
    ({ key, from, to }) => `${escapeControls(key)}: ${fieldText(from)} -> ${fieldText(to)}`,
  );
  const saved = answer.saved === null ? [] : [`saved in ${escapeControls(answer.saved)}`];
  writeLines([...(changes.length > 0 ? changes : ["nothing changed: it is so already"]), ...saved]);
  return exitCodes.done;
}
