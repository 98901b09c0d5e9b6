/** Lines of a label and its text, wrapped to the terminal with the text's left edge kept. */
import { paint, type Style, type Terminal } from "./terminal.ts";
import { padText, textWidth, wrapText } from "./text.ts";

/** Width of the labels' column with its gap. */
export const labelColumns = 14;

/** `label         text`, as many lines as the terminal needs; one line in a pipe. The style is for the text. */
export function fieldLines(terminal: Terminal, label: string, text: string, style: Style | null = null): string[] {
  const lines = terminal.columns === null ? [text] : wrapText(text, terminal.columns - labelColumns);
  return lines.map((line, index) => {
    const head = padText(index === 0 ? label : "", labelColumns, "left");
    return (paint(terminal, "dim", head) + (style === null ? line : paint(terminal, style, line))).trimEnd();
  });
}

/** Texts of one line that keep their columns from screen to screen, where these are wide enough; else lines below. */
const columnStarts = [labelColumns, labelColumns + 13, labelColumns + 50] as const;

/** `label  amount  text  text`, the amount in bold: as many lines as the terminal needs, one in a pipe. */
export function columnLines(terminal: Terminal, label: string, parts: readonly string[]): string[] {
  const [amount = "", ...texts] = parts.filter((part) => part !== "");
  const width = terminal.columns ?? Infinity;
  const lines: string[] = [];
  let line = paint(terminal, "dim", padText(label, labelColumns, "left")) + paint(terminal, "bold", amount);
  for (const [index, text] of texts.entries()) {
    const start = columnStarts[Math.min(index + 1, columnStarts.length - 1)] ?? 0;
    const padded =
      terminal.columns === null ? `${line}   ` : padText(line, Math.max(start, textWidth(line) + 3), "left");
    if (textWidth(padded) + textWidth(text) <= width) {
      line = padded + text;
      continue;
    }
    const [first = "", ...more] = wrapText(text, width - labelColumns).map((part) => " ".repeat(labelColumns) + part);
    lines.push(line, ...(more.length > 0 ? [first, ...more.slice(0, -1)] : []));
    line = more.at(-1) ?? first;
  }
  return [...lines, line];
}

export function heading(terminal: Terminal, text: string): string {
  return paint(terminal, "bold", text);
}

/** The parts that are there, with commas. */
export function joinParts(parts: readonly (string | null)[]): string {
  return parts.filter((part) => part !== null && part !== "").join(", ");
}

/** The counts that are not zero, largest first: `pressure 3, nothing_cold 1`. */
export function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .toSorted(([, left], [, right]) => right - left)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
