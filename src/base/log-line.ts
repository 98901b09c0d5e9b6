/**
 * One event as one line of text or JSON. Pure: log.ts decides what is written where.
 *
 * A cgroup's name may hold newlines, escape sequences and bytes that are no UTF-8. Nothing of that reaches a terminal
 * or splits a line: control characters are escaped wherever they are.
 */

/** From the loudest mouth to the quietest: each level also lets through all that follow it. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "critical"] as const;
export type LogLevel = (typeof logLevels)[number];

export const logFormats = ["text", "json"] as const;
export type LogFormat = (typeof logFormats)[number];
export type LogFields = Readonly<Record<string, unknown>>;

export interface LogEntry {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

export interface LineStyle {
  readonly format: LogFormat;
  /** Begin each line with journald's `<N>` priority; the time is left out of text lines, since journald has its own. */
  readonly journal: boolean;
}

/** Priorities of syslog(3), as journald reads them from the start of a line; see sd-daemon(3). */
const journalPriorities: Readonly<Record<LogLevel, number>> = {
  trace: 7,
  debug: 7,
  info: 6,
  warn: 4,
  error: 3,
  critical: 2,
};

/** A longer value says no more to a reader, and a line stays well under journald's 48 KiB. */
const valueLengthMax = 1000;
const fieldsMax = 32;

/** C0, DEL, C1, separators that some viewers break lines at, marks that reorder text, lone surrogates. */
const unprintable =
  // oxlint-disable-next-line no-control-regex -- finding control characters is what it is for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const bareValue = /^[\w./:@%+*,~-]+$/;

const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The text with every character escaped that would break a line or steer a terminal. */
export function escapeControls(text: string): string {
  return text.replaceAll(unprintable, (char) => shortEscapes[char] ?? `\\u${hex4(char.charCodeAt(0))}`);
}

/** The same but for C0, which JSON escapes by itself. */
const unprintableInJson = /[\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** JSON that says the same as JSON.stringify's, and that no terminal or viewer turns around. */
export function jsonText(value: unknown, indent = 0): string {
  return escapeInJson(JSON.stringify(value, null, indent));
}

function escapeInJson(json: string): string {
  return json.replaceAll(unprintableInJson, (char) => `\\u${hex4(char.charCodeAt(0))}`);
}

function hex4(code: number): string {
  return code.toString(16).padStart(4, "0");
}

function clip(text: string): string {
  return text.length <= valueLengthMax ? text : `${text.slice(0, valueLengthMax)}…`;
}

const digitsMax = 3;

/** Three digits after the point, or three that count: more of a time or a share say nothing to a reader. */
function rounded(value: number): number {
  if (Number.isInteger(value) || !Number.isFinite(value)) return value;
  const fixed = Number(value.toFixed(digitsMax));
  return fixed === 0 ? Number(value.toPrecision(digitsMax)) : fixed;
}

function roundedIfNumber(_key: string, value: unknown): unknown {
  return typeof value === "number" ? rounded(value) : value;
}

function plainText(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return value.message;
  if (typeof value === "number") return `${rounded(value)}`;
  if (typeof value === "bigint") return `${value}`;
  try {
    return JSON.stringify(value, roundedIfNumber) ?? typeof value;
  } catch {
    return typeof value;
  }
}

/** A field's value as it follows `key=`: bare where that is unmistakable, else in double quotes. */
export function fieldText(value: unknown): string {
  const text = clip(plainText(value));
  if (bareValue.test(text)) return text;
  const quoted = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  return `"${escapeControls(quoted)}"`;
}

function presentFields(fields: LogFields): [string, unknown][] {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .slice(0, fieldsMax);
}

function repeatText(repeats: number): string {
  return repeats === 0 ? "" : ` … (repeated ${repeats} ${repeats === 1 ? "time" : "times"})`;
}

function textLine(entry: LogEntry, time: string | null, repeats: number): string {
  let line = time === null ? "" : `${time} ${entry.level.padEnd(8)} `;
  line += escapeControls(clip(entry.message));
  for (const [key, value] of presentFields(entry.fields)) line += ` ${escapeControls(key)}=${fieldText(value)}`;
  return line + repeatText(repeats);
}

function jsonValue(value: unknown): unknown {
  if (typeof value === "string") return clip(value);
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value !== "object" || value instanceof Error) return clip(plainText(value));
  const text = plainText(value);
  return text.length <= valueLengthMax ? value : clip(text);
}

const ownJsonKeys: ReadonlySet<string> = new Set(["time", "level", "message", "repeated"]);

function jsonLine(entry: LogEntry, time: string, repeats: number): string {
  const line: Record<string, unknown> = { time, level: entry.level, message: clip(entry.message) };
  if (repeats > 0) line["repeated"] = repeats;
  for (const [key, value] of presentFields(entry.fields))
    line[ownJsonKeys.has(key) ? `${key}_` : key] = jsonValue(value);
  return escapeInJson(JSON.stringify(line, roundedIfNumber));
}

/**
 * The line for one event, without its newline. `wallMs` counts from the epoch; `repeats` is how often the same event
 * came again since it was last written.
 */
export function logLine(entry: LogEntry, wallMs: number, style: LineStyle, repeats = 0): string {
  const time = new Date(wallMs).toISOString();
  const prefix = style.journal ? `<${journalPriorities[entry.level]}>` : "";
  if (style.format === "json") return prefix + jsonLine(entry, time, repeats);
  return prefix + textLine(entry, style.journal ? null : time, repeats);
}
