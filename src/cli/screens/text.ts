/** Text measured, padded, cut and broken by the columns that it takes on a terminal: wide characters two, colour none. */

export function textWidth(text: string): number {
  return Bun.stringWidth(text);
}

/** The text at exactly `columns`, if it is not wider. */
export function padText(text: string, columns: number, align: "left" | "right"): string {
  const blanks = " ".repeat(Math.max(0, columns - textWidth(text)));
  return align === "left" ? text + blanks : blanks + text;
}

/**
 * The text cut to at most `columns`, with an ellipsis where something was left out. Names are cut in the middle: those of
 * containers differ at the end, and what they belong to is at the start.
 */
export function cutText(text: string, columns: number, where: "middle" | "end"): string {
  if (columns <= 0) return "";
  if (where === "middle" && columns > 2 && textWidth(text) > columns) {
    const tail = Bun.sliceAnsi(text, -Math.floor((columns - 1) / 2));
    return cutText(text, columns - textWidth(tail), "end") + tail;
  }
  const cut = Bun.sliceAnsi(text, 0, columns, "…");
  // Bun takes a wide character that begins in the last column, and is then one column above.
  return textWidth(cut) <= columns ? cut : Bun.sliceAnsi(text, 0, columns - 1, "…");
}

/** The blank between a number and its unit, which must not become a line's end. */
const unitBlank = / (?=(?:[KMGTP]?i?B|s|min|h|d|%)(?:[\s,;:()]|$))/g;
const unbroken = "\u00a0";

/** Words broken into lines of at most `columns`; a wider word gets a line of its own. */
export function wrapText(text: string, columns: number): string[] {
  const wrapped = Bun.wrapAnsi(text.replace(unitBlank, unbroken), columns);
  return wrapped.replaceAll(unbroken, " ").split("\n");
}
