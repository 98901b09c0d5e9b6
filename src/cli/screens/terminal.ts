/**
 * What is known about where the text goes. A terminal gets colour, bars and lines that fit; a pipe gets the same words
 * without any of it, in lines of any length.
 */

export interface Terminal {
  /** Columns of the terminal, null in a pipe: lines are never cut there. */
  readonly columns: number | null;
  readonly rows: number | null;
  readonly colour: boolean;
}

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "blue" | "cyan" | "magenta";

const styleCodes: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
};

/** A pipe, a file, a test: plain words. */
export const plainTerminal: Terminal = { columns: null, rows: null, colour: false };

/** Narrower than this nothing readable fits; wider lines are cut by the terminal itself. */
const columnsMin = 40;

/**
 * The terminal behind a descriptor, by what the stream says and the environment asks for: NO_COLOR (any value but the
 * empty one, see https://no-color.org) and TERM=dumb switch colour off.
 */
export function terminalOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number },
  environment: Readonly<Record<string, string | undefined>>,
): Terminal {
  if (stream.isTTY !== true) return plainTerminal;
  const colour = (environment["NO_COLOR"] ?? "") === "" && environment["TERM"] !== "dumb";
  return { columns: Math.max(stream.columns ?? 80, columnsMin), rows: stream.rows ?? 24, colour };
}

/** The text in a style, or as it is where there is no colour. */
export function paint(terminal: Terminal, style: Style, text: string): string {
  if (!terminal.colour || text === "") return text;
  const [on, off] = styleCodes[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}
