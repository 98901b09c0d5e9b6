/**
 * The one table of the command line: columns as wide as their widest cell; where a terminal is too narrow, first the
 * columns that may go do so, then the columns that may be cut are.
 */
import { paint, type Style, type Terminal } from "./terminal.ts";
import { cutText, padText, textWidth } from "./text.ts";

export interface Column<Row> {
  readonly title: string;
  readonly align: "left" | "right";
  /** Where a cell may be cut; null when the column is always shown whole. */
  readonly cut: "middle" | "end" | null;
  /** Columns with the highest number are left out first; null when it always stays. */
  readonly leaveOut: number | null;
  readonly cell: (row: Row) => Cell;
}

/** A cell is plain text (already escaped), or parts each in its own style. */
export type Cell = string | readonly StyledText[];
export interface StyledText {
  readonly text: string;
  readonly style: Style | null;
}

const gap = "  ";
/** A column that is cut keeps at least so much. */
const cutWidthMin = 18;

/** A cell in one style. */
export function styled(text: string, style: Style | null): Cell {
  return [{ text, style }];
}

function cellText(cell: Cell): string {
  return typeof cell === "string" ? cell : cell.map(({ text }) => text).join("");
}

function paintCell(cell: Cell, terminal: Terminal): string {
  if (typeof cell === "string") return cell;
  return cell.map(({ text, style }) => (style === null ? text : paint(terminal, style, text))).join("");
}

type AnyColumn = Omit<Column<never>, "cell">;

/** The numbers of the columns that are shown, and how wide each is. */
function layOut(columns: readonly AnyColumn[], widths: readonly number[], room: number): Map<number, number> {
  const shown = new Map(widths.map((width, index) => [index, width]));
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

/** The cell at exactly `width`; one that is cut loses its styles but the first. */
function renderCell(cell: Cell, column: AnyColumn, width: number, terminal: Terminal): string {
  const whole = cellText(cell);
  if (textWidth(whole) > width && column.cut !== null) {
    const style = typeof cell === "string" ? null : (cell[0]?.style ?? null);
    return renderCell(styled(cutText(whole, width, column.cut), style), { ...column, cut: null }, width, terminal);
  }
  const blanks = padText(whole, width, "left").slice(whole.length);
  const painted = paintCell(cell, terminal);
  return column.align === "left" ? painted + blanks : blanks + painted;
}

/**
 * The lines of a table with a line of titles. In a pipe every column is there, nothing is cut, and a tab ends each cell
 * but the last, so that `cut -f` and `sort -t` can take them apart.
 */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  terminal: Terminal,
  /** What takes the place of all cells but the first, as far as there is room; null for an ordinary row. */
  note: (row: Row) => StyledText | null = () => null,
): string[] {
  const notes = rows.map(note);
  const cells = rows.map((row, at) => columns.map((column, index) => (notes[at] && index > 0 ? "" : column.cell(row))));
  if (terminal.columns === null) {
    const words = cells.map((row, at) => {
      const note = notes[at] ?? null;
      return note === null ? row.map(cellText) : [cellText(row[0] ?? ""), note.text];
    });
    return [columns.map(({ title }) => title), ...words].map((row) => row.join("\t"));
  }
  const widths = columns.map((column, index) =>
    cells.reduce((width, row) => Math.max(width, textWidth(cellText(row[index] ?? ""))), textWidth(column.title)),
  );
  const shown = [...layOut(columns, widths, terminal.columns)];
  const renderRow = (row: readonly Cell[], isTitle: boolean): string =>
    shown
      .flatMap(([index, width]) => {
        const column = columns[index];
        if (column === undefined) return [];
        const asTitle: AnyColumn = { ...column, cut: column.cut === null ? null : "end" };
        return [renderCell(row[index] ?? "", isTitle ? asTitle : column, width, terminal)];
      })
      .join(gap)
      .trimEnd();
  const titles = columns.map((column) => styled(column.title, "bold"));
  const firstWidth = (shown[0]?.[1] ?? 0) + gap.length;
  const renderNoted = (row: readonly Cell[], { text, style }: StyledText): string => {
    const column = columns[0];
    if (column === undefined) return "";
    const cut = cutText(text, Math.max(0, (terminal.columns ?? Infinity) - firstWidth), "end");
    const first = renderCell(row[0] ?? "", column, firstWidth - gap.length, terminal);
    return `${first}${gap}${style === null ? cut : paint(terminal, style, cut)}`.trimEnd();
  };
  return [
    renderRow(titles, true),
    ...cells.map((row, at) => {
      const noted = notes[at] ?? null;
      return noted === null ? renderRow(row, false) : renderNoted(row, noted);
    }),
  ];
}
