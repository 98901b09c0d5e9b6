/** A week of each workload, by age alone and with evictions priced by what came back, as a table. */
import { simulateGenerations, type Outcome } from "./simulate.ts";
import { hourMs, minuteMs, pagesOfGib, weekBlockPages, weekMs, weekWorkloads, type Workload } from "./workload.ts";

export interface WeekRow {
  readonly workload: Workload;
  readonly byAge: Outcome;
  readonly priced: Outcome;
}

/** Simulates one week at the default settings, once with refault_percent_limit 0. */
export function simulateWeek(): readonly WeekRow[] {
  return weekWorkloads.map((workload) => {
    const week = { workload, lengthMs: weekMs, stepMs: minuteMs, blockPages: weekBlockPages };
    return {
      workload,
      byAge: simulateGenerations({ ...week, settings: { refault_percent_limit: 0 } }),
      priced: simulateGenerations(week),
    };
  });
}

function gib(pages: number): string {
  return (pages / pagesOfGib).toFixed(1);
}

function gibHours(pageMs: number): string {
  return (pageMs / pagesOfGib / hourMs).toFixed(0);
}

/** The rows as a Markdown table; each pair is by age alone, then priced. */
export function weekTable(rows: readonly WeekRow[]): string {
  const head = [
    "workload",
    "evicted GiB, by age",
    "priced",
    "came back GiB, by age",
    "priced",
    "saved GiB·h, by age",
    "priced",
    "sat out",
  ];
  const lines = rows.map(({ workload, byAge, priced }) => [
    `${workload.name} (${workload.what})`,
    gib(byAge.evictedPages),
    gib(priced.evictedPages),
    gib(byAge.refaultedPages),
    gib(priced.refaultedPages),
    gibHours(byAge.savedPageMs),
    gibHours(priced.savedPageMs),
    String(priced.satOut),
  ]);
  const align = head.map((_, column) => (column === 0 ? ":---" : "---:"));
  return [head, align, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

if (import.meta.main) console.log(weekTable(simulateWeek()));
