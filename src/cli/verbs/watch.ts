/**
 * `status --watch`: the status screen live in place, with charts of the last minutes. In a pipe one status after the
 * other, as text or as one JSON object a line.
 */
import type { AgentStatus, MemcgStatus } from "../../agent/status.ts";
import { sleep, systemClock } from "../../base/clock.ts";
import { bytesText } from "../../base/units.ts";
import { ask } from "../ask.ts";
import { type ChartAbout, renderChart, type Sample } from "../screens/chart.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn } from "../invocation.ts";
import { evictedSum } from "../screens/memcg.ts";
import { writeLines, writeOut } from "../output.ts";
import { renderStatus } from "../screens/status.ts";
import { paint, type Terminal, terminalOf } from "../screens/terminal.ts";
import { cutText } from "../screens/text.ts";

const lookMs = 2000;
/** The list of all cgroups is long where there are many: it is asked for more seldom. */
const looksPerMemcg = 5;
const spanSecs = 300;

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
    if (isOn(invocation, "json")) writeOut(`${JSON.stringify(status)}\n`);
    else writeLines([...renderStatus({ status, memcg: null, nowMs: Date.now() }, invocation.terminal), ""]);
    await sleep(systemClock, lookMs);
    status = await ask(invocation, "status");
  }
}

interface Watched {
  status: AgentStatus;
  memcg: MemcgStatus | null;
  /** Why the last look failed, null when it did not. */
  trouble: string | null;
  readonly evicted: Sample[];
  readonly free: Sample[];
}

async function watchOnTerminal(invocation: Invocation, first: AgentStatus): Promise<number> {
  const watched: Watched = { status: first, memcg: null, trouble: null, evicted: [], free: [] };
  const stop = new AbortController();
  const draw = (): void => {
    const terminal = terminalOf(process.stdout, invocation.environment);
    writeOut(frame(renderWatched(watched, performance.now(), Date.now(), terminal), terminal));
  };
  const onStop = (): void => stop.abort();
  process.on("SIGINT", onStop);
  process.on("SIGTERM", onStop);
  process.stdout.on("resize", draw);
  writeOut(enterScreen);
  try {
    for (let looks = 0; !stop.signal.aborted; looks++) {
      if (looks > 0) await look(invocation, watched);
      if (looks % looksPerMemcg === 0) watched.memcg = await ask(invocation, "memcgStatus").catch(() => watched.memcg);
      draw();
      await sleep(systemClock, lookMs, stop.signal);
    }
  } finally {
    writeOut(leaveScreen);
  }
  return exitCodes.done;
}

/** The alternate screen without a cursor, and back: what was on the terminal before is there again afterwards. */
const enterScreen = "\u001b[?1049h\u001b[?25l";
const leaveScreen = "\u001b[?25h\u001b[?1049l";

/** A whole screen in one write, drawn over the last one so that nothing flickers. */
function frame(lines: readonly string[], terminal: Terminal): string {
  const shown = lines.slice(0, (terminal.rows ?? lines.length) - 1);
  return `\u001b[H${shown.map((line) => `${line}\u001b[K\r\n`).join("")}\u001b[J`;
}

/** Asks once more. A daemon that is restarted is waited for. */
async function look(invocation: Invocation, watched: Watched): Promise<void> {
  try {
    const before = watched.status;
    watched.status = await ask(invocation, "status");
    watched.trouble = null;
    addSamples(watched, before, performance.now());
  } catch (error) {
    if (error instanceof Failure && error.exitCode === exitCodes.usage) throw error;
    watched.trouble = error instanceof Error ? error.message : String(error);
  }
}

function addSamples(watched: Watched, before: AgentStatus, nowMs: number): void {
  const { memcg, compact, pid } = watched.status;
  const evicted = evictedSum(memcg.evicted_bytes) - (pid === before.pid ? evictedSum(before.memcg.evicted_bytes) : 0);
  watched.evicted.push({ atMs: nowMs, value: Math.max(0, evicted) });
  if (compact.free !== null) watched.free.push({ atMs: nowMs, value: compact.free.free_bytes });
  for (const samples of [watched.evicted, watched.free]) {
    while (samples.length > 0 && (samples[0]?.atMs ?? 0) < nowMs - spanSecs * 1000) samples.shift();
  }
}

const evictedChart: ChartAbout = {
  title: "Evicted",
  style: "green",
  spanSecs,
  rows: 4,
  fold: "sum",
  hold: false,
  valueText: bytesText,
};
const freeChart: ChartAbout = { ...evictedChart, title: "Free memory", style: "cyan", fold: "last", hold: true };

function renderWatched(watched: Watched, nowMs: number, wallMs: number, terminal: Terminal): string[] {
  const { status, memcg, trouble } = watched;
  const charts = [
    ...renderChart(watched.evicted, nowMs, evictedChart, terminal),
    ...(watched.free.length === 0 ? [] : renderChart(watched.free, nowMs, freeChart, terminal)),
  ];
  const bottom =
    trouble === null
      ? paint(terminal, "dim", "every 2 s; Ctrl-C ends it")
      : paint(terminal, "yellow", cutText(trouble, terminal.columns ?? 80, "end"));
  const screen = renderStatus({ status, memcg, nowMs: wallMs }, terminal);
  // Where not all fits, the charts stay and the end of the status goes.
  const room = (terminal.rows ?? Infinity) - charts.length - 3;
  return [...screen.slice(0, Math.max(3, room)), "", ...charts, bottom];
}
