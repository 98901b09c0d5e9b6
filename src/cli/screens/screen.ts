/** Lines of a label and its text, wrapped to the terminal with the text's left edge kept. */
import { paint, type Style, type Terminal } from "./terminal.ts";
import { padText, wrapText } from "./text.ts";

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
