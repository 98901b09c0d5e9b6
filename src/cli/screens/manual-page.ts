/** A page of the manual on a terminal, or as plain words in a pipe. */
import { type Block, linkedTopic, parseMarkdown, type Span, spansOf } from "../markdown.ts";
import { heading } from "./screen.ts";
import { paint, type Style, type Terminal } from "./terminal.ts";
import { padText, textWidth, wrapText } from "./text.ts";

/** Longer lines are hard to read, however wide the terminal is. */
const columnsMax = 100;
const gap = "  ";
/** A column of a table is not made narrower than this. */
const cellColumnsMin = 12;

/** The lines of a page. */
export function manualPageLines(markdown: string, terminal: Terminal): string[] {
  const columns = Math.min(terminal.columns ?? columnsMax, columnsMax);
  const blocks = parseMarkdown(markdown).filter((block) => !isPicture(block));
  return blocks.flatMap((block, index) => {
    const before = blocks[index - 1];
    const joined = before === undefined || (before.type === "item" && block.type === "item");
    return [...(joined ? [] : [""]), ...blockLines(block, columns, terminal)];
  });
}

function isPicture(block: Block): boolean {
  if (block.type === "paragraph") return /^!\[[^\]]*\]\([^)]*\)$/.test(block.text);
  return block.type === "code" && block.language === "mermaid";
}

function blockLines(block: Block, columns: number, terminal: Terminal): string[] {
  switch (block.type) {
    case "heading": {
      const text = plainText(block.text);
      return [heading(terminal, block.level === 1 ? text.toUpperCase() : text)];
    }
    case "paragraph":
      return wrapText(inline(block.text, terminal), columns);
    case "item": {
      const indent = " ".repeat(block.mark.length + 1);
      const lines = wrapText(inline(block.text, terminal), columns - indent.length);
      return lines.map((line, index) => (index === 0 ? `${block.mark} ${line}` : indent + line));
    }
    case "code":
      return block.lines.map((line) => (line === "" ? "" : `    ${paint(terminal, "cyan", line)}`));
    case "table":
      return tableLines(block.head, block.rows, columns, terminal);
    default:
      return block satisfies never;
  }
}

const spanStyles: Readonly<Record<Span["type"], Style | null>> = {
  text: null,
  code: "cyan",
  strong: "bold",
  emphasis: "bold",
  link: null,
};

/** Each word is painted by itself, so that a line can end between any two. */
function inline(text: string, terminal: Terminal): string {
  return spansOf(text)
    .map((span) => {
      if (span.type === "link") return inline(span.text, terminal) + linkText(span.text, span.to);
      const style = spanStyles[span.type];
      if (style === null) return span.text;
      if (span.type === "strong")
        return inline(span.text, { ...terminal, colour: false }).replaceAll(/\S+/g, (word) =>
          paint(terminal, style, word),
        );
      return span.text.replaceAll(/\S+/g, (word) => paint(terminal, style, word));
    })
    .join("");
}

/** Where a link leads, unless its text says it or it stays on the page. */
function linkText(text: string, to: string): string {
  if (to.startsWith("#")) return "";
  const topic = linkedTopic(to);
  if (topic === null) return ` (${to})`;
  return topic === text.toLowerCase().replaceAll(" ", "-") ? " (see help)" : ` (help ${topic})`;
}

function plainText(text: string): string {
  return inline(text, { columns: null, rows: null, colour: false });
}

/** Columns side by side where they fit, wrapped where need be; else each row as a paragraph of its own. */
function tableLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  columns: number,
  terminal: Terminal,
): string[] {
  const cells = rows.map((row) => head.map((_, index) => inline(row[index] ?? "", terminal)));
  const titles = head.map((title) => inline(title, terminal));
  const widths = fittingWidths([titles, ...cells], columns - gap.length * (head.length - 1));
  if (widths === null) {
    return cells.flatMap((row, index) => [
      ...(index === 0 ? [] : [""]),
      ...recordLines(titles, row, columns, terminal),
    ]);
  }
  const painted = titles.map((title) => paint(terminal, "dim", title));
  return [painted, ...cells].flatMap((row) => rowLines(row, widths));
}

function rowLines(row: readonly string[], widths: readonly number[]): string[] {
  const wrapped = row.map((cell, index) => wrapText(cell, widths[index] ?? 0));
  const height = Math.max(...wrapped.map((lines) => lines.length));
  return Array.from({ length: height }, (_, line) =>
    wrapped
      .map((lines, index) => padText(lines[line] ?? "", widths[index] ?? 0, "left"))
      .join(gap)
      .trimEnd(),
  );
}

/** The first cell, and below it the others that say something, each behind its column's title. */
function recordLines(titles: readonly string[], row: readonly string[], columns: number, terminal: Terminal): string[] {
  const [first = "", ...others] = row;
  const indent = gap;
  const lines = others.flatMap((cell, index) => {
    if (cell === "") return [];
    return wrapText(`${paint(terminal, "dim", `${titles[index + 1] ?? ""}:`)} ${cell}`, columns - indent.length);
  });
  return [...wrapText(first, columns), ...lines.map((line) => indent + line)];
}

/** Widths at which all columns fit, taken from the widest ones; null where words would have to be cut. */
function fittingWidths(rows: readonly (readonly string[])[], columns: number): readonly number[] | null {
  const count = rows[0]?.length ?? 0;
  const over = (measure: (cell: string) => number): number[] =>
    Array.from({ length: count }, (_, index) => Math.max(0, ...rows.map((row) => measure(row[index] ?? ""))));
  const widths = over(textWidth);
  const least = over((cell) => Math.max(...wrapText(cell, 1).map(textWidth)));
  const room = (index: number): number => (widths[index] ?? 0) - Math.max(least[index] ?? 0, cellColumnsMin);
  let excess = widths.reduce((sum, width) => sum + width, 0) - columns;
  while (excess > 0) {
    let widest = -1;
    for (let index = 0; index < count; index++) {
      if (room(index) > 0 && (widest < 0 || (widths[index] ?? 0) > (widths[widest] ?? 0))) widest = index;
    }
    if (widest < 0) return null;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
  return widths;
}
