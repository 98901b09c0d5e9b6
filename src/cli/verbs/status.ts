/** `status`: one screen, once or live. */
import type { AgentStatus, MemcgStatus } from "../../agent/status.ts";
import { ask } from "../ask.ts";
import { exitCodes } from "../failure.ts";
import { type Invocation, isOn } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { renderStatus } from "../screens/status.ts";

export async function status(invocation: Invocation): Promise<number> {
  if (isOn(invocation, "watch")) {
    const { watchStatus } = await import("./watch.ts");
    return watchStatus(invocation);
  }
  if (isOn(invocation, "json")) {
    writeJson(await ask(invocation, "status"));
  } else {
    const [status, memcg] = await askBoth(invocation);
    writeLines(renderStatus({ status, memcg, nowMs: Date.now() }, invocation.terminal));
  }
  return exitCodes.done;
}

function askBoth(invocation: Invocation): Promise<[AgentStatus, MemcgStatus]> {
  return Promise.all([ask(invocation, "status"), ask(invocation, "memcgStatus")]);
}
