/** What is wrong with an input, in a form that helps to fix it: where, what, and what is allowed instead. */
import { Fault } from "../base/fault.ts";

export interface Problem {
  /** `memcg.period_secs`, `--memcg-period-secs`; empty where the input as a whole is meant. */
  readonly key: string;
  readonly message: string;
  /** What would be right; empty where the message says it. */
  readonly allowed: string;
  readonly file?: string;
  /** Counted from 1. */
  readonly line?: number;
  /** Counted from 1, in UTF-16 code units. */
  readonly column?: number;
}

/** `file:line:column: memcg.period_secs: "abc" is not a number of seconds; allowed: a whole number >= 1` */
export function formatProblem(problem: Problem): string {
  const position = [problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(":");
  const where = [position, problem.key].filter((part) => part !== "").join(": ");
  const allowed = problem.allowed === "" ? "" : `; allowed: ${problem.allowed}`;
  return `${where === "" ? "" : `${where}: `}${problem.message}${allowed}`;
}

/**
 * All problems of an input as one error of kind `invalid`.
 * @param doing completes "cannot …", such as `use /etc/mem-agent.toml`
 */
export function problemsFault(doing: string, problems: readonly Problem[]): Fault {
  const lines = problems.map(formatProblem);
  const count = lines.length === 1 ? "" : ` (and ${lines.length - 1} more)`;
  return new Fault("invalid", `cannot ${doing}: ${lines[0] ?? "it is not valid"}${count}`, { problems: lines });
}

const shownLengthMax = 60;

/** A refused value as a person wrote it, on one line and not too long. */
export function show(value: unknown): string {
  const text = shownText(value);
  return text.length > shownLengthMax ? `${text.slice(0, shownLengthMax)}…` : text;
}

function shownText(value: unknown): string {
  if (typeof value === "bigint" || typeof value === "number") return String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "a date" : value.toISOString();
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a table";
  return JSON.stringify(value) ?? String(value);
}
