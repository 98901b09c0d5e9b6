/** `config show`: every setting in force, with where its value comes from. */
import type { SettingInForce } from "../../config/in-force.ts";
import { escapeControls } from "../../base/log-line.ts";
import { ask } from "../ask.ts";
import { exitCodes } from "../failure.ts";
import { type Invocation, isOn } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { fieldText } from "../screens/setting-text.ts";
import { type Column, renderTable, styled } from "../screens/table.ts";

const settingColumns: readonly Column<SettingInForce>[] = [
  {
    title: "SETTING",
    align: "left",
    cut: null,
    leaveOut: null,
    cell: ({ key, rule }) => `${rule === null ? "" : `${escapeControls(rule)}: `}${escapeControls(key)}`,
  },
  { title: "VALUE", align: "left", cut: "end", leaveOut: null, cell: ({ value }) => fieldText(value) },
  {
    title: "ORIGIN",
    align: "left",
    cut: null,
    leaveOut: null,
    cell: ({ origin }) => styled(origin, origin === "default" ? "dim" : "cyan"),
  },
];

export async function configShow(invocation: Invocation): Promise<number> {
  const settings = await ask(invocation, "configShow");
  if (isOn(invocation, "json")) writeJson(settings);
  else writeLines(renderTable(settingColumns, settings, invocation.terminal));
  return exitCodes.done;
}
