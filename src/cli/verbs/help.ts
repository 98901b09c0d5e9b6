/** `help`: a page of the manual, or what a command does. */
import { didYouMean } from "../../config/nearest.ts";
import { pages, pageText, type Topic, topicOf, topics } from "../../manual/pages.ts";
import { type Command, type GroupCommand, isGroup } from "../command-types.ts";
import { exitCodes, Failure } from "../failure.ts";
import { entryLines, renderHelp } from "../help.ts";
import { type Invocation, textOf } from "../invocation.ts";
import { writeLines, writeOut } from "../output.ts";
import { manualPageLines } from "../screens/manual-page.ts";
import { heading } from "../screens/screen.ts";

/** @param program whose commands are described */
export async function help(program: GroupCommand, invocation: Invocation): Promise<number> {
  const words = ["topic", "command"].flatMap((name) => textOf(invocation, name) ?? []);
  const [word = ""] = words;
  if (words.length === 0) {
    writeLines(await overview(program, invocation));
    return exitCodes.done;
  }
  const command = commandOf(program, words);
  if (command !== null) {
    writeLines(await renderHelp(command, [program.meta.name, ...words].join(" "), invocation.terminal));
    return exitCodes.done;
  }
  const topic = words.length === 1 ? topicOf(word) : null;
  if (topic === null) {
    const near = didYouMean(words.join(" "), [...topics, ...Object.keys(program.subCommands)]);
    throw new Failure(exitCodes.usage, [
      `no command or topic ${JSON.stringify(words.join(" "))}${near}; topics: ${topics.join(", ")}`,
    ]);
  }
  await showPage(topic, invocation);
  return exitCodes.done;
}

async function overview(program: GroupCommand, { terminal }: Invocation): Promise<string[]> {
  const entries = topics.map((topic) => ({ name: topic, text: pages[topic].about }));
  return [
    ...(await renderHelp(program, program.meta.name, terminal)),
    "",
    heading(terminal, "Topics of the manual"),
    ...entryLines(entries, terminal),
    "",
    `${program.meta.name} help TOPIC prints one of them.`,
  ];
}

function commandOf(program: GroupCommand, words: readonly string[]): Command | null {
  let command: Command = program;
  for (const word of words) {
    if (!isGroup(command) || !Object.hasOwn(command.subCommands, word)) return null;
    const below: Command | undefined = command.subCommands[word];
    if (below === undefined) return null;
    command = below;
  }
  return command;
}

/** Through a pager where the page is longer than the terminal. */
async function showPage(topic: Topic, { terminal, environment }: Invocation): Promise<void> {
  const lines = manualPageLines(await pageText(topic), terminal);
  const text = `${lines.join("\n")}\n`;
  const isLong = terminal.rows !== null && lines.length >= terminal.rows;
  if (!isLong || !throughPager(text, environment)) writeOut(text);
}

/** Shows the text with `PAGER`, else `less`. Returns false where there is none. */
function throughPager(text: string, environment: Invocation["environment"]): boolean {
  const [program = "", ...words] = (environment["PAGER"] ?? "less").split(" ").filter((word) => word !== "");
  if (program === "" || Bun.which(program) === null) return false;
  // Ctrl-C is for the pager alone.
  process.on("SIGINT", () => undefined);
  Bun.spawnSync([program, ...words], {
    stdin: Buffer.from(text),
    stdout: "inherit",
    stderr: "inherit",
    env: { LESS: "FRX", ...environment },
  });
  return true;
}
