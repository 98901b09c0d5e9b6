/** `config show`: every setting in force, with where its value comes from. */
import type { SettingInForce } from "../agent/face.ts";
import { escapeControls } from "../base/log-line.ts";
import { ask } from "./ask.ts";
import { exitCodes } from "./failure.ts";
import { type Invocation, isOn } from "./invocation.ts";
import { writeJson, writeLines } from "./output.ts";
import { fieldText } from "./setting-text.ts";
import { type Cell, type Column, renderTable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

const settingColumns: readonly Column[] = [
  { title: "SETTING", align: "left", cut: null, leaveOut: null },
  { title: "VALUE", align: "left", cut: "end", leaveOut: null },
  { title: "ORIGIN", align: "left", cut: null, leaveOut: null },
];

export async function configShow(invocation: Invocation): Promise<number> {
  const settings = await ask(invocation, "configShow");
  if (isOn(invocation, "json")) writeJson(settings);
  else writeLines(renderSettings(settings, invocation.terminal));
  return exitCodes.done;
}

/** The base settings, then those of each rule under its path. What is not at its default stands out. */
export function renderSettings(settings: readonly SettingInForce[], terminal: Terminal): string[] {
  const rows = settings.map(({ key, rule, value, origin }): Cell[] => [
    rule === null ? escapeControls(key) : `${escapeControls(rule)}: ${escapeControls(key)}`,
    fieldText(value),
    origin === "default" ? { text: origin, style: "dim" } : { text: origin, style: "cyan" },
  ]);
  return renderTable(settingColumns, rows, terminal);
}
