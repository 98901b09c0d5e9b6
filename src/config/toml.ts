/**
 * Reads the settings file.
 *
 * A file that is right goes through Bun's own parser. One that it refuses, or that says something wrong, is read once
 * more by a parser that knows lines and columns and integers beyond 2^53; that one is loaded only then, since a
 * daemon at rest has no use for it.
 */
import type { TomlDocument } from "@decimalturn/toml-patch";
import { messageOf } from "../base/fault.ts";
import { type InputPath, isTable, type LocatedProblem, readOverrides, secondsOfText } from "./values.ts";
import { show, type Problem } from "./problems.ts";
import { ruleSettingList, settingList, type SettingsOverrides } from "./schema.ts";

export interface ParsedConfig {
  /** What the file says; empty if there is any problem. */
  readonly overrides: SettingsOverrides;
  readonly problems: readonly Problem[];
}

/** UTF-16 code units. */
const textLengthMax = 1024 * 1024;
/** Both parsers take quadratic time for a key of many parts; the longest that means anything has three. */
const keyPartsMax = 64;
const problemsMax = 100;

/**
 * Never throws: whatever is wrong with the text is a problem with line and column.
 * @param options.file the name for problem texts
 */
export async function parseConfig(text: string, options: { readonly file: string }): Promise<ParsedConfig> {
  const { file } = options;
  const hopeless = boundProblem(text);
  if (hopeless !== null) return { overrides: {}, problems: [{ ...hopeless, file }] };
  const quick = parseQuickly(text);
  if (quick !== null) return { overrides: quick, problems: [] };
  const { overrides, problems } = await parsePlaced(text);
  if (problems.length === 0) return { overrides, problems };
  return { overrides: {}, problems: problems.slice(0, problemsMax).map((problem) => ({ ...problem, file })) };
}

/** As `readOverrides`; a path in the file stands for itself, whatever folder the daemon was started in. */
function readFileOverrides(input: unknown): ReturnType<typeof readOverrides> {
  const { overrides, problems } = readOverrides(spansAsSeconds(input));
  const file = overrides.log?.file ?? null;
  if (file === null || file.startsWith("/")) return { overrides, problems };
  const message = `${show(file)} is a relative path`;
  const problem = { at: ["log", "file"], key: "log.file", message, allowed: "an absolute path" };
  return { overrides, problems: [...problems, problem] };
}

const spanKeys: ReadonlySet<string> = new Set(
  [...settingList, ...ruleSettingList].filter(({ unit }) => unit === "seconds").map(({ key }) => key),
);

/** The input with `period_secs = "10m"` as the number that it means; sections, and rules within them. */
function spansAsSeconds(input: unknown): unknown {
  if (Array.isArray(input)) return input.map(spansAsSeconds);
  if (!isTable(input)) return input;
  return Object.fromEntries(
    Object.entries(input).map(([key, value]) => {
      if (typeof value === "string" && spanKeys.has(key)) return [key, secondsOfText(value) ?? value];
      return [key, typeof value === "object" ? spansAsSeconds(value) : value];
    }),
  );
}

/** What a right file says; null for one that needs the other parser. */
export function parseQuickly(text: string): SettingsOverrides | null {
  try {
    const { overrides, problems } = readFileOverrides(Bun.TOML.parse(text));
    return problems.length === 0 ? overrides : null;
  } catch {
    return null;
  }
}

/** What the file says, and every problem with its position. */
export async function parsePlaced(text: string): Promise<ParsedConfig> {
  const { parseDocument } = await import("@decimalturn/toml-patch");
  try {
    const document = parseDocument(text);
    const { overrides, problems } = readFileOverrides(document.toJsObject);
    if (problems.length === 0) return { overrides, problems };
    const positions = positionsOf(document.cst);
    const placed = problems.map((problem) => place(problem, positions));
    return { overrides: {}, problems: placed.toSorted(byPosition) };
  } catch (error) {
    return { overrides: {}, problems: [syntaxProblem(error)] };
  }
}

function byPosition(left: Problem, right: Problem): number {
  return (left.line ?? 0) - (right.line ?? 0) || (left.column ?? 0) - (right.column ?? 0);
}

function boundProblem(text: string): Problem | null {
  if (text.length > textLengthMax) {
    return { key: "", message: "the file is too large", allowed: `at most ${textLengthMax} characters` };
  }
  const line = lineOfLongKey(text);
  return line === null
    ? null
    : { key: "", message: "a key of too many parts", allowed: `at most ${keyPartsMax} parts`, line, column: 1 };
}

/** The first line in which more dots follow each other than a key can have; dots of comments don't count. */
function lineOfLongKey(text: string): number | null {
  let line = 0;
  for (const content of text.split("\n")) {
    line++;
    if (content.length <= keyPartsMax) continue;
    let dots = 0;
    for (const char of content) {
      if (char === "#") break;
      if (char === "." && ++dots >= keyPartsMax) return line;
      if (char === "=" || char === ",") dots = 0;
    }
  }
  return null;
}

/** Lines count from 1 in the parser, columns from 0. */
interface Position {
  readonly line: number;
  readonly column: number;
}

type SyntaxTree = TomlDocument["cst"];
type SyntaxNode = SyntaxTree[number];
type SyntaxValue = Extract<SyntaxNode, { value: unknown }>["value"];

/** The start of every key, by its path in the input. */
function positionsOf(tree: SyntaxTree): ReadonlyMap<string, Position> {
  const positions = new Map<string, Position>();
  const lengths = new Map<string, number>();
  for (const node of tree) {
    switch (node.type as string) {
      case "KeyValue":
        placeRow(positions, [], node);
        break;
      case "Table":
      case "TableArray":
        placeSection(positions, lengths, node);
        break;
      default:
        break;
    }
  }
  return positions;
}

function placeSection(positions: Map<string, Position>, lengths: Map<string, number>, node: SyntaxNode): void {
  if (!("items" in node)) return;
  const names = node.key.item.value;
  let at: InputPath = [];
  for (const [index, name] of names.entries()) {
    at = [...at, name];
    const id = pathId(at);
    if (!positions.has(id)) positions.set(id, node.loc.start);
    const isLast = index === names.length - 1;
    if (isLast && (node.type as string) === "TableArray") lengths.set(id, (lengths.get(id) ?? 0) + 1);
    const length = lengths.get(id);
    if (length !== undefined) at = [...at, length - 1];
  }
  positions.set(pathId(at), node.loc.start);
  for (const row of node.items) placeRow(positions, at, row);
}

function placeRow(positions: Map<string, Position>, prefix: InputPath, row: SyntaxNode): void {
  if (!("value" in row)) return;
  let at = prefix;
  for (const name of row.key.value) {
    at = [...at, name];
    const id = pathId(at);
    if (!positions.has(id)) positions.set(id, row.key.loc.start);
  }
  placeValue(positions, at, row.value);
}

function placeValue(positions: Map<string, Position>, at: InputPath, value: SyntaxValue): void {
  if (!("items" in value)) return;
  for (const [index, { item }] of value.items.entries()) {
    if ((value.type as string) === "InlineTable") {
      placeRow(positions, at, item as SyntaxNode);
    } else {
      const where = [...at, index];
      positions.set(pathId(where), item.loc.start);
      placeValue(positions, where, item as SyntaxValue);
    }
  }
}

function pathId(at: InputPath): string {
  return JSON.stringify(at);
}

/** Puts a problem at its key, or at the nearest table around it. */
function place({ at, ...problem }: LocatedProblem, positions: ReadonlyMap<string, Position>): Problem {
  for (let length = at.length; length > 0; length--) {
    const position = positions.get(pathId(at.slice(0, length)));
    if (position !== undefined) return { ...problem, line: position.line, column: position.column + 1 };
  }
  return { ...problem, line: 1, column: 1 };
}

/**
 * The parser's message is "Error parsing TOML (line, column):", the line, a marker, and the reason in the last line.
 * The position is taken from there: every error of the engine has a line and column too, those of the code that threw.
 */
function syntaxProblem(error: unknown): Problem {
  const text = messageOf(error).trimEnd();
  const nested = error instanceof RangeError;
  const reason = nested ? "tables or lists are nested too deeply" : text.slice(text.lastIndexOf("\n") + 1);
  const position = /^Error parsing TOML \((\d+), (\d+)\)/.exec(text);
  const [line, column] = [Number(position?.[1] ?? 1), Number(position?.[2] ?? 1)];
  return { key: "", message: `not TOML: ${reason}`, allowed: "", line, column };
}
