/** A screen that is drawn again and again in place; in a pipe one look after the other. Ctrl-C ends it. */
import { sleep, systemClock } from "../base/clock.ts";
import { exitCodes } from "./failure.ts";
import type { Invocation } from "./invocation.ts";
import { writeLines, writeOut } from "./output.ts";
import { paint, type Terminal, terminalOf } from "./screens/terminal.ts";

/** The alternate screen without a cursor, and back: what was on the terminal before is there again afterwards. */
export const enterScreen = "\u001b[?1049h\u001b[?25l";
export const leaveScreen = "\u001b[?25h\u001b[?1049l";

/** A whole screen in one write, drawn over the last one so that nothing flickers. */
export function frame(lines: readonly string[], terminal: Terminal): string {
  const shown = lines.slice(0, (terminal.rows ?? lines.length) - 1);
  return `\u001b[H${shown.map((line) => `${line}\u001b[K\r\n`).join("")}\u001b[J`;
}

/**
 * @param periodMs from the end of one look to the next
 * @param look the lines of one screen; on a terminal the last line of it is left free
 */
export async function liveScreen(
  invocation: Invocation,
  periodMs: number,
  look: (terminal: Terminal) => Promise<readonly string[]>,
): Promise<number> {
  if (invocation.terminal.columns === null) return lookAfterLook(invocation.terminal, periodMs, look);
  const stop = new AbortController();
  const stopped = new Promise<null>((resolve) => stop.signal.addEventListener("abort", () => resolve(null)));
  const end = (): void => stop.abort();
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, end);
  writeOut(enterScreen);
  try {
    while (!stop.signal.aborted) {
      const terminal = terminalOf(process.stdout, invocation.environment);
      // A question that hangs does not keep the program from ending.
      const lines = await Promise.race([look(terminal), stopped]);
      if (lines === null) break;
      const hint = paint(terminal, "dim", `every ${periodMs / 1000} s; Ctrl-C ends it`);
      writeOut(frame([...lines, hint], terminal));
      await sleep(systemClock, periodMs, stop.signal);
    }
  } finally {
    writeOut(leaveScreen);
  }
  return exitCodes.done;
}

async function lookAfterLook(
  terminal: Terminal,
  periodMs: number,
  look: (terminal: Terminal) => Promise<readonly string[]>,
): Promise<never> {
  for (;;) {
    writeLines(await look(terminal));
    await sleep(systemClock, periodMs);
  }
}
