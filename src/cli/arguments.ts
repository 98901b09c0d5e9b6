/**
 * Reads a command's own arguments strictly by its definition: what is not declared is refused with the nearest right
 * name, and every problem is found before anything is done. Flags of settings have a reader of their own, so that a
 * command without them does not load the settings.
 */
import type { ArgDef, ArgsDef } from "citty";
import type { FlagReader } from "../config/flags.ts";
import { didYouMean } from "../config/nearest.ts";

/** An argument that may be given several times is a list. */
export type ArgumentValue = string | number | boolean | readonly string[];

export interface ArgumentsRead {
  readonly values: Readonly<Record<string, ArgumentValue>>;
  readonly problems: readonly string[];
  /** Each of them is a problem; it may be one of another command. */
  readonly unknownFlags: readonly string[];
}

interface Reading {
  readonly args: ArgsDef;
  readonly settings: SettingReader | null;
  readonly positionals: readonly string[];
  readonly values: Record<string, ArgumentValue>;
  readonly problems: string[];
  readonly unknownFlags: string[];
  positionalCount: number;
}

/** Reads the flags of settings that may come among the arguments. */
export type SettingReader = Pick<FlagReader, "names" | "read">;

/**
 * @param argv what follows the command's name
 * @param settings null for a command that takes no flags of settings
 */
export function readArguments(
  args: ArgsDef,
  argv: readonly string[],
  settings: SettingReader | null = null,
): ArgumentsRead {
  const positionals = Object.keys(args).filter((name) => args[name]?.type === "positional");
  const found = { values: {}, problems: [], unknownFlags: [] };
  const reading: Reading = { args, settings, positionals, ...found, positionalCount: 0 };
  let at = 0;
  while (at < argv.length) {
    const token = argv[at] ?? "";
    if (token === "--") {
      for (const text of argv.slice(at + 1)) readPositional(text, reading);
      break;
    }
    if (looksLikeFlag(token)) {
      const behind = argv.slice(at + 1);
      at += 1 + readFlag(token, behind.slice(0, countValues(behind)), reading);
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
  const last = reading.positionals.at(-1);
  if (last !== undefined && isList(reading.args[last]) && reading.positionalCount >= reading.positionals.length - 1) {
    append(reading.values, last, text);
    return;
  }
  const name = reading.positionals[reading.positionalCount++];
  if (name === undefined) {
    reading.problems.push(`unexpected argument ${JSON.stringify(text)}${didYouMean(`--${text}`, flagNames(reading))}`);
  } else reading.values[name] = text;
}

/** Reads one flag. Returns how many of the words ahead, which go up to the next flag, it took. */
function readFlag(token: string, ahead: readonly string[], reading: Reading): number {
  const { args, values, problems } = reading;
  const equals = token.indexOf("=");
  const flag = equals < 0 ? token : token.slice(0, equals);
  const attached = equals < 0 ? null : token.slice(equals + 1);
  const taken = reading.settings?.read(flag, attached, ahead) ?? null;
  if (taken !== null) return taken;
  const name = flag.slice(2);
  const about = flag.startsWith("--") && Object.hasOwn(args, name) ? args[name] : undefined;
  if (about === undefined || about.type === "positional") {
    reading.unknownFlags.push(flag);
    problems.push(`unknown flag ${JSON.stringify(flag)}${didYouMean(flag, [...flagNames(reading), "--help"])}`);
    // Its value, if it has one, is no second problem.
    return attached === null && reading.positionals.length === 0 ? Math.min(1, ahead.length) : 0;
  }
  if (Object.hasOwn(values, name) && !isList(about)) problems.push(`${flag} is given twice`);
  const next = ahead[0];
  const isSwitch = about.type === "boolean";
  const takesNext = attached === null && next !== undefined && (!isSwitch || next === "true" || next === "false");
  const text = attached ?? (takesNext ? next : isSwitch ? "true" : undefined);
  const value = readValue(about, flag, text);
  if ("problem" in value) problems.push(value.problem);
  else if (isList(about)) append(values, name, String(value.value));
  else values[name] = value.value;
  return takesNext ? 1 : 0;
}

/** Names of the flags with their dashes. */
function flagNames({ args, settings }: Reading): string[] {
  const own = Object.entries(args).flatMap(([name, about]) => (about.type === "positional" ? [] : [`--${name}`]));
  return [...own, ...(settings?.names ?? [])];
}

type ValueRead = { readonly value: ArgumentValue } | { readonly problem: string };

/** Whether an argument takes a number: citty has no type for that, the name of its value says it. */
export function isNumber(about: ArgDef): boolean {
  return about.type === "string" && about.valueHint === "N";
}

/** Whether it may be given several times: the name of its value says that too. */
export function isList(about: ArgDef | undefined): boolean {
  return (about?.valueHint ?? "").endsWith("…");
}

function append(values: Record<string, ArgumentValue>, name: string, text: string): void {
  const before = values[name];
  values[name] = [...(Array.isArray(before) ? (before as readonly string[]) : []), text];
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
