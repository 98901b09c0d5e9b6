/** What a choice of settings gives, over one machine that runs every workload of the week, as a table. */
import { simulateGenerations } from "./simulate.ts";
import { hourMs, minuteMs, pagesOfGib, weekBlockPages, weekMs, weekWorkloads } from "./workload.ts";

export interface Choice {
  readonly period_secs: number;
  readonly refault_percent_limit: number;
}

export interface ChoiceRow {
  readonly choice: Choice;
  readonly savedPageMs: number;
  readonly refaultedPages: number;
}

/** Each around the defaults. */
export const choices: readonly Choice[] = [120, 600, 1800].flatMap((period_secs) =>
  [0.05, 0.2, 1, 0].map((refault_percent_limit) => ({ period_secs, refault_percent_limit })),
);

/** Simulates one week of all workloads, each in a cgroup of its own. */
export function simulateChoice(choice: Choice): ChoiceRow {
  const outcomes = weekWorkloads.map((workload) =>
    simulateGenerations({
      workload,
      settings: choice,
      lengthMs: weekMs,
      stepMs: minuteMs,
      blockPages: weekBlockPages,
    }),
  );
  return {
    choice,
    savedPageMs: outcomes.reduce((sum, { savedPageMs }) => sum + savedPageMs, 0),
    refaultedPages: outcomes.reduce((sum, { refaultedPages }) => sum + refaultedPages, 0),
  };
}

/** The rows as a Markdown table: memory saved on average, what came back, and how much a GiB that came back had saved. */
export function choiceTable(rows: readonly ChoiceRow[]): string {
  const weekHours = weekMs / hourMs;
  const lines = rows.map(({ choice, savedPageMs, refaultedPages }) => {
    const savedGibHours = savedPageMs / pagesOfGib / hourMs;
    const backGib = refaultedPages / pagesOfGib;
    return [
      String(choice.period_secs),
      choice.refault_percent_limit === 0 ? "0 (by age alone)" : String(choice.refault_percent_limit),
      (savedGibHours / weekHours).toFixed(1),
      backGib.toFixed(0),
      (savedGibHours / backGib).toFixed(1),
    ];
  });
  const head = ["period_secs", "refault_percent_limit", "GiB saved", "GiB came back", "GiB·h saved for each GiB"];
  return [head, head.map(() => "---:"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

if (import.meta.main) console.log(choiceTable(choices.map(simulateChoice)));
