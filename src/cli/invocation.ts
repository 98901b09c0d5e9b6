/** One call of a command: what its verb gets to see of the world. */
import type { ArgumentValue } from "./arguments.ts";
import type { RuleEdits } from "../config/rules.ts";
import type { SettingsOverrides } from "../config/schema.ts";
import type { Terminal } from "./screens/terminal.ts";

export interface Invocation {
  /** The command's own arguments by name, validated; absent where they were not given and have no default. */
  readonly args: Readonly<Record<string, ArgumentValue | undefined>>;
  /** What the setting flags say; empty for commands without them. */
  readonly overrides: SettingsOverrides;
  /** What `--memcg-add`, `--memcg-set` and `--memcg-del` say. */
  readonly edits: RuleEdits;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly terminal: Terminal;
  /** How the command was called: `mem-agent status`. */
  readonly command: string;
}

export function isOn(invocation: Invocation, name: string): boolean {
  return invocation.args[name] === true;
}

/** The value of an argument that takes a text, null where it was not given. */
export function textOf(invocation: Invocation, name: string): string | null {
  const value = invocation.args[name];
  return typeof value === "string" ? value : null;
}

/** The values of an argument that may be given several times; empty where it was not given. */
export function listOf(invocation: Invocation, name: string): readonly string[] {
  const value = invocation.args[name];
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? (value as readonly string[]) : [];
}
