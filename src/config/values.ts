/** Reads one value of a setting, and says what is allowed instead of a refused one. */
import * as v from "valibot";
import { vsockCidMax } from "../base/address.ts";
import { parseSpan } from "../base/units.ts";
import { didYouMean } from "./nearest.ts";
import { show } from "./problems.ts";
import type { Setting, SettingAbout, SettingKind, SettingUnit } from "./schema.ts";

/** What may stand there: `a whole number from 0 to 200`. */
export function allowedText({
  kind,
  unit = null,
}: Pick<SettingAbout, "kind"> & Partial<Pick<SettingAbout, "unit">>): string {
  switch (kind.type) {
    case "boolean":
      return "true or false";
    case "whole": {
      const range = kind.max === null ? `>= ${kind.min}` : `from ${kind.min} to ${kind.max}`;
      const also = unit === "seconds" ? '; files and flags take "10m" too' : "";
      return `a whole number ${range}${kind.word === null ? "" : `, or "${kind.word}"`}${also}`;
    }
    case "decimal":
      return `a number from ${kind.min} to ${kind.max}, decimals too`;
    case "choice":
      return kind.choices.join(", ");
    case "text":
      return kind.allowed;
    case "cids":
      return `numbers from 0 to ${vsockCidMax}, at least one`;
    case "nodes":
      break;
  }
  return "numbers of NUMA nodes (0 to 1023), at least one; leave it out for all nodes";
}

export type ReadValue =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string; readonly allowed: string };

/** Checks a value against the schema of its setting; the value that comes back is the one to use. */
export function readValue(setting: Setting, raw: unknown): ReadValue {
  const result = v.safeParse(setting.schema, raw);
  if (result.success) return { ok: true, value: result.output };
  return { ok: false, message: refusal(setting, raw), allowed: allowedText(setting) };
}

function refusal({ kind, unit }: SettingAbout, raw: unknown): string {
  const shown = show(raw);
  switch (kind.type) {
    case "boolean":
      return `${shown} is not true or false`;
    case "whole":
      if (typeof raw === "number" && !Number.isInteger(raw)) return `${shown} is not a whole number`;
      return outOfRange(kind, raw) ?? `${shown} is not ${numberNoun(unit)}`;
    case "decimal":
      return outOfRange(kind, raw) ?? `${shown} is not ${numberNoun(unit)}`;
    case "choice":
      return `${shown} is not known${typeof raw === "string" ? didYouMean(raw, kind.choices) : ""}`;
    case "text":
      return `${shown} is not ${kind.noun}`;
    case "cids":
      return Array.isArray(raw) && raw.length === 0
        ? "an empty list lets nobody in"
        : `${shown} is not a list of context ids`;
    case "nodes":
      break;
  }
  return Array.isArray(raw) && raw.length === 0 ? "an empty list names no node" : `${shown} is not a list of nodes`;
}

function numberNoun(unit: SettingUnit | null): string {
  if (unit === "percent") return "a percentage";
  return unit === null ? "a number" : `a number of ${unit}`;
}

function outOfRange(
  kind: SettingKind & { readonly min: number; readonly max: number | null },
  raw: unknown,
): string | null {
  if (typeof raw === "bigint") return raw < 0n ? `${show(raw)} is too small` : `${show(raw)} is too large`;
  if (typeof raw !== "number" || Number.isNaN(raw)) return null;
  return raw < kind.min ? `${show(raw)} is too small` : `${show(raw)} is too large`;
}

/** The value that a flag's text stands for, still to be checked; text that stands for none stays text. */
export function valueOfText({ kind, unit }: Pick<SettingAbout, "kind" | "unit">, text: string): unknown {
  if (unit === "seconds") return secondsOfText(text) ?? numberOfText(text);
  switch (kind.type) {
    case "boolean":
      return text === "true" ? true : text === "false" ? false : text;
    case "whole":
      return numberOfText(text);
    case "decimal":
      return /^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : text;
    case "choice": {
      const word = text.toLowerCase();
      return kind.aliases[word] ?? (kind.choices.includes(word) ? word : text);
    }
    case "text":
      return text;
    case "cids":
      return /^\d+(,\d+)*$/.test(text) ? text.split(",").map(Number) : text;
    case "nodes":
      break;
  }
  return /^\d+(:\d+)*$/.test(text) ? text.split(":").map(Number) : text;
}

function numberOfText(text: string): unknown {
  return /^[+-]?\d+$/.test(text) ? integerOf(text) : /^[+-]?\d+\.\d+$/.test(text) ? Number(text) : text;
}

/** Seconds of a span with its unit, such as `10m`; null for every other text. */
export function secondsOfText(text: string): number | null {
  return /[a-z]$/.test(text) ? parseSpan(text) : null;
}

function integerOf(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text.replace(/^\+/, ""));
}
