/** `fleet`: many guests at once, seen from their host; `fleet giveback` has all of them give back. */
import { jsonText } from "../../base/log-line.ts";
import { parseSpan } from "../../base/units.ts";
import { fleetMetrics } from "../fleet/metrics.ts";
import { type Gathered, gather, worstExit } from "../fleet/gather.ts";
import { fleetGuests, type FleetGuest } from "../fleet/guests.ts";
import { hostBytes } from "../fleet/host-memory.ts";
import { type FleetReport, fleetRow, type FleetSort, fleetSum, sortRows } from "../fleet/rows.ts";
import { readFleetFile } from "../fleet/file.ts";
import { askAt } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn, listOf, textOf } from "../invocation.ts";
import { writeJson, writeLines, writeOut } from "../output.ts";
import { renderFleet, renderFleetGiveback } from "../screens/fleet.ts";
import { liveScreen } from "../live-screen.ts";
import { plainTerminal } from "../screens/terminal.ts";
import { requestOf } from "./giveback.ts";

const watchMs = 5000;

export async function fleet(invocation: Invocation): Promise<number> {
  const guests = await guestsOf(invocation);
  const timeoutMs = timeoutOf(invocation);
  if (isOn(invocation, "metrics")) return metrics(guests, timeoutMs);
  if (isOn(invocation, "watch")) return watch(invocation, guests, timeoutMs);
  const { report, exitCode } = await look(guests, sortOf(invocation), timeoutMs);
  if (isOn(invocation, "json")) writeJson(report);
  else writeLines(renderFleet(report, Date.now(), invocation.terminal));
  return exitCode;
}

interface Look {
  readonly report: FleetReport;
  /** 0 as long as one of them answers: the others are rows that say why they do not. */
  readonly exitCode: number;
}

async function look(guests: readonly FleetGuest[], sort: FleetSort, timeoutMs: number): Promise<Look> {
  const [gathered, host] = await Promise.all([
    gather(guests, ({ address }) => askAt(address, "status", { timeoutMs })),
    hostBytes("/", guests, timeoutMs),
  ]);
  const rows = gathered.map((one) => fleetRow(one, host.get(one.guest.address) ?? null));
  const sorted = sortRows(rows, sort);
  return { report: { guests: sorted, sum: fleetSum(sorted) }, exitCode: exitOf(gathered) };
}

function exitOf(gathered: readonly Gathered<unknown>[]): number {
  return gathered.some(({ error }) => error === null) ? exitCodes.done : worstExit(gathered);
}

async function metrics(guests: readonly FleetGuest[], timeoutMs: number): Promise<number> {
  const [gathered, host] = await Promise.all([
    gather(guests, ({ address }) => askAt(address, "metrics", { timeoutMs })),
    hostBytes("/", guests, timeoutMs),
  ]);
  writeOut(fleetMetrics(gathered, host));
  return exitOf(gathered);
}

async function watch(invocation: Invocation, guests: readonly FleetGuest[], timeoutMs: number): Promise<number> {
  // JSON is one object a line, on a terminal too.
  const shown = isOn(invocation, "json") ? { ...invocation, terminal: plainTerminal } : invocation;
  return liveScreen(shown, watchMs, async (terminal) => {
    const { report } = await look(guests, sortOf(invocation), timeoutMs);
    if (isOn(invocation, "json")) return [jsonText(report)];
    // Titles, sum, what is wrong, and the line below.
    const rowsMax = terminal.rows === null ? null : terminal.rows - 5;
    const lines = renderFleet(report, Date.now(), terminal, rowsMax);
    return terminal.columns === null ? [...lines, ""] : lines;
  });
}

/** A guest answers after the deadline that it was given, and has the time-out beside. */
export async function fleetGiveback(invocation: Invocation): Promise<number> {
  const guests = await guestsOf(invocation);
  const body = requestOf(invocation);
  const timeoutMs = timeoutOf(invocation) + (body.within_secs ?? 0) * 1000;
  const gathered = await gather(guests, ({ address }) => askAt(address, "giveback", { body, timeoutMs }));
  if (isOn(invocation, "json")) {
    writeJson(
      gathered.map(({ guest, answer, error }) => ({ address: guest.address, name: guest.label, error, answer })),
    );
  } else writeLines(renderFleetGiveback(gathered, invocation.terminal));
  return worstExit(gathered);
}

async function guestsOf(invocation: Invocation): Promise<FleetGuest[]> {
  const name = textOf(invocation, "from");
  return fleetGuests(listOf(invocation, "address"), name === null ? null : { name, text: await readFleetFile(name) });
}

function sortOf(invocation: Invocation): FleetSort {
  return (textOf(invocation, "sort") ?? "name") as FleetSort;
}

function timeoutOf(invocation: Invocation): number {
  const text = textOf(invocation, "timeout") ?? "";
  const secs = parseSpan(text);
  if (secs !== null && secs > 0) return Math.round(secs * 1000);
  throw new Failure(exitCodes.usage, [`--timeout ${JSON.stringify(text)} is not a time such as 500ms, 3s, 1m`]);
}
