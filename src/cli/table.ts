/**
 * The one table of the command line: columns as wide as their widest cell; where a terminal is too narrow, first the
 * columns that may go do so, then the columns that may be cut are.
 */
import { cutText, padText, textWidth } from "./text.ts";
import { paint, type Style, type Terminal } from "./terminal.ts";

export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
  /** Which end may be cut; null when the column is always shown whole. */
  readonly cut: "start" | "end" | null;
  /** Columns with the highest number are left out first; null when it always stays. */
  readonly leaveOut: number | null;
}

/** A cell is plain text (already escaped), or text in a style, or parts of it each in its own. */
export type Cell = string | StyledText | readonly StyledText[];
export interface StyledText {
  readonly text: string;
  readonly style: Style | null;
}

const gap = "  ";
/** A column that is cut keeps at least so much. */
const cutWidthMin = 12;

function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return "";
  if (typeof cell === "string") return cell;
  return "text" in cell ? cell.text : cell.map(({ text }) => text).join("");
}

/** The numbers of the columns that are shown, and how wide each is. */
function layOut(columns: readonly Column[], widths: readonly number[], room: number | null): Map<number, number> {
  const shown = new Map(widths.map((width, index) => [index, width]));
  if (room === null) return shown;
  const total = (): number => [...shown.values()].reduce((sum, width) => sum + width, gap.length * (shown.size - 1));
  const cuttable = columns.flatMap((column, index) => (column.cut === null ? [] : [index]));
  const totalWhenCut = (): number =>
    cuttable.reduce((sum, index) => sum - Math.max(0, (shown.get(index) ?? 0) - cutWidthMin), total());
  const leavable = columns
    .flatMap((column, index) => (column.leaveOut === null ? [] : [{ index, rank: column.leaveOut }]))
    .toSorted((left, right) => right.rank - left.rank);
  for (const { index } of leavable) {
    if (totalWhenCut() <= room) break;
    shown.delete(index);
  }
  for (const index of cuttable) {
    const width = shown.get(index);
    if (width === undefined) continue;
    shown.set(index, Math.max(Math.min(width, cutWidthMin), width - Math.max(0, total() - room)));
  }
  return shown;
}

function renderCell(terminal: Terminal, column: Column, cell: Cell | undefined, width: number, last: boolean): string {
  const whole = cellText(cell);
  const fits = textWidth(whole) <= width;
  const text = fits || column.cut === null ? whole : cutText(whole, width, column.cut);
  let painted = text;
  if (fits && Array.isArray(cell))
    painted = (cell as readonly StyledText[]).map((part) => paintPart(terminal, part)).join("");
  else if (cell !== undefined && typeof cell !== "string" && "style" in cell)
    painted = paintPart(terminal, { ...cell, text });
  const padding = padText(text, width, column.align);
  if (column.align === "left") return last ? painted : painted + padding.slice(text.length);
  return padding.slice(0, padding.length - text.length) + painted;
}

export function paintPart(terminal: Terminal, part: StyledText): string {
  return part.style === null ? part.text : paint(terminal, part.style, part.text);
}

/** The lines of a table with a line of titles. In a pipe every column is there and nothing is cut. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  terminal: Terminal,
): string[] {
  const widths = columns.map((column, index) =>
    rows.reduce((width, row) => Math.max(width, textWidth(cellText(row[index]))), textWidth(column.title)),
  );
  const shown = [...layOut(columns, widths, terminal.columns)];
  const renderRow = (cells: readonly Cell[]): string =>
    shown
      .map(([index, width], place) => {
        const column = columns[index];
        return column === undefined
          ? ""
          : renderCell(terminal, column, cells[index], width, place === shown.length - 1);
      })
      .join(gap)
      .trimEnd();
  const titles = columns.map((column): Cell => ({ text: column.title, style: "bold" }));
  return [titles, ...rows].map(renderRow);
}
