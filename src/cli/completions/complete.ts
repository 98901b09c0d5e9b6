/**
 * What the shells' completions ask: the program itself, called with a hidden word and the words of the line up to the
 * cursor, the last of which may be empty. It prints a candidate a line, a tab, and its description; or `:file`, where
 * the shell completes names of files. Nothing is printed where nothing can follow.
 */
import { call } from "../../api/client.ts";
import type { Command } from "../command-types.ts";
import { writeOut } from "../output.ts";
import {
  completionEntries,
  type CompletionEntry,
  type CompletionFlag,
  type CompletionValue,
  type RuleKey,
} from "./entries.ts";

export interface Candidate {
  readonly word: string;
  readonly text: string;
}

/** Paths of cgroups, from the daemon; none where nobody answers at once. */
export type KnownCgroups = () => Promise<readonly string[]>;

const answerMs = 300;

export async function complete(program: Command, words: readonly string[], addr: string): Promise<number> {
  const found = await candidates(completionEntries(program), words, async () => {
    const { targets } = await call(addr, "memcgStatus", { timeoutMs: answerMs });
    return [...new Set(targets.map(({ path }) => path))];
  });
  writeOut(found === "file" ? ":file\n" : found.map(({ word, text }) => `${word}\t${text}\n`).join(""));
  return 0;
}

/** What the last of the words may be. */
export async function candidates(
  entries: readonly CompletionEntry[],
  line: readonly string[],
  cgroups: KnownCgroups,
): Promise<readonly Candidate[] | "file"> {
  // bash makes words of equals signs; the other shells leave `--flag=value` in one piece.
  const words = line.slice(0, -1).filter((word) => word !== "=");
  const last = line.at(-1) ?? "";
  const { entry, used } = entryOf(entries, words);
  const [, joinedFlag = null, joinedValue = ""] = /^(--[a-z0-9-]+)=(.*)$/s.exec(last) ?? [];
  const lastFlag = words.findLastIndex((word) => word.startsWith("--"));
  const behind = entry.flags.find(({ name }) => name === words[lastFlag]);
  if (behind?.value.type === "rule" && !last.startsWith("-")) {
    return ruleCandidates(
      behind.value.keys,
      lastFlag === words.length - 1 ? null : (words.at(-1) ?? null),
      last,
      cgroups,
    );
  }
  const flag = entry.flags.find(({ name }) => name === (joinedFlag ?? words.at(-1)));
  if (flag !== undefined && flag.value.type !== "none" && (joinedFlag !== null || !isDone(flag, last))) {
    const found = await valuesOf(flag.value, joinedFlag === null ? last : joinedValue, cgroups);
    if (found === "file" || joinedFlag === null) return found;
    return found.map(({ word, text }) => ({ word: `${joinedFlag}=${word}`, text }));
  }
  const flags = entry.flags.map(({ name, text }) => ({ word: name, text }));
  const commands = used === words.length ? entry.commands.map(({ name, text }) => ({ word: name, text })) : [];
  const own = matching([...commands, ...flags], last);
  if (last.startsWith("-") || entry.positional.type === "none") return own;
  const positional = await valuesOf(entry.positional, last, cgroups);
  return positional === "file" ? "file" : [...positional, ...own];
}

/**
 * The next key of a rule, or the value of the key that the word ends with. bash takes `path=/a` apart: there the word
 * before ends with the key.
 */
async function ruleCandidates(
  keys: readonly RuleKey[],
  before: string | null,
  last: string,
  cgroups: KnownCgroups,
): Promise<readonly Candidate[]> {
  const part = last.slice(last.lastIndexOf(",") + 1);
  const equals = part.indexOf("=");
  const ended = before?.slice(before.lastIndexOf(",") + 1);
  const name = equals >= 0 ? part.slice(0, equals) : part === last ? ended : undefined;
  const key = keys.find((one) => one.name === name);
  if (key !== undefined) {
    const start = part.slice(equals + 1);
    const prefix = last.slice(0, last.length - start.length);
    const found = await valuesOf(key.value, start, cgroups);
    return found === "file" ? [] : found.map(({ word, text }) => ({ word: prefix + word, text }));
  }
  const prefix = last.slice(0, last.length - part.length);
  return matching(
    keys.map(({ name: word, text }) => ({ word: `${prefix}${word}=`, text })),
    last,
  );
}

/** A boolean setting may stand alone: after it a word with dashes is the next flag. */
function isDone({ value }: CompletionFlag, last: string): boolean {
  return value.type === "choice" && last.startsWith("--");
}

/** The deepest command that the words name, and how many of them name it. */
function entryOf(
  entries: readonly CompletionEntry[],
  words: readonly string[],
): { readonly entry: CompletionEntry; readonly used: number } {
  let found = { entry: entries[0] ?? nothing, used: 0 };
  for (let used = 1; used <= words.length; used++) {
    const key = words.slice(0, used).join(" ");
    const entry = entries.find((one) => one.words.join(" ") === key);
    if (entry === undefined) break;
    found = { entry, used };
  }
  return found;
}

const nothing: CompletionEntry = { words: [], commands: [], flags: [], positional: { type: "none" } };

async function valuesOf(
  value: CompletionValue,
  last: string,
  cgroups: KnownCgroups,
): Promise<readonly Candidate[] | "file"> {
  switch (value.type) {
    case "none":
    case "any":
    case "rule":
      return [];
    case "file":
      return "file";
    case "choice":
      return matching(
        value.choices.map((word) => ({ word, text: "" })),
        last,
      );
    case "cgroup":
      return matching(
        (await cgroups().catch(() => [])).map((word) => ({ word, text: "cgroup" })),
        last,
      );
    default:
      return value satisfies never;
  }
}

function matching(found: readonly Candidate[], start: string): readonly Candidate[] {
  return found.filter(({ word }) => word.startsWith(start));
}
