/** mem-agent(8) and mem-agent.toml(5), made from the command table and the manual. */
import { topics, pages, pageText, type Topic } from "../manual/pages.ts";
import { type Command, isGroup } from "./command-types.ts";
import { argumentEntries, usageOf } from "./help.ts";
import { headingLine, inline, plain, roffLines, termLines, textLines } from "./roff.ts";

export const manSections = ["8", "5"] as const;
export type ManSection = (typeof manSections)[number];

/** The topics whose pages are part of a man page, in their order. */
const partsOf: Readonly<Record<ManSection, readonly Topic[]>> = {
  8: ["commands", "requirements", "how-it-decides", "troubleshooting", "security"],
  5: ["settings", "rules"],
};

export interface Release {
  readonly version: string;
  /** `2026-11-28` */
  readonly date: string;
}

/** The latest release that the changelog names, `## 0.2.0 (2026-11-28)`, null where it names none. */
export function latestRelease(changelog: string): Release | null {
  const [, version, date] = /^## (\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2})\)$/m.exec(changelog) ?? [];
  return version === undefined || date === undefined ? null : { version, date };
}

/** The text of a man page, in the man macros of roff. */
export async function manPage(program: Command, section: ManSection): Promise<string> {
  const release = latestRelease(await pageText("changelog"));
  if (release === null) throw new Error("the changelog names no release with its date");
  const parts = partsOf[section];
  const name = section === "8" ? "mem-agent" : "mem-agent.toml";
  const others = topics.filter((topic) => !parts.includes(topic));
  const lines = [
    `.TH ${name.toUpperCase().replaceAll("-", "\\-")} ${section} ${release.date} "mem\\-agent ${release.version}"`,
    // Long words in narrow lines: neither hyphens that nobody typed, nor wide gaps.
    ".nh",
    ".ad l",
    ...(section === "8" ? programHead(program) : fileHead()),
    ...(await Promise.all(parts.map((topic) => partLines(program, topic, parts)))).flat(),
    ...(section === "8" ? programFoot() : []),
    headingLine("SH", "MORE OF THE MANUAL"),
    inline("`mem-agent help TOPIC` prints a page:"),
    ...others.flatMap((topic) => termLines(inline(`\`${topic}\``), inline(pages[topic].about))),
    headingLine("SH", "SEE ALSO"),
    section === "8" ? "\\fBmem\\-agent.toml\\fR(5)" : "\\fBmem\\-agent\\fR(8)",
  ];
  return `${lines.join("\n")}\n`;
}

function programHead(program: Command): readonly string[] {
  return [
    headingLine("SH", "NAME"),
    ...textLines(`mem\\-agent \\- ${plain(program.meta.description)}`),
    headingLine("SH", "SYNOPSIS"),
    inline("`mem-agent serve` [`--config` *FILE*] [`--dry-run`]"),
    ".br",
    inline("`mem-agent` *COMMAND* [*flags*]"),
    headingLine("SH", "DESCRIPTION"),
    inline("`mem-agent serve` runs as root in a Linux guest and evicts memory"),
    "that nobody has used for some time, so that the host can have it back.",
    "The other commands ask the running daemon or change its settings.",
  ];
}

function fileHead(): readonly string[] {
  return [
    headingLine("SH", "NAME"),
    "mem\\-agent.toml \\- settings of mem\\-agent",
    headingLine("SH", "DESCRIPTION"),
    inline("`/etc/mem-agent.toml` holds the settings of `mem-agent serve`."),
    "It is watched, and read again when it changes.",
  ];
}

function programFoot(): readonly string[] {
  return [
    headingLine("SH", "FILES"),
    ...termLines(inline("`/etc/mem-agent.toml`"), inline("The settings; need not exist.")),
    ...termLines(inline("`/run/mem-agent.sock`"), inline("The socket of the control commands, for root only.")),
    headingLine("SH", "ENVIRONMENT"),
    ...termLines(inline("`MEM_AGENT_ADDR`"), inline("The daemon's socket, where `--addr` is not given.")),
  ];
}

/** A page of the manual; in the one about commands every command with its arguments takes the place of the table. */
async function partLines(program: Command, topic: Topic, within: readonly Topic[]): Promise<readonly string[]> {
  const text = await pageText(topic);
  if (topic !== "commands") return roffLines(text, within);
  const [title, rest] = text.split(/<!-- generated: commands -->[^]*<!-- end: commands -->/);
  return [
    ...roffLines(title ?? "", within),
    ...commandLines(program, "mem-agent"),
    ".PP",
    ...roffLines(rest ?? "", within),
  ];
}

function commandLines(command: Command, path: string): readonly string[] {
  if (isGroup(command)) {
    return Object.entries(command.subCommands).flatMap(([name, below]) => commandLines(below, `${path} ${name}`));
  }
  return [
    headingLine("SS", usageOf(command, path)),
    ...textLines(plain(sentence(command.meta.description))),
    ...(command.settingFlags === null ? [] : [inline("Settings are flags too: see `mem-agent.toml`(5).")]),
    ...[...argumentEntries(command.args, true), ...argumentEntries(command.args, false)].flatMap(({ name, text }) =>
      termLines(argumentTerm(name), plain(text)),
    ),
  ];
}

/** `--path GLOB`: the flag bold, what it takes in italics. */
function argumentTerm(usage: string): string {
  const [name = "", value] = usage.split(" ");
  return inline(value === undefined ? `\`${name}\`` : `\`${name}\` *${value}*`);
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
