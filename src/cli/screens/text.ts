/** Text measured, padded, cut and broken by the columns that it takes on a terminal. */

/** Columns that the text takes on a terminal: wide characters two, combining ones and colour none. */
export function textWidth(text: string): number {
  return Bun.stringWidth(text);
}

/** The text at exactly `columns`, if it is not wider. */
export function padText(text: string, columns: number, align: "left" | "right"): string {
  const missing = columns - textWidth(text);
  if (missing <= 0) return text;
  return align === "left" ? text + " ".repeat(missing) : " ".repeat(missing) + text;
}

/** The text cut to at most `columns`, with an ellipsis where something was left out. For text without colour. */
export function cutText(text: string, columns: number, where: "start" | "end"): string {
  if (textWidth(text) <= columns) return text;
  if (columns <= 0) return "";
  const segments = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  if (where === "start") segments.reverse();
  const kept: string[] = [];
  let width = 1;
  for (const segment of segments) {
    width += textWidth(segment);
    if (width > columns) break;
    kept.push(segment);
  }
  return where === "start" ? `…${kept.toReversed().join("")}` : `${kept.join("")}…`;
}

/** A blank that may become a line's end: not the one between a number and its unit. */
const breakable = / (?!(?:[KMGTP]?i?B|s|min|h|d|%)(?:[\s,;:()]|$))/;

/** Words broken into lines of at most `columns`; a word that is wider stands alone. */
export function wrapText(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(breakable)) {
    if (line !== "" && textWidth(line) + 1 + textWidth(word) > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines;
}
