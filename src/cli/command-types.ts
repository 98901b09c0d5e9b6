/** What a command is: the types of the command table, for the table and for all that read it. */
import type { ArgsDef, CommandContext, CommandDef } from "citty";

/** Which setting flags a command takes beside its own arguments; they come from the settings' declaration. */
export type SettingFlags = "serve" | "memcgset" | "compactset";

interface Meta {
  readonly name: string;
  readonly description: string;
  /** Of a whole program. */
  readonly version?: string;
}

/** Words of a command's output that its help explains: title, then each word with its meaning. */
export type Words = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface LeafCommand extends CommandDef {
  readonly meta: Meta;
  readonly args: ArgsDef;
  readonly settingFlags: SettingFlags | null;
  readonly words: (() => Promise<Words>) | null;
  readonly run: (context: Pick<CommandContext, "data">) => Promise<number>;
}

export interface GroupCommand extends CommandDef {
  readonly meta: Meta;
  readonly subCommands: Readonly<Record<string, Command>>;
  /** The command that is meant where the words behind the group name none; null where one must be named. */
  readonly implied: string | null;
}

export type Command = LeafCommand | GroupCommand;

export function isGroup(command: Command): command is GroupCommand {
  return command.subCommands !== undefined;
}
