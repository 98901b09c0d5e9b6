/** The table of README on where a value comes from, carried out on a daemon row by row. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Daemon } from "../../../src/agent/daemon.ts";
import { DaemonTrial, inForce } from "./daemon-trial.ts";

interface Row {
  readonly what: string;
  readonly inFile: string;
  readonly inForce: number;
  readonly origin: string;
}

function rows(): Row[] {
  const readme = readFileSync(join(import.meta.dir, "../../../README.md"), "utf8");
  const table = /^\| then \| in the file \| in force \| origin \|\n\|.*\n((?:\|.*\n)+)/m.exec(readme)?.[1] ?? "";
  return table
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [, what = "", inFile = "", value = "", origin = ""] = line.split("|").map((cell) => cell.trim());
      return { what, inFile: inFile.replaceAll("`", ""), inForce: Number(value), origin };
    });
}

const trial = new DaemonTrial();
afterAll(() => trial[Symbol.asyncDispose]());

type Step = (daemon: Daemon, text: string) => Promise<unknown>;

async function edit(daemon: Daemon, text: string): Promise<void> {
  writeFileSync(trial.path, text);
  await daemon.reload();
}

/** What the words of the first column mean; the first row is the start itself. */
const steps: readonly (readonly [words: RegExp, step: Step])[] = [
  [/^`serve --memcg-period-secs 300`$/, () => Promise.resolve()],
  [/^somebody adds `swap = true` to the file$/, (daemon, text) => edit(daemon, `${text}swap = true\n`)],
  [/^somebody edits it to `period_secs = 120`$/, edit],
  [/^`memcgset --memcg-period-secs 60`$/, (daemon) => daemon.memcgSet({ period_secs: 60 }, { save: false })],
  [/^`memcgset --memcg-period-secs 45 --save`$/, (daemon) => daemon.memcgSet({ period_secs: 45 }, { save: true })],
  [/^somebody removes the key$/, edit],
];

test("each row of the table is true", async () => {
  const told = rows();
  expect(told).toHaveLength(steps.length);
  const first = `[memcg]\n${told[0]?.inFile}\n`;
  const daemon = await trial.serve(first, { memcg: { disabled: true, period_secs: 300 } });
  for (const [index, { what, inFile, inForce: value, origin }] of told.entries()) {
    const [words, step] = steps[index] ?? [/^$/, () => Promise.resolve()];
    expect(what).toMatch(words);
    await step(daemon, `[memcg]\n${inFile}\n`);
    expect([what, ...(inForce(daemon, "memcg.period_secs") ?? [])]).toEqual([what, value, origin]);
    expect(/^period_secs = \d+$/m.exec(readFileSync(trial.path, "utf8"))?.[0] ?? "").toBe(inFile);
  }
});
