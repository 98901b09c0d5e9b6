/** The form that many kernel files share: a name and a number a line, for texts of which a few lines are wanted. */
import { malformed } from "./pseudo-file.ts";

/**
 * The number in the line that starts with `name` and then a blank or a colon; `kB` may follow.
 * Null where there is no such line. Fault `malformed`, with `place` as the file's name, where it is no number.
 */
export function numberOf(text: string, name: string, place: string): number | null {
  const start = lineStart(text, name);
  if (start === null) return null;
  const end = text.indexOf("\n", start);
  const line = text.slice(start, end < 0 ? text.length : end);
  const match = /^[: \t]+(\d{1,20})(?: kB)?$/.exec(line.slice(name.length));
  if (match === null) throw malformed(place, "no number in", line);
  return Number(match[1]);
}

/** As `numberOf`, for a line that each kernel has: Fault `malformed` where it is missing. */
export function numberNeeded(text: string, name: string, place: string): number {
  const number = numberOf(text, name, place);
  if (number === null) throw malformed(place, `no line ${name}`);
  return number;
}

const reclaimers: readonly string[] = ["kswapd", "direct", "khugepaged", "proactive"];

/**
 * Sum of the lines `pgsteal_kswapd`, `pgsteal_direct` and so on for `counter` `pgsteal`: each kernel has some of them,
 * and counts a page under one. Null where it has none. Fault `malformed`.
 */
export function sumOverReclaimers(text: string, counter: string, place: string): number | null {
  const parts = reclaimers.map((reclaimer) => numberOf(text, `${counter}_${reclaimer}`, place));
  const known = parts.filter((part) => part !== null);
  return known.length === 0 ? null : known.reduce((sum, part) => sum + part, 0);
}

function lineStart(text: string, name: string): number | null {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const after = text[at + name.length];
    const whole = after === " " || after === ":" || after === "\t";
    if (whole && (at === 0 || text[at - 1] === "\n")) return at;
  }
  return null;
}
