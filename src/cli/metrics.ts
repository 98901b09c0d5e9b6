/** `metrics`: Prometheus text from the daemon. */
import { ask } from "./ask.ts";
import { exitCodes } from "./failure.ts";
import type { Invocation } from "./invocation.ts";
import { writeOut } from "./output.ts";

export async function metrics(invocation: Invocation): Promise<number> {
  writeOut(await ask(invocation, "metrics"));
  return exitCodes.done;
}
