/** `config check`, `config diff`, `config default`, `config schema`: what the file says, and what it should. */
import { readFileSync } from "node:fs";
import { readDaemonConfigText } from "../../agent/daemon/config-file.ts";
import { Fault, faultFrom } from "../../base/fault.ts";
import { escapeControls } from "../../base/log-line.ts";
import { sampleToml, settingsJsonSchema } from "../../config/docs.ts";
import { settingDifferences, settingsInForce, type SettingDifference } from "../../config/in-force.ts";
import { startSettings } from "../../config/merge.ts";
import { formatProblem } from "../../config/problems.ts";
import { type ParsedConfig, parseConfig } from "../../config/toml.ts";
import { ask } from "../ask.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn, textOf } from "../invocation.ts";
import { complain, writeJson, writeLines, writeOut } from "../output.ts";
import { fieldText } from "../screens/setting-text.ts";
import { type Column, renderTable } from "../screens/table.ts";

const standardInput = "-";

/** What a file says, or standard input. Faults: `missing`, and those of `readDaemonConfigText`. */
async function parseFile(file: string): Promise<ParsedConfig> {
  const text = file === standardInput ? readStandardInput() : readDaemonConfigText(file);
  if (text === null) throw new Fault("missing", `cannot read ${file}: ENOENT, no such file or folder`);
  return parseConfig(text, { file: file === standardInput ? "standard input" : file });
}

function readStandardInput(): string {
  try {
    return readFileSync(0, "utf8");
  } catch (error) {
    throw faultFrom(error, "read standard input", "io");
  }
}

/** Prints every problem as `file:line:column: …` on stderr, or with `--json` as a list; exit 1 if there is any. */
export async function configCheck(invocation: Invocation): Promise<number> {
  const file = textOf(invocation, "file") ?? "";
  const { problems } = await parseFile(file);
  if (isOn(invocation, "json")) writeJson({ file, problems });
  else for (const problem of problems) complain(formatProblem(problem));
  if (problems.length > 0) return exitCodes.failed;
  if (!isOn(invocation, "json")) writeLines([`${escapeControls(file)}: ok`]);
  return exitCodes.done;
}

const differenceColumns: readonly Column<SettingDifference>[] = [
  {
    title: "SETTING",
    align: "left",
    cut: null,
    leaveOut: null,
    cell: ({ key, rule }) => `${rule === null ? "" : `${escapeControls(rule)}: `}${escapeControls(key)}`,
  },
  { title: "FILE", align: "left", cut: "end", leaveOut: null, cell: ({ file }) => fieldText(file) },
  { title: "IN FORCE", align: "left", cut: "end", leaveOut: null, cell: ({ in_force: value }) => fieldText(value) },
  { title: "ORIGIN", align: "left", cut: null, leaveOut: null, cell: ({ origin }) => origin ?? "-" },
];

/** What the file would make of the settings against what is in force; exit 1 where they differ, as diff(1) does. */
export async function configDiff(invocation: Invocation): Promise<number> {
  const file = textOf(invocation, "file") ?? (await ask(invocation, "status")).config.file;
  if (file === null) throw new Failure(exitCodes.usage, ["the daemon has no settings file: name one"]);
  const { overrides, problems } = await parseFile(file);
  if (problems.length > 0) throw new Failure(exitCodes.failed, problems.map(formatProblem));
  const inForce = await ask(invocation, "configShow");
  const differences = settingDifferences(settingsInForce(startSettings({ file: overrides })), inForce);
  if (isOn(invocation, "json")) writeJson(differences);
  else if (differences.length === 0) writeLines([`${escapeControls(file)}: as in force`]);
  else writeLines(renderTable(differenceColumns, differences, invocation.terminal));
  return differences.length === 0 ? exitCodes.done : exitCodes.failed;
}

export function configDefault(): number {
  writeOut(sampleToml());
  return exitCodes.done;
}

export async function configSchema(): Promise<number> {
  writeJson(await settingsJsonSchema());
  return exitCodes.done;
}
