/** `history`: what the runs of the last day did. */
import { parseSpan } from "../../base/units.ts";
import { ask } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn, textOf } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { renderHistory } from "../screens/history.ts";

const daySecs = 24 * 3600;

export async function history(invocation: Invocation): Promise<number> {
  const secs = sinceSecs(textOf(invocation, "since"));
  const nowMs = Date.now();
  const { minutes } = await ask(invocation, "history");
  // A minute counts as long as its end is in the span.
  const shown = { minutes: minutes.filter(({ start }) => Date.parse(start) + 60_000 > nowMs - secs * 1000) };
  if (isOn(invocation, "json")) writeJson(shown);
  else writeLines(renderHistory(shown, secs, nowMs, invocation.terminal));
  return exitCodes.done;
}

/** Failure `usage` for what is no span of at most a day. */
export function sinceSecs(text: string | null): number {
  if (text === null) return daySecs;
  const secs = parseSpan(text) ?? 0;
  if (secs >= 1 && secs <= daySecs) return secs;
  throw new Failure(exitCodes.usage, [
    `--since ${JSON.stringify(text)}: give a span of at most a day, such as 30m or 2h`,
  ]);
}
