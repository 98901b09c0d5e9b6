/**
 * Every check of the project, in the order of their cost, each with live output; then one line a check, and the sum.
 *
 *     bun tests/run.ts [--only format,lint,types,house,unit,build,cli,guest]
 */

import { existsSync, globSync } from "node:fs";
import { join } from "node:path";

import { parseTestCounts, verdictOf, type Outcome } from "./support/outcome.ts";

const root = join(import.meta.dir, "..");
const bun = process.execPath;
const tool = (name: string): string => join(root, "node_modules/.bin", name);

/** Fixtures are the kernel's texts, not ours to format. */
const sources = ["build.ts", "src", ...globSync("tests/*", { cwd: root }).filter((path) => path !== "tests/fixtures")];

interface Check {
  readonly name: string;
  readonly commands: readonly (readonly string[])[];
  /** Whether its commands print Bun's test counts; else each counts as one. */
  readonly counts: boolean;
}

/** One process a file, so that what one leaves behind (or a crash) cannot reach the next. */
function filesEach(folder: string): readonly (readonly string[])[] {
  const files = globSync(`tests/${folder}/**/*.test.ts`, { cwd: root }).toSorted();
  return files.map((file) => [bun, "test", `./${file}`]);
}

/** What a test may take that boots nothing: it waits for conditions, and a machine with other work is slow. */
const testMsMax = "60000";

const checks: readonly Check[] = [
  { name: "format", commands: [[tool("oxfmt"), "--check", ...sources]], counts: false },
  { name: "lint", commands: [[tool("oxlint"), "--type-aware", "src", "tests", "build.ts"]], counts: false },
  { name: "types", commands: [[tool("tsc"), "--noEmit"]], counts: false },
  { name: "house", commands: [[bun, "test", "--timeout", testMsMax, "./tests/house"]], counts: true },
  { name: "unit", commands: [[bun, "test", "--timeout", testMsMax, "./tests/unit"]], counts: true },
  { name: "build", commands: [[bun, "build.ts"]], counts: false },
  { name: "cli", commands: [[bun, "test", "--timeout", testMsMax, "./tests/cli"]], counts: true },
  { name: "guest", commands: filesEach("guest"), counts: true },
];

function chosenChecks(words: readonly string[]): readonly Check[] {
  if (words.length === 0) return checks;
  const [flag, list = "", ...rest] = words;
  const names = list.split(",");
  const unknown = names.filter((name) => !checks.some((check) => check.name === name));
  if (flag !== "--only" || rest.length > 0 || unknown.length > 0) {
    console.error(`usage: bun tests/run.ts [--only ${checks.map((check) => check.name).join(",")}]`);
    process.exit(2);
  }
  return checks.filter((check) => names.includes(check.name));
}

/** Ended with us: a test's guests end with it. */
let current: Bun.Subprocess | null = null;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    current?.kill(signal);
    process.exit(1);
  });
}

/** Runs one command, shows what it prints as it comes, and returns it with the exit status. */
async function shown(command: readonly string[]): Promise<{ readonly status: number; readonly output: string }> {
  const child = Bun.spawn([...command], { cwd: root, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  current = child;
  let output = "";
  const follow = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const part of stream) {
      process.stdout.write(part);
      // The counts stand at the end; a test that floods its output must not fill our memory.
      output = (output + decoder.decode(part, { stream: true })).slice(-65_536);
    }
  };
  await Promise.all([follow(child.stdout), follow(child.stderr)]);
  return { status: await child.exited, output };
}

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

async function performCommand(check: Check, command: readonly string[]): Promise<Counts> {
  console.log(
    `\n== ${check.name}: ${command
      .slice(check.counts ? 2 : 0)
      .join(" ")
      .replaceAll(`${root}/`, "")}`,
  );
  const { status, output } = await shown(command);
  const counts = check.counts ? parseTestCounts(output) : { passed: 1, failed: 0, skipped: 0 };
  // A crash, a failing tool or an error outside any test counts as one failure.
  const silent = status !== 0 && counts.failed === 0;
  return {
    passed: check.counts || status === 0 ? counts.passed : 0,
    failed: counts.failed + (silent ? 1 : 0),
    skipped: counts.skipped,
  };
}

/** Guest files that failed at first and passed at the second try: said at the end, since a flaw may hide there. */
const secondTries: string[] = [];

/**
 * An emulated guest on a machine that does something else beside is up to ten times slower, and what it shows in time
 * then shows nothing. So a file of guest tests has a second try; one that is really broken fails both.
 */
async function performTwice(check: Check, command: readonly string[]): Promise<Counts> {
  const first = await performCommand(check, command);
  if (first.failed === 0 || check.name !== "guest") return first;
  console.log(`\n== ${check.name}: ${first.failed} failed; a second try`);
  const second = await performCommand(check, command);
  if (second.failed === 0) secondTries.push(command.at(-1) ?? "");
  return second;
}

async function perform(check: Check): Promise<Outcome> {
  const start = performance.now();
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const command of check.commands) {
    const begin = performance.now();
    const counts = await performTwice(check, command);
    if (check.name === "guest") console.log(`== ${((performance.now() - begin) / 1000).toFixed(0)} s`);
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.skipped += counts.skipped;
  }
  return { name: check.name, ...sum, seconds: (performance.now() - start) / 1000 };
}

const outcomes: Outcome[] = [];
for (const check of chosenChecks(process.argv.slice(2))) outcomes.push(await perform(check));

console.log("");
for (const { name, passed, failed, skipped, seconds } of outcomes) {
  const skips = skipped === 0 ? "" : `, ${skipped} skipped`;
  console.log(`${name.padEnd(8)} ${`${passed} passed, ${failed} failed${skips}`.padEnd(32)} ${seconds.toFixed(1)} s`);
}
for (const file of secondTries) console.log(`passed only at the second try: ${file}`);
const failures = join(root, "dist/guest-failures");
if (outcomes.some((outcome) => outcome.name === "guest" && outcome.failed > 0) && existsSync(failures)) {
  console.log(`consoles of failed guests: ${failures}`);
}
const verdict = verdictOf(outcomes, process.env["CI"] === "true");
for (const problem of verdict.problems) console.log(problem);
console.log(`${verdict.passed} passed, ${verdict.failed} failed`);
process.exit(verdict.failed > 0 || verdict.problems.length > 0 ? 1 : 0);
