/** A setting's value as one word or list, for people; and what a change did. */
import type { ChangeAnswer } from "../../agent/control.ts";
import { escapeControls } from "../../base/log-line.ts";

export function fieldText(value: unknown): string {
  if (value === null || value === undefined) return "none";
  return escapeControls(typeof value === "string" ? value : JSON.stringify(value));
}

export function changeLines(answer: ChangeAnswer): string[] {
  const changes = answer.changes.map(
    ({ key, from, to }) => `${escapeControls(key)}: ${fieldText(from)} -> ${fieldText(to)}`,
  );
  const saved = answer.saved === null ? [] : [`saved in ${escapeControls(answer.saved)}`];
  return [...(changes.length > 0 ? changes : ["nothing changed: already set"]), ...saved];
}
