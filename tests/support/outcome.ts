/** How the test runner counts and judges. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface Outcome extends Counts {
  readonly name: string;
  readonly seconds: number;
}

export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  /** Why the run is not good although no test failed. */
  readonly problems: readonly string[];
}

/** What a guest prints when it panicked before its first command and is booted again; followed by the kernel. */
export const bootAgainText = "guest: panicked at boot, booted again:";

/** How many of those lines there are. */
export function bootsAgain(output: string): number {
  return output.split("\n").filter((line) => line.startsWith(bootAgainText)).length;
}

/** The lines ` 12 pass`, ` 1 fail`, ` 2 skip` and ` 1 todo` that end the output of `bun test`. */
export function parseTestCounts(output: string): Counts {
  const count = (word: string): number =>
    Number([...output.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))].at(-1)?.[1] ?? 0);
  return { passed: count("pass"), failed: count("fail"), skipped: count("skip") + count("todo") };
}

/** A run that executed no test of a kind that it was to run is no success, nor is one that skipped any. */
export function verdictOf(outcomes: readonly Outcome[]): Verdict {
  const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const problems = outcomes
    .filter((outcome) => outcome.passed + outcome.failed === 0)
    .map((outcome) => `cannot call this a success: ${outcome.name} executed no test`);
  const skipped = sum((outcome) => outcome.skipped);
  if (skipped > 0) problems.push(`cannot call this a success: ${skipped} skipped`);
  return { passed: sum((outcome) => outcome.passed), failed: sum((outcome) => outcome.failed), problems };
}
