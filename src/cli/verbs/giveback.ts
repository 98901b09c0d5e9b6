/** `giveback`: as much as possible by a deadline, and what came of it. */
import type { GivebackRequest } from "../../agent/giveback.ts";
import { parseSize, parseSpan } from "../../base/units.ts";
import { ask } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn, textOf } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { renderGiveback } from "../screens/giveback.ts";

export async function giveback(invocation: Invocation): Promise<number> {
  const report = await ask(invocation, "giveback", { body: requestOf(invocation) });
  if (isOn(invocation, "json")) writeJson(report);
  else writeLines(renderGiveback(report, invocation.terminal));
  return exitCodes.done;
}

/** What the flags ask for. Failure `usage` with every problem. */
export function requestOf(invocation: Invocation): GivebackRequest {
  const problems: string[] = [];
  const read = (flag: string, parse: (text: string) => number | null, allowed: string): number | null => {
    const text = textOf(invocation, flag);
    const value = text === null ? null : parse(text);
    if (text !== null && value === null) problems.push(`--${flag} ${JSON.stringify(text)} is not ${allowed}`);
    return value;
  };
  const within = read("within", parseSpan, "a time such as 500ms, 2s, 1m");
  const target = read("target", parseSize, "a size such as 512M, 1G");
  const minAge = read("min-age", parseSpan, "a time such as 30s, 10m");
  if (problems.length > 0) throw new Failure(exitCodes.usage, problems);
  return {
    within_secs: within ?? 0,
    target_bytes: target,
    min_age_secs: minAge ?? 0,
    slab: isOn(invocation, "slab"),
    compact: !isOn(invocation, "no-compact"),
    ignore_pressure: isOn(invocation, "ignore-pressure"),
  };
}
