/**
 * Every check of the project, in the order of their cost; then the seconds of each guest file, one line a check, and the
 * sum. Nothing is tried twice.
 *
 *     bun tests/run.ts [--all] [--only format,lint,types,house,unit,build,cli,guest]
 *
 * With `--all` every guest file runs on every kernel that it can run on, and the soak takes a quarter of an hour: for
 * releases.
 */

import { existsSync, globSync } from "node:fs";
import { basename, join } from "node:path";

import { accelerator } from "./guest/harness/accelerator.ts";
import { allKernelsVariable } from "./guest/harness/kernels.ts";
import { bootsAgain, parseTestCounts, verdictOf, type Outcome } from "./support/outcome.ts";

const root = join(import.meta.dir, "..");
const bun = process.execPath;
const tool = (name: string): string => join(root, "node_modules/.bin", name);

/** Fixtures are the kernel's texts, not ours to format. */
const sources = ["build.ts", "src", ...globSync("tests/*", { cwd: root }).filter((path) => path !== "tests/fixtures")];

/** What a test may take that boots nothing: it waits for conditions, and a machine with other work is slow. */
const testMsMax = "60000";

interface Check {
  readonly name: string;
  readonly command: readonly string[];
  /** Whether the command prints Bun's test counts; else it counts as one. */
  readonly counts: boolean;
}

const bunTest = (folder: string): readonly string[] => [bun, "test", "--timeout", testMsMax, `./tests/${folder}`];

const checks: readonly Check[] = [
  { name: "format", command: [tool("oxfmt"), "--check", ...sources], counts: false },
  { name: "lint", command: [tool("oxlint"), "--type-aware", "src", "tests", "build.ts"], counts: false },
  { name: "types", command: [tool("tsc"), "--noEmit"], counts: false },
  { name: "house", command: bunTest("house"), counts: true },
  { name: "unit", command: bunTest("unit"), counts: true },
  { name: "build", command: [bun, "build.ts"], counts: false },
  { name: "cli", command: bunTest("cli"), counts: true },
];

/**
 * Guest files, the longest first. There is one lane for those that mostly wait and one for those that keep the processor
 * busy, so that what runs at the same time does not slow each other down; a lane that has nothing left takes from the other's
 * end. A file that is not named here is one of the busy ones.
 */
const lanes = {
  sleeping: [
    "cost",
    "pace",
    "build",
    "soak",
    "horizon",
    "faults-kernel",
    "faults-socket",
    "faults-machine",
    "service",
    "doctor",
  ],
  busy: [
    "compaction",
    "faults-end",
    "packages",
    "refaults",
    "faults-cgroup",
    "pressure",
    "eviction",
    "ended",
    "control",
  ],
} as const;

const fileSecsMax = { usual: 10 * 60, all: 45 * 60 } as const;

const usage = `usage: bun tests/run.ts [--all] [--only ${[...checks.map(({ name }) => name), "guest"].join(",")}]`;

interface Choice {
  readonly all: boolean;
  readonly wanted: (name: string) => boolean;
}

/** The command line; null where it is wrong. */
function parseWords(words: readonly string[]): Choice | null {
  const rest = words.filter((word) => word !== "--all");
  const all = rest.length < words.length;
  if (rest.length === 0) return { all, wanted: () => true };
  const [flag, list = "", ...more] = rest;
  const names = list.split(",");
  const known = names.every((name) => name === "guest" || checks.some((check) => check.name === name));
  return flag === "--only" && known && more.length === 0 ? { all, wanted: (name) => names.includes(name) } : null;
}

/** Ended with us: a test's guests end with it. */
const running = new Set<Bun.Subprocess>();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    for (const child of running) child.kill("SIGKILL");
    process.exit(1);
  });
}

interface Ran {
  readonly outcome: Outcome;
  readonly output: string;
}

/** Runs one command to its end, which comes after `secsMax` at the latest; `tell` is given what it prints as it comes. */
async function run(check: Check, secsMax: number | null, tell: (part: Uint8Array) => void = () => {}): Promise<Ran> {
  const start = performance.now();
  const child = Bun.spawn([...check.command], { cwd: root, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  running.add(child);
  const limit = secsMax === null ? null : setTimeout(() => child.kill("SIGKILL"), secsMax * 1000);
  let output = "";
  const follow = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const part of stream) {
      tell(part);
      // The counts are at the end; a test that floods its output must not fill our memory.
      output = (output + decoder.decode(part, { stream: true })).slice(-1_048_576);
    }
  };
  await Promise.all([follow(child.stdout), follow(child.stderr)]);
  const status = await child.exited;
  running.delete(child);
  if (limit !== null) clearTimeout(limit);
  const seconds = (performance.now() - start) / 1000;
  if (secsMax !== null && seconds >= secsMax) output += `\nerror: ended, since it ran longer than ${secsMax} s\n`;
  const counts = check.counts ? parseTestCounts(output) : { passed: status === 0 ? 1 : 0, failed: 0, skipped: 0 };
  // A crash, a failing tool or an error outside any test counts as one failure.
  const failed = status !== 0 && counts.failed === 0 ? 1 : counts.failed;
  return { outcome: { name: check.name, ...counts, failed, seconds }, output };
}

/** A check with live output. */
async function perform(check: Check): Promise<Outcome> {
  console.log(`\n== ${check.name}: ${check.command.slice(1).join(" ")}`);
  const { outcome } = await run(check, null, (part) => process.stdout.write(part));
  return outcome;
}

/** All guest files, two at a time and each in a process of its own; what one prints is shown when it has ended. */
async function performGuests(all: boolean): Promise<readonly Ran[]> {
  console.log(`\n== guest: two files at a time, under ${await accelerator()}`);
  const names = globSync("tests/guest/*.test.ts", { cwd: root }).map((path) => basename(path, ".test.ts"));
  const ranks: readonly string[] = [...lanes.busy, ...lanes.sleeping];
  const rank = (name: string): number => (ranks.includes(name) ? ranks.indexOf(name) : lanes.busy.length - 0.5);
  const sorted = names.toSorted((left, right) => rank(left) - rank(right) || left.localeCompare(right));
  const isSleeping = (name: string): boolean => (lanes.sleeping as readonly string[]).includes(name);
  const sleeping = sorted.filter(isSleeping);
  const busy = sorted.filter((name) => !isSleeping(name));
  const ran: Ran[] = [];
  const lane = async (own: string[], other: string[]): Promise<void> => {
    for (let name = own.shift() ?? other.pop(); name !== undefined; name = own.shift() ?? other.pop()) {
      const command = [bun, "test", `./tests/guest/${name}.test.ts`];
      const done = await run({ name, command, counts: true }, all ? fileSecsMax.all : fileSecsMax.usual);
      console.log(`\n== guest: ${name}, ${done.outcome.seconds.toFixed(0)} s\n${done.output.trimEnd()}`);
      ran.push(done);
    }
  };
  await Promise.all([lane(sleeping, busy), lane(busy, sleeping)]);
  return ran;
}

function line({ name, passed, failed, skipped, seconds }: Outcome, width: number): string {
  const skips = skipped === 0 ? "" : `, ${skipped} skipped`;
  return `${name.padEnd(width)} ${`${passed} passed, ${failed} failed${skips}`.padEnd(24)} ${seconds.toFixed(1).padStart(7)} s`;
}

const choice = parseWords(process.argv.slice(2));
if (choice === null) {
  console.error(usage);
  process.exit(2);
}
if (choice.all) process.env[allKernelsVariable] = "1";

const outcomes: Outcome[] = [];
for (const check of checks.filter(({ name }) => choice.wanted(name))) outcomes.push(await perform(check));
const closing: string[] = [];
if (choice.wanted("guest")) {
  const start = performance.now();
  const ran = await performGuests(choice.all);
  const seconds = (performance.now() - start) / 1000;
  const sum = (of: (outcome: Outcome) => number): number => ran.reduce((total, { outcome }) => total + of(outcome), 0);
  const [passed, failed, skipped] = [sum((of) => of.passed), sum((of) => of.failed), sum((of) => of.skipped)];
  outcomes.push({ name: "guest", passed, failed, skipped, seconds });
  const files = ran.map(({ outcome }) => outcome).toSorted((left, right) => right.seconds - left.seconds);
  closing.push(...files.map((outcome) => `  ${line(outcome, 18)}`));
  const again = ran.reduce((total, { output }) => total + bootsAgain(output), 0);
  if (again > 0) closing.push(`guests that panicked at boot, before any command, and were booted again: ${again}`);
  const failures = join(root, "dist/guest-failures");
  if (failed > 0 && existsSync(failures)) closing.push(`consoles of failed guests: ${failures}`);
}

console.log(`\n${[...closing, ...outcomes.map((outcome) => line(outcome, 20))].join("\n")}`);
const verdict = verdictOf(outcomes);
for (const problem of verdict.problems) console.log(problem);
console.log(`${verdict.passed} passed, ${verdict.failed} failed`);
process.exit(verdict.failed > 0 || verdict.problems.length > 0 ? 1 : 0);
