/** `run memcg` and `run compact`: a period now, and what it did. */
import type { RunBody } from "../../api/routes.ts";
import { ask } from "../ask.ts";
import { exitCodes } from "../failure.ts";
import { type Invocation, isOn } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { renderRunReport } from "../screens/run.ts";

export function runMemcg(invocation: Invocation): Promise<number> {
  return runNow(invocation, { what: "memcg", dry_run: isOn(invocation, "dry-run") });
}

export function runCompact(invocation: Invocation): Promise<number> {
  return runNow(invocation, { what: "compact" });
}

async function runNow(invocation: Invocation, body: RunBody): Promise<number> {
  const report = await ask(invocation, "run", { body });
  if (isOn(invocation, "json")) writeJson(report);
  else writeLines(renderRunReport(report, Date.now(), invocation.terminal));
  return report.kind === "compact" && report.end === "failed" ? exitCodes.failed : exitCodes.done;
}
