/**
 * What the shells' completions ask: the program itself, called with a hidden word and the words of the line up to the
 * cursor, the last of which may be empty. It prints a candidate a line, a tab, and its description; or `:file`, where
 * the shell completes names of files. Nothing is printed where nothing can follow.
 */
import { call } from "../../api/client.ts";
import type { Command } from "../command-types.ts";
import { writeOut } from "../output.ts";
import { completionEntries, type CompletionEntry, type CompletionFlag, type CompletionValue } from "./entries.ts";

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

/** What may stand where the last of the words is. */
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
