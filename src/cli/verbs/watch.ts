/**
 * `status --watch`: live in place, with the last day as charts. In a pipe one status after the other, as text or as one
 * JSON object a line.
 */
import type { AgentStatus } from "../../agent/status.ts";
import { sleep, systemClock } from "../../base/clock.ts";
import { jsonText } from "../../base/log-line.ts";
import { ask } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { enterScreen, frame, leaveScreen } from "../live-screen.ts";
import { type Invocation, isOn } from "../invocation.ts";
import { writeLines, writeOut } from "../output.ts";
import { renderStatus } from "../screens/status.ts";
import { type Terminal, terminalOf } from "../screens/terminal.ts";
import { afterKey, firstView, keysOf, renderWatch, type Watched, type WatchView } from "../screens/watch.ts";

const lookMs = 2000;
/** The list of all cgroups is long where there are many, and a minute of history takes a minute. */
const looksPerMemcg = 5;
const looksPerHistory = 30;

export async function watchStatus(invocation: Invocation): Promise<number> {
  // The first answer decides: without a daemon there is nothing to watch.
  const first = await ask(invocation, "status");
  const { columns } = invocation.terminal;
  if (isOn(invocation, "json") || columns === null) return watchInPipe(invocation, first);
  return watchOnTerminal(invocation, first);
}

async function watchInPipe(invocation: Invocation, first: AgentStatus): Promise<never> {
  let status = first;
  for (;;) {
    if (isOn(invocation, "json")) writeOut(`${jsonText(status)}\n`);
    else writeLines([...renderStatus({ status, memcg: null, nowMs: Date.now() }, invocation.terminal), ""]);
    await sleep(systemClock, lookMs);
    status = await ask(invocation, "status");
  }
}

async function watchOnTerminal(invocation: Invocation, first: AgentStatus): Promise<number> {
  let watched: Watched = { status: first, memcg: null, history: null, unanswered: null };
  let view: WatchView = firstView;
  let looks = 0;
  let pause = new AbortController();
  const stop = new AbortController();
  const stopped = new Promise<null>((resolve) => stop.signal.addEventListener("abort", () => resolve(null)));
  const terminal = (): Terminal => terminalOf(process.stdout, invocation.environment);
  const draw = (): void => writeOut(frame(renderWatch(watched, view, Date.now(), terminal()), terminal()));
  const end = (): void => {
    stop.abort();
    pause.abort();
  };
  const endKeys = listenForKeys((text) => {
    for (const key of keysOf(text)) {
      if (key === "quit") return end();
      if (key === "refresh") {
        looks = 0;
        pause.abort();
      }
      view = afterKey(view, key, terminal());
    }
    draw();
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, end);
  process.stdout.on("resize", draw);
  writeOut(enterScreen);
  try {
    while (!stop.signal.aborted) {
      // A question that hangs does not keep the program from ending.
      watched = (await Promise.race([look(invocation, watched, looks), stopped])) ?? watched;
      looks++;
      if (stop.signal.aborted) break;
      draw();
      pause = new AbortController();
      await sleep(systemClock, lookMs, pause.signal);
    }
  } finally {
    endKeys();
    process.stdout.off("resize", draw);
    writeOut(leaveScreen);
  }
  return exitCodes.done;
}

/** Calls `pressed` with what is typed, as it is typed, until the returned function is called: then the terminal is as it was. */
function listenForKeys(pressed: (text: string) => void): () => void {
  const { stdin } = process;
  if (!stdin.isTTY) return () => {};
  const heard = (bytes: Uint8Array): void => pressed(new TextDecoder().decode(bytes));
  stdin.setRawMode(true);
  stdin.on("data", heard);
  return () => {
    stdin.off("data", heard);
    stdin.setRawMode(false);
    stdin.pause();
  };
}

/** Asks what is due by now. A daemon that is restarted is waited for. */
async function look(invocation: Invocation, before: Watched, looks: number): Promise<Watched> {
  try {
    return {
      status: await ask(invocation, "status"),
      memcg: looks % looksPerMemcg === 0 ? await ask(invocation, "memcgStatus") : before.memcg,
      history: looks % looksPerHistory === 0 ? await ask(invocation, "history") : before.history,
      unanswered: null,
    };
  } catch (error) {
    if (error instanceof Failure && error.exitCode === exitCodes.usage) throw error;
    return { ...before, unanswered: error instanceof Error ? error.message : String(error) };
  }
}
