/** `events`: what happens, live, one JSON object a line, until Ctrl-C or until nobody reads. */
import { listen } from "../ask.ts";
import { exitCodes } from "../failure.ts";
import type { Invocation } from "../invocation.ts";
import { writeOut } from "../output.ts";

export async function events(invocation: Invocation): Promise<number> {
  for await (const event of listen(invocation)) writeOut(`${JSON.stringify(event)}\n`);
  return exitCodes.done;
}
