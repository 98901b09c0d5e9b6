/** Blocks of the manual as the man macros of roff: man(7), groff_man(7). Pure. */
import { type Block, linkedTopic, parseMarkdown, type Span, spansOf } from "./markdown.ts";
import { wrapText } from "./screens/text.ts";

/** Source lines beyond 80 bytes are frowned upon by `mandoc -T lint`. */
const sourceColumns = 76;

/** Characters that not every output device has. */
const substitutes: Readonly<Record<string, string>> = { "…": "...", "×": "\\(mu", "·": "\\(bu", "→": "\\(->" };

/** Text without a special meaning to roff. A dash stays a dash, so that what is copied from a page works. */
export function plain(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll(/[…×·→]/g, (character) => substitutes[character] ?? character);
}

/** A line that does not begin with a dot, which would make it a request. */
function safeLine(line: string): string {
  return line.startsWith(".") ? `\\&${line}` : line;
}

function bold(text: string): string {
  return text.replaceAll(/\S+/g, (word) => `\\fB${plain(word)}\\fR`);
}

function italic(text: string): string {
  return text.replaceAll(/\S+/g, (word) => `\\fI${plain(word)}\\fR`);
}

/** @param within topics that are part of the same page */
function spanText(span: Span, within: readonly string[]): string {
  switch (span.type) {
    case "text":
      return plain(span.text);
    case "code":
    case "strong":
      return bold(plainText(span.text));
    case "emphasis":
      return italic(plainText(span.text));
    case "link":
      return inline(span.text, within) + linkText(span.to, within);
    default:
      return span satisfies never;
  }
}

function plainText(text: string): string {
  return spansOf(text)
    .map((span) => span.text)
    .join("");
}

function linkText(to: string, within: readonly string[]): string {
  if (to.startsWith("#")) return "";
  const topic = linkedTopic(to);
  if (topic === null) return ` (${plain(to)})`;
  return within.includes(topic) ? "" : ` (${bold(`mem-agent help ${topic}`)})`;
}

/** A line of Markdown as one line of roff. */
export function inline(text: string, within: readonly string[] = []): string {
  return spansOf(text)
    .map((span) => spanText(span, within))
    .join("");
}

/** A paragraph of roff in source lines. */
export function textLines(roff: string): readonly string[] {
  return wrapText(roff, sourceColumns).map(safeLine);
}

/** A section (`SH`) or subsection (`SS`). */
export function headingLine(macro: "SH" | "SS", text: string): string {
  return `.${macro} "${plain(text).replaceAll('"', "\\(dq")}"`;
}

/** A term, and what it means below it. Both are roff. */
export function termLines(term: string, text: string): readonly string[] {
  return [".TP", safeLine(term), ...textLines(text)];
}

/** The lines of a page of the manual; its title becomes a section. */
export function roffLines(markdown: string, within: readonly string[]): readonly string[] {
  const blocks = parseMarkdown(markdown).filter((block) => block.type !== "code" || block.language !== "mermaid");
  return blocks.flatMap((block, index) => {
    const before = blocks[index - 1]?.type;
    return blockLines(block, within, before === "heading" || before === undefined);
  });
}

function blockLines(block: Block, within: readonly string[], first: boolean): readonly string[] {
  const apart = first ? [] : [".PP"];
  switch (block.type) {
    case "heading": {
      const text = plainText(block.text);
      return [block.level === 1 ? headingLine("SH", text.toUpperCase()) : headingLine("SS", text)];
    }
    case "paragraph":
      return [...apart, ...textLines(inline(block.text, within))];
    case "item": {
      const mark = block.mark === "-" ? "\\(bu" : block.mark;
      return [`.IP ${mark} ${mark.length > 3 ? 4 : 3}`, ...textLines(inline(block.text, within))];
    }
    case "code":
      return [...apart, ".RS 4", ".nf", ...block.lines.map((line) => safeLine(plain(line))), ".fi", ".RE"];
    case "table":
      return block.rows.flatMap((row) => rowLines(block.head, row, within));
    default:
      return block satisfies never;
  }
}

/** The first cell as a term; below it the others, with their titles where there are several. */
function rowLines(head: readonly string[], row: readonly string[], within: readonly string[]): readonly string[] {
  const [term = "", ...others] = row.map((cell) => inline(cell, within));
  const lone = others.length === 1;
  const texts = others.flatMap((cell, index) => {
    if (cell === "") return [];
    return [lone ? cell : `${italic(head[index + 1] ?? "")}: ${cell}`];
  });
  const parts = texts.flatMap((text, index) => [...(index === 0 ? [] : [".br"]), ...textLines(text)]);
  return [".TP", safeLine(term === "" ? "\\&" : term), ...(parts.length === 0 ? ["\\&"] : parts)];
}
