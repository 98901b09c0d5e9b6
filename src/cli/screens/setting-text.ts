/** A setting's value as one word or list, for people. */
import { escapeControls } from "../../base/log-line.ts";

export function fieldText(value: unknown): string {
  if (value === null || value === undefined) return "none";
  return escapeControls(typeof value === "string" ? value : JSON.stringify(value));
}
