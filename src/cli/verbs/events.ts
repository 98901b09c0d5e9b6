/**
 * `events`: what happens, live, one JSON object a line, until Ctrl-C, until nobody reads, or until the daemon ends: that
 * is said on stderr.
 */
import { jsonText } from "../../base/log-line.ts";
import { listen } from "../ask.ts";
import { exitCodes } from "../failure.ts";
import type { Invocation } from "../invocation.ts";
import { complain, writeOut } from "../output.ts";

export async function events(invocation: Invocation): Promise<number> {
  let last: string | null = null;
  for await (const event of listen(invocation)) {
    writeOut(`${jsonText(event)}\n`);
    last = event.event;
  }
  const stopped = last === "stopped";
  complain(
    `${invocation.command}: ${stopped ? "the daemon has stopped" : "the connection ended; the daemon may be gone"}`,
  );
  return stopped ? exitCodes.done : exitCodes.failed;
}
