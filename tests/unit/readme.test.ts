/** README.md and the manual tell the truth: made parts are fresh, and its command lines, settings, links and paths are there. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { examine } from "../../src/agent/doctor/machine.ts";
import { MemAgent } from "../../src/agent/mem-agent.ts";
import { readArguments } from "../../src/cli/arguments.ts";
import { type Command, isGroup } from "../../src/cli/command-types.ts";
import { controlProgram, program, serverProgram } from "../../src/cli/commands.ts";
import { Failure } from "../../src/cli/failure.ts";
import { readWithSettings, settingFlagsOf } from "../../src/cli/setting-arguments.ts";
import { version } from "../../src/cli/version.ts";
import { defaultSettings } from "../../src/config/schema.ts";
import { parseConfig } from "../../src/config/toml.ts";
import { topics } from "../../src/manual/pages.ts";
import { documents, leafCommands, withParts } from "../support/readme.ts";

const root = join(import.meta.dir, "../..");
const pages = documents();
/** All of them: what one page says the others need not. */
const readme = pages.map(({ text }) => text).join("\n\n");
const packageScripts = Object.keys(
  (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object }).scripts,
);

interface Block {
  readonly language: string;
  readonly text: string;
}

const blocks: readonly Block[] = [...readme.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(
  ([, language = "", text = ""]) => ({ language, text }),
);
const prose = readme.replaceAll(/^```[^]*?^```$/gm, "");
const codeSpans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, text = ""]) => text);

function blocksOf(language: string): readonly string[] {
  return blocks.filter((block) => block.language === language).map(({ text }) => text);
}

/** Words of a shell line, as far as README needs them: quotes, comments, and an end at `|`, `>`, `&&`, `;`. */
function shellCommands(line: string): string[][] {
  const commands: string[][] = [[]];
  let redirected = false;
  for (const [token, quoted] of line.matchAll(/'([^']*)'|&&?|[|;>]|[^\s'|;>&]+/g)) {
    if (token.startsWith("#")) break;
    if (redirected) redirected = false;
    else if (token === ">") redirected = true;
    else if (/^(&&?|[|;])$/.test(token)) commands.push([]);
    else commands.at(-1)?.push(quoted ?? token);
  }
  return commands;
}

const programs: Readonly<Record<string, Command>> = {
  "mem-agent": program,
  "mem-agent-ctl": controlProgram,
  "mem-agent-srv": serverProgram,
};

/** What the program would say to this command line, without running it. */
function problemsOf([name = "", ...argv]: readonly string[]): readonly string[] {
  let command: Command | undefined = programs[name.slice(name.lastIndexOf("/") + 1)];
  let at = 0;
  while (command !== undefined && isGroup(command)) {
    const word: string = argv[at] ?? "";
    if (word === "" || word === "--version" || word === "--help") return [];
    if (Object.hasOwn(command.subCommands, word)) at += 1;
    else if (command.implied === null) return [`no command ${word}`];
    command = command.subCommands[Object.hasOwn(command.subCommands, word) ? word : (command.implied ?? "")];
  }
  if (command === undefined) return [`no program ${name}`];
  const rest = argv.slice(at).filter((word) => word !== "--help");
  if (command.settingFlags === null) return readArguments(command.args, rest).problems;
  try {
    readWithSettings(command, rest, program);
    return [];
  } catch (error) {
    if (error instanceof Failure) return error.lines;
    throw error;
  }
}

const isOurs = (words: readonly string[]): boolean => /^(\S*\/)?mem-agent(-ctl|-srv)?$/.test(words[0] ?? "");
const shellLines = blocksOf("sh").flatMap((text) => text.split("\n"));
/** A span that is a whole command line; one with a blank left open (`…`, FILE) names only the command. */
const spanLines = codeSpans.filter((text) => /^(mem-agent|mem-agent-ctl|mem-agent-srv)( |$)/.test(text));

const knownFlags = new Set(
  leafCommands().flatMap(({ command }) => [
    ...Object.keys(command.args).map((name) => `--${name}`),
    ...settingFlagsOf(command).map(({ name }) => `--${name}`),
  ]),
);
/** Flags of other programs, and families of ours. */
const otherFlags = new Set(["--vsock", "--help", "--version", "--section-key", "--collector", "--all", "--balloon"]);

test("the parts that are made from the source are fresh", () => {
  for (const { path, text } of pages) {
    expect(withParts(text) === text, `${path} is stale; run: bun tests/support/readme.ts`).toBe(true);
  }
}, 60_000);

test("a stale part, a nameless part and a part without end are seen", () => {
  const part = "<!-- generated: exit codes -->\nold\n<!-- end: exit codes -->";
  expect(withParts(part)).toContain("| 3 | no daemon answers there |");
  expect(withParts(withParts(part))).toBe(withParts(part));
  expect(() => withParts(part.replaceAll("exit codes", "xyzzy"))).toThrow('cannot make "xyzzy"');
  expect(() => withParts(part.replace("end: exit codes", "end: routes"))).toThrow("its end is missing");
});

describe("every command line is one that the program takes", () => {
  const lines = [...shellLines, ...spanLines.filter((text) => !/…|\b[A-Z]{2,}\b/.test(text))];
  const ours = lines.flatMap((line) => shellCommands(line).filter(isOurs));
  test("there are some", () => expect(ours.length).toBeGreaterThan(30));
  for (const words of new Set(ours.map((words) => words.join("\0")))) {
    test(words.replaceAll("\0", " "), () => expect(problemsOf(words.split("\0"))).toEqual([]));
  }
  test("a wrong one would be seen", () => {
    expect(problemsOf(["mem-agent", "sttaus"])).toEqual(["no command sttaus"]);
    expect(problemsOf(["mem-agent", "status", "--wach"]).join()).toContain("--watch");
    expect(problemsOf(["mem-agent-ctl", "serve"])).toEqual(["no command serve"]);
    expect(problemsOf(["mem-agent", "memcgset", "--memcg-period-secs", "0"])).toHaveLength(1);
    expect(shellCommands("a 'b c' > d && e # f")).toEqual([["a", "b c"], ["e"]]);
  });
});

test("commands and flags that are named in the text are there", () => {
  const commands = spanLines.map((text) => text.split(" ").slice(1)).filter(([word]) => /^[a-z]+$/.test(word ?? ""));
  const names = leafCommands().flatMap(({ name }) => [name, name.split(" ")[0] ?? ""]);
  expect(commands.map(([word = ""]) => word).filter((word) => !names.includes(word))).toEqual([]);
  const ours = codeSpans.filter((text) => !/^(npm|curl|node|socat|systemctl|apt|dnf) /.test(text));
  const flags = ours.flatMap((text) => text.match(/(?<![\w-])--[a-z][a-z-]*[a-z](?!-?[a-z…])/g) ?? []);
  expect(flags.filter((flag) => !knownFlags.has(flag) && !otherFlags.has(flag))).toEqual([]);
});

test("every TOML sample passes the check", async () => {
  const samples = blocksOf("toml");
  expect(samples.length).toBeGreaterThan(1);
  for (const text of samples) expect((await parseConfig(text, { file: "README.md" })).problems).toEqual([]);
});

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(path: string): readonly string[] {
  const text = pages.find((page) => page.path === path)?.text ?? "";
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .replaceAll(" ", "-"),
  );
}

test("links lead somewhere", () => {
  const links = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, to = ""]) => ({ path, to })),
  );
  expect(links.length).toBeGreaterThan(10);
  const broken = links.filter(({ path, to }) => {
    if (to.startsWith("https://")) return false;
    const [file = "", anchor] = to.split("#");
    const target = file === "" ? path : join(dirname(path), file);
    return !existsSync(join(root, target)) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
  });
  expect(broken).toEqual([]);
});

test("README fits two screens, and every topic of the manual has its page", () => {
  const [first] = pages;
  expect(first?.text.split("\n").length).toBeLessThanOrEqual(250);
  const named = pages.slice(1).map(({ path }) => path.replace(/^src\/manual\/(.*)\.md$/, "$1"));
  expect(named).toEqual([...topics].toSorted());
});

test("paths of the source that are named are there", () => {
  const named = [
    ...codeSpans,
    ...blocksOf("").flatMap((text) => text.split("\n").map((line) => line.split(" ")[0] ?? "")),
  ];
  const paths = named.flatMap((text) => text.match(/(?<![\w/.])(src|tests|\.ci)\/[\w./-]+/g) ?? []);
  expect(paths.length).toBeGreaterThan(15);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test("every warning has its line, and no other is named", () => {
  const sources = [...new Bun.Glob("src/{agent,api}/**/*.ts").scanSync(root)].map((path) =>
    readFileSync(join(root, path), "utf8"),
  );
  const keys = sources.flatMap((text) =>
    [...text.matchAll(/(?:Warning = |\braise\(|\bfailed\()"(\w+)"/g)].map(([, key = ""]) => key),
  );
  const told = [...readme.matchAll(/^\|[^|]*\| warning ([^|]+)\|/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, key = ""]) => key),
  );
  expect([...new Set(told)].toSorted()).toEqual([...new Set(keys)].toSorted());
});

test("every check of doctor has its line, and no other is named", () => {
  const nothing = mkdtempSync(join(tmpdir(), "mem-agent-readme-"));
  const keys = examine(nothing, defaultSettings).checks.map(({ key }) => key);
  rmSync(nothing, { recursive: true });
  const table = readme.slice(readme.indexOf("| check | needed for |"), readme.indexOf("`doctor --json` prints"));
  const told = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, key = ""]) => key);
  // These three the command itself adds: they need no look at the kernel.
  expect(told.toSorted()).toEqual([...keys, "config", "daemon", "binary"].toSorted());
});

test("file names of a release carry the version", () => {
  const versions = [...readme.matchAll(/mem-agent-(\d+\.\d+\.\d+)/g)].map(([, found = ""]) => found);
  expect(versions.length).toBeGreaterThan(2);
  expect(versions.filter((found) => found !== version)).toEqual([]);
});

test("npm's verbs are there", () => {
  const verbs = [...readme.matchAll(/npm run ([a-z]+)/g)].map(([, name = ""]) => name);
  expect(verbs.filter((name) => !packageScripts.includes(name))).toEqual([]);
});

test("the library's sample names what the library has", () => {
  const [sample = ""] = blocksOf("ts").filter((text) => text.includes('from "mem-agent"'));
  const called = [...sample.matchAll(/agent\.(\w+)\(/g)].map(([, name = ""]) => name);
  expect(called.length).toBeGreaterThan(4);
  expect(called.filter((name) => !(name in MemAgent.prototype))).toEqual([]);
  expect(() => new Bun.Transpiler({ loader: "ts" }).transformSync(sample)).not.toThrow();
});

test("it names no place of one machine", () => {
  expect(readme).not.toMatch(/\/(work|root|tmp)\/|registry\.|deb\.debian/);
});
