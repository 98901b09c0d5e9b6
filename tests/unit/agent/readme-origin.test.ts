/** The manual's tables on where a value comes from, carried out on a daemon row by row. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Daemon } from "../../../src/agent/daemon/daemon.ts";
import type { SettingsOverrides } from "../../../src/config/schema.ts";
import { DaemonTrial, inForce } from "./daemon-trial.ts";

let trial: DaemonTrial;

beforeEach(() => {
  trial = new DaemonTrial();
});

afterEach(() => trial[Symbol.asyncDispose]());

/** The cells of the table that begins with this line. */
function rowsBelow(head: string): string[][] {
  const page = readFileSync(join(import.meta.dir, "../../../src/manual/settings.md"), "utf8");
  const [, after = ""] = page.split(`\n${head}\n`);
  const lines = after.split("\n").slice(1);
  return lines.slice(0, lines.indexOf("")).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

interface Table {
  readonly head: string;
  readonly flags: SettingsOverrides;
  /** What the words of the first column mean, in order; the first row is the start itself. */
  readonly steps: readonly (readonly [words: string, step: (daemon: Daemon) => Promise<unknown>])[];
  /** The file's text for what a row says of it, null for "the same". */
  readonly file: (cell: string) => string | null;
  /** The row's remaining cells as they are in truth. */
  readonly truth: (daemon: Daemon) => readonly string[];
}

const nothing = (): Promise<void> => Promise.resolve();
const reread = (daemon: Daemon): Promise<unknown> => daemon.reload();

const valueTable: Table = {
  head: "| then | in the file | in force | origin |",
  flags: { memcg: { disabled: true, period_secs: 300 } },
  steps: [
    ["serve --memcg-period-secs 300", nothing],
    ["somebody adds swap = true to the file", reread],
    ["somebody edits it to period_secs = 120", reread],
    ["memcgset --memcg-period-secs 60", (daemon) => daemon.memcgSet({ period_secs: 60 }, { save: false })],
    ["memcgset --memcg-period-secs 45 --save", (daemon) => daemon.memcgSet({ period_secs: 45 }, { save: true })],
    ["somebody removes the key", reread],
  ],
  file: (cell) => `[memcg]\nswap = true\n${cell}\n`,
  truth: (daemon) => (inForce(daemon, "memcg.period_secs") ?? []).map(String),
};

const ruleTable: Table = {
  head: "| then | the rule in the file | in force |",
  flags: { memcg: { disabled: true } },
  steps: [
    ["start", nothing],
    [
      "memcgset --memcg-set path=/a,swap=true",
      (daemon) => daemon.memcgSet({ set: [{ path: "/a", swap: true }] }, { save: false }),
    ],
    ["somebody edits it to period_secs = 90", reread],
    ["memcgset --memcg-del path=/a", (daemon) => daemon.memcgSet({ del: [{ path: "/a" }] }, { save: false })],
    [
      "somebody edits another key of the file",
      (daemon) => {
        writeFileSync(trial.path, readFileSync(trial.path, "utf8").replace("order = 8", "order = 7"));
        return daemon.reload();
      },
    ],
    ["somebody edits it to period_secs = 30", reread],
  ],
  file: (cell) =>
    cell === "the same" ? null : `[compact]\norder = 8\n[[memcg.cgroups]]\npath = "/a"\n${periodOf(cell)}\n`,
  truth: (daemon) => [ruleWords(daemon)],
};

function periodOf(cell: string): string {
  return /period_secs = \d+/.exec(cell)?.[0] ?? "";
}

/** `every 60 s (file), with swap (socket)` */
function ruleWords(daemon: Daemon): string {
  const [period, swap] = [inForce(daemon, "memcg.period_secs", "path=/a"), inForce(daemon, "memcg.swap", "path=/a")];
  if (period === null) return "no rule";
  return `every ${String(period[0])} s (${period[1]})${swap === null ? "" : `, with swap (${swap[1]})`}`;
}

for (const { head, flags, steps, file, truth } of [valueTable, ruleTable]) {
  test(`each row is true below ${head}`, async () => {
    const rows = rowsBelow(head);
    expect(rows.map(([words]) => words)).toEqual(steps.map(([words]) => words));
    const daemon = await trial.serve(file(rows[0]?.[1] ?? ""), flags);
    for (const [index, [words, inFile = "", ...told]] of rows.entries()) {
      const text = file(inFile);
      if (text !== null && words?.startsWith("somebody") === true) writeFileSync(trial.path, text);
      await steps[index]?.[1](daemon);
      expect([words, ...truth(daemon)]).toEqual([words, ...told]);
      expect(readFileSync(trial.path, "utf8")).toContain(periodOf(inFile));
    }
  });
}
