/** `explain CGROUP`: why this cgroup was not evicted, or when it will be. */
import { levelsOf, normalizePath } from "../../config/path.ts";
import type { TargetStatus } from "../../agent/status.ts";
import { didYouMean } from "../../config/nearest.ts";
import { ask } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn, textOf } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { explained, renderExplanation } from "../screens/explain.ts";

export async function explain(invocation: Invocation): Promise<number> {
  const text = textOf(invocation, "cgroup") ?? "";
  const path = normalizePath(text);
  if (path === null) {
    throw new Failure(exitCodes.usage, [
      `${JSON.stringify(text)} is not a cgroup path; give one such as /system.slice`,
    ]);
  }
  const memcg = await ask(invocation, "memcgStatus");
  const targets = memcg.targets.filter((target) => target.path === path);
  if (targets.length === 0) throw new Failure(exitCodes.failed, [unknownText(path, memcg.targets)]);
  if (isOn(invocation, "json"))
    writeJson(targets.map((target) => ({ ...target, explanation: explained(target, memcg) })));
  else {
    const blocks = targets.map((target) => renderExplanation(target, memcg, invocation.terminal));
    writeLines(blocks.flatMap((lines, index) => (index === 0 ? lines : ["", ...lines])));
  }
  return exitCodes.done;
}

function unknownText(path: string, targets: readonly TargetStatus[]): string {
  const last = levelsOf(path).at(-1) ?? "";
  const same = targets.find((target) => levelsOf(target.path).at(-1) === last)?.path;
  const near =
    same === undefined
      ? didYouMean(
          path,
          targets.map((target) => target.path),
        )
      : `; did you mean ${same}?`;
  return `there is no cgroup ${path} that the agent follows${near}`;
}
