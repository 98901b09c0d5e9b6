/**
 * Reads a command's own arguments strictly by its definition: what is not declared is refused with the nearest right
 * name, and every problem is found before anything is done. Flags of settings are set aside for their own parser, so
 * that a command without them does not load the settings.
 */
import type { ArgDef, ArgsDef } from "citty";
import { didYouMean } from "../config/nearest.ts";

export type ArgumentValue = string | number | boolean;

export interface ArgumentsRead {
  readonly values: Readonly<Record<string, ArgumentValue>>;
  /** Flags of settings with what follows each, in order. */
  readonly rest: readonly string[];
  readonly problems: readonly string[];
}

interface Reading {
  readonly args: ArgsDef;
  readonly settingNames: ReadonlySet<string>;
  readonly positionals: readonly string[];
  readonly values: Record<string, ArgumentValue>;
  readonly rest: string[];
  readonly problems: string[];
  positionalCount: number;
}

/**
 * @param argv what follows the command's name
 * @param settingNames flags of settings, with their dashes, that may stand among the arguments; none for most commands
 */
export function readArguments(
  args: ArgsDef,
  argv: readonly string[],
  settingNames: ReadonlySet<string> = new Set(),
): ArgumentsRead {
  const positionals = Object.keys(args).filter((name) => args[name]?.type === "positional");
  const reading: Reading = { args, settingNames, positionals, values: {}, rest: [], problems: [], positionalCount: 0 };
  let at = 0;
  while (at < argv.length) {
    const token = argv[at] ?? "";
    if (token === "--") {
      for (const text of argv.slice(at + 1)) readPositional(text, reading);
      break;
    }
    if (looksLikeFlag(token)) {
      at += readFlag(token, argv.slice(at + 1), reading);
    } else {
      readPositional(token, reading);
      at += 1;
    }
  }
  finish(reading);
  return reading;
}

/** A lone dash and a negative number are values. */
function looksLikeFlag(token: string): boolean {
  return token.length > 1 && token.startsWith("-") && !/^-[\d.]/.test(token);
}

function countValues(ahead: readonly string[]): number {
  const next = ahead.findIndex(looksLikeFlag);
  return next < 0 ? ahead.length : next;
}

function readPositional(text: string, reading: Reading): void {
  const name = reading.positionals[reading.positionalCount++];
  if (name === undefined) reading.problems.push(`unexpected argument ${JSON.stringify(text)}`);
  else reading.values[name] = text;
}

/** Reads one flag. Returns how many tokens it took, its own included. */
function readFlag(token: string, ahead: readonly string[], reading: Reading): number {
  const { args, settingNames, values, rest, problems } = reading;
  const equals = token.indexOf("=");
  const flag = equals < 0 ? token : token.slice(0, equals);
  const attached = equals < 0 ? null : token.slice(equals + 1);
  if (settingNames.has(flag)) {
    const tokens = [token, ...ahead.slice(0, countValues(ahead))];
    rest.push(...tokens);
    return tokens.length;
  }
  const name = flag.slice(2);
  const about = flag.startsWith("--") && Object.hasOwn(args, name) ? args[name] : undefined;
  if (about === undefined || about.type === "positional") {
    problems.push(
      `unknown flag ${JSON.stringify(flag)}${didYouMean(flag, [...flagNames(args), ...settingNames, "--help"])}`,
    );
    // Its value, if it has one, is no second problem.
    return attached === null && reading.positionals.length === 0 ? 1 + Math.min(1, countValues(ahead)) : 1;
  }
  if (Object.hasOwn(values, name)) problems.push(`${flag} is given twice`);
  const next = countValues(ahead) > 0 ? ahead[0] : undefined;
  const isSwitch = about.type === "boolean";
  const takesNext = attached === null && next !== undefined && (!isSwitch || next === "true" || next === "false");
  const text = attached ?? (takesNext ? next : isSwitch ? "true" : undefined);
  const value = readValue(about, flag, text);
  if ("problem" in value) problems.push(value.problem);
  else values[name] = value.value;
  return takesNext ? 2 : 1;
}

/** Names of the flags with their dashes. */
function flagNames(args: ArgsDef): string[] {
  return Object.entries(args).flatMap(([name, about]) => (about.type === "positional" ? [] : [`--${name}`]));
}

type ValueRead = { readonly value: ArgumentValue } | { readonly problem: string };

/** Whether an argument takes a number: citty has no type for that, the name of its value says it. */
export function isNumber(about: ArgDef): boolean {
  return about.type === "string" && about.valueHint === "N";
}

function readValue(about: ArgDef, flag: string, text: string | undefined): ValueRead {
  if (text === undefined || text === "") return { problem: `${flag} needs a value` };
  const shown = JSON.stringify(text);
  if (about.type === "boolean") {
    if (text === "true" || text === "false") return { value: text === "true" };
    return { problem: `${flag} ${shown} is neither true nor false` };
  }
  if (isNumber(about)) {
    if (/^[1-9]\d{0,8}$/.test(text)) return { value: Number(text) };
    return { problem: `${flag} ${shown} is no number of 1 and above` };
  }
  if (about.type === "enum" && about.options?.includes(text) === false) {
    return {
      problem: `${flag} ${shown} is not known${didYouMean(text, about.options)}; allowed: ${about.options.join(", ")}`,
    };
  }
  return { value: text };
}

function finish({ args, values, problems }: Reading): void {
  for (const [name, about] of Object.entries(args)) {
    if (Object.hasOwn(values, name)) continue;
    if (about.default !== undefined) values[name] = about.default;
    else if (about.required === true) problems.push(`${name.toUpperCase()} is missing: ${about.description ?? ""}`);
  }
}
