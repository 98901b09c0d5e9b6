/** `memcgstatus` */
import { compileGlob, globMatches, levelsOf, normalizePath } from "../../config/path.ts";
import { ask } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn, textOf } from "../invocation.ts";
import { renderMemcgStatus, selectTargets, type TargetFilter, targetSorts } from "../screens/memcg.ts";
import { writeJson, writeLines } from "../output.ts";

export async function memcgstatus(invocation: Invocation): Promise<number> {
  const filter = filterOf(invocation);
  const status = await ask(invocation, "memcgStatus");
  if (isOn(invocation, "json")) writeJson({ ...status, targets: selectTargets(status.targets, filter) });
  else writeLines(renderMemcgStatus(status, filter, { long: isOn(invocation, "long") }, invocation.terminal));
  return exitCodes.done;
}

/** On a terminal what matters comes first; programs get an order that stays. */
function defaultSort({ terminal, args }: Invocation): TargetFilter["sort"] {
  return terminal.columns === null || args["json"] === true ? "path" : "size";
}

function filterOf(invocation: Invocation): TargetFilter {
  const { top } = invocation.args;
  const sort = targetSorts.find((name) => name === textOf(invocation, "sort")) ?? defaultSort(invocation);
  return { path: pathFilter(textOf(invocation, "path")), sort, top: typeof top === "number" ? top : null };
}

function pathFilter(text: string | null): TargetFilter["path"] {
  if (text === null) return null;
  const path = normalizePath(text);
  if (path === null) {
    throw new Failure(exitCodes.usage, [`--path ${JSON.stringify(text)} is not a cgroup path; use /a/b or /a/*`]);
  }
  const glob = compileGlob(path);
  return {
    matches(target) {
      const levels = levelsOf(target);
      return globMatches(glob, levels, levels.length);
    },
  };
}
