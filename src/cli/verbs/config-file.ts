/** `config check`, `config default`, `config schema`: what can be said of the file without a daemon. */
import { readConfigText } from "../../agent/daemon/config-read.ts";
import { Fault } from "../../base/fault.ts";
import { sampleToml, settingsJsonSchema } from "../../config/docs.ts";
import { formatProblem } from "../../config/problems.ts";
import { parseConfig } from "../../config/toml.ts";
import { exitCodes } from "../failure.ts";
import { type Invocation, textOf } from "../invocation.ts";
import { complain, writeJson, writeLines, writeOut } from "../output.ts";

/** Prints every problem as `file:line:column: …` on stderr; exit 1 if there is any. */
export async function configCheck(invocation: Invocation): Promise<number> {
  const file = textOf(invocation, "file") ?? "";
  const text = readConfigText(file);
  if (text === null) throw new Fault("missing", `cannot read ${file}: ENOENT, no such file or folder`);
  const { problems } = await parseConfig(text, { file });
  for (const problem of problems) complain(formatProblem(problem));
  if (problems.length > 0) return exitCodes.failed;
  writeLines([`${file}: ok`]);
  return exitCodes.done;
}

export function configDefault(): number {
  writeOut(sampleToml());
  return exitCodes.done;
}

export async function configSchema(): Promise<number> {
  writeJson(await settingsJsonSchema());
  return exitCodes.done;
}
