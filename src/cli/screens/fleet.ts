/** Many guests on one screen: a row each, who does not answer last, the sum below. */
import type { GivebackReport } from "../../agent/status.ts";
import { escapeControls } from "../../base/log-line.ts";
import { bytesText, percentText, spanText } from "../../base/units.ts";
import type { Gathered } from "../fleet/gather.ts";
import type { FleetReport, FleetRow, FleetSum } from "../fleet/rows.ts";
import { bytesCell } from "./memcg.ts";
import { clockText, countText } from "./quantity.ts";
import { type Cell, type Column, renderTable, styled, type StyledText } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** A row for the sum has the columns of the others, as far as sums make sense. */
type Line = { readonly row: FleetRow; readonly sum: null } | { readonly row: null; readonly sum: FleetSum };

const right = { align: "right", cut: null } as const;
const left = { align: "left", cut: null } as const;

function amount(of: (row: FleetRow | FleetSum) => number | null): (line: Line) => Cell {
  return ({ row, sum }) => (sum === null ? bytesCell(of(row)) : styled(sumText(of(sum)), "bold"));
}

function sumText(bytes: number | null): string {
  return bytes === null ? "-" : bytesText(bytes);
}

function healthCell({ row, sum }: Line): Cell {
  if (sum === null) {
    if (row.health === "ok") return styled("ok", "green");
    return styled(row.warnings === null || row.warnings === 0 ? "-" : countText(row.warnings, "warning"), "yellow");
  }
  return styled(`${sum.guests - sum.unreachable - sum.with_warnings} ok`, "bold");
}

function columns(nowMs: number): Column<Line>[] {
  const ofRow =
    (text: (row: FleetRow) => string | null) =>
    ({ row }: Line): Cell =>
      row === null ? "" : (text(row) ?? "-");
  return [
    {
      title: "GUEST",
      align: "left",
      cut: "middle",
      leaveOut: null,
      cell: ({ row, sum }) =>
        sum === null ? escapeControls(row.name) : styled(countText(sum.guests, "guest"), "bold"),
    },
    { title: "HEALTH", ...left, leaveOut: null, cell: healthCell },
    { title: "HOST PAYS", ...right, leaveOut: null, cell: amount((of) => of.host_bytes) },
    { title: "SAVED", ...right, leaveOut: null, cell: amount((of) => of.saved_bytes) },
    { title: "BACK", ...right, leaveOut: 2, cell: amount((of) => of.refaulted_bytes) },
    { title: "COLD", ...right, leaveOut: null, cell: amount((of) => of.cold_bytes) },
    { title: "FREE", ...right, leaveOut: 3, cell: amount((of) => of.free_bytes) },
    { title: "REPORTABLE", ...right, leaveOut: 1, cell: amount((of) => of.reportable_bytes) },
    {
      title: "STALL",
      ...right,
      leaveOut: 4,
      cell: ofRow(({ pressure_percent: percent }) => (percent === null ? null : percentText(percent))),
    },
    {
      title: "LAST RUN",
      ...right,
      leaveOut: 5,
      cell: ofRow(({ last_run: started }) => (started === null ? null : clockText(started, nowMs))),
    },
    { title: "VERSION", ...left, leaveOut: 6, cell: ofRow(({ version }) => version) },
    { title: "ADDRESS", ...left, leaveOut: 7, cell: ofRow(({ address }) => escapeControls(address)) },
  ];
}

function noteOf({ row }: Line): StyledText | null {
  if (row === null || row.error === null) return null;
  return { text: escapeControls(row.error), style: "red" };
}

/** @param rowsMax of the guests at most so many are shown, and how many are not; null shows all */
export function renderFleet(
  { guests, sum }: FleetReport,
  nowMs: number,
  terminal: Terminal,
  rowsMax: number | null = null,
): string[] {
  const shown = rowsMax === null || guests.length <= rowsMax ? guests : guests.slice(0, Math.max(1, rowsMax - 1));
  const lines: Line[] = shown.map((row) => ({ row, sum: null }));
  const rendered = renderTable([...columns(nowMs)], [...lines, { row: null, sum }], terminal, noteOf);
  const hidden = guests.length - shown.length;
  const more = hidden === 0 ? [] : [`… and ${countText(hidden, "more guest")}`];
  const bad = [
    sum.with_warnings > 0 ? countText(sum.with_warnings, "guest with warnings", "guests with warnings") : null,
    sum.unreachable > 0 ? countText(sum.unreachable, "guest does not answer", "guests do not answer") : null,
  ].filter((part) => part !== null);
  return [...rendered.slice(0, -1), ...more, ...rendered.slice(-1), ...(bad.length === 0 ? [] : [bad.join(", ")])];
}

type Given = Gathered<GivebackReport>;

function freedBytes({ freed_bytes: freed }: GivebackReport): number {
  return freed.anon_bytes + freed.file_bytes + freed.slab_bytes;
}

const givenColumns: readonly Column<Given>[] = [
  {
    title: "GUEST",
    align: "left",
    cut: "middle",
    leaveOut: null,
    cell: ({ guest }) => escapeControls(guest.label ?? guest.address),
  },
  { title: "GIVEN BACK", ...right, leaveOut: null, cell: ({ answer }) => bytesCell(answer && freedBytes(answer)) },
  { title: "FREE", ...right, leaveOut: 2, cell: ({ answer }) => bytesCell(answer?.after?.free_bytes ?? null) },
  {
    title: "REPORTABLE",
    ...right,
    leaveOut: null,
    cell: ({ answer }) => bytesCell(answer?.after?.reportable_bytes ?? null),
  },
  {
    title: "TOOK",
    ...right,
    leaveOut: null,
    cell: ({ answer }) => (answer === null ? "" : spanText(answer.wall_secs)),
  },
  {
    title: "LEFT",
    ...left,
    leaveOut: 1,
    cell: ({ answer }) => answer?.left.map(({ why, bytes }) => `${why} ${bytesText(bytes)}`).join(", ") ?? "",
  },
];

/** What each guest gave back. */
export function renderFleetGiveback(gathered: readonly Given[], terminal: Terminal): string[] {
  const given = gathered.flatMap(({ answer }) => answer ?? []);
  const bytes = given.reduce((sum, report) => sum + freedBytes(report), 0);
  const note = ({ error }: Given): StyledText | null =>
    error === null ? null : { text: escapeControls(error), style: "red" };
  return [
    ...renderTable(givenColumns, gathered, terminal, note),
    `${bytesText(bytes)} given back by ${given.length} of ${countText(gathered.length, "guest")}`,
  ];
}
