/** `pause SPAN`: nothing runs by itself until then. */
import { parseSpan } from "../../base/units.ts";
import { ask } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn, textOf } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { clockText } from "../screens/quantity.ts";

export async function pause(invocation: Invocation): Promise<number> {
  const text = textOf(invocation, "span") ?? "";
  const secs = parseSpan(text);
  if (secs === null) {
    throw new Failure(exitCodes.usage, [
      `${JSON.stringify(text)} is no span of time; give one such as 30m or 2h, or 0`,
    ]);
  }
  const answer = await ask(invocation, "pause", { body: { secs } });
  const { paused_until: until } = answer;
  if (isOn(invocation, "json")) writeJson(answer);
  else writeLines([until === null ? "not paused" : `paused until ${clockText(until, Date.now())}`]);
  return exitCodes.done;
}
