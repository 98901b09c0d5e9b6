/** `compactstatus` */
import { ask } from "../ask.ts";
import { renderCompactStatus } from "../screens/compact.ts";
import { exitCodes } from "../failure.ts";
import { type Invocation, isOn } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";

export async function compactstatus(invocation: Invocation): Promise<number> {
  const status = await ask(invocation, "compactStatus");
  if (isOn(invocation, "json")) writeJson(status);
  else writeLines(renderCompactStatus(status, Date.now(), invocation.terminal));
  return exitCodes.done;
}
