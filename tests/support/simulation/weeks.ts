/** A week and a first hour of jobs, as version 0.1 decided and as is decided now, as tables. */
import { Pauses, savedAtBest } from "./clairvoyant.ts";
import { otherJobs, weekJobs, type Job } from "./jobs.ts";
import { policies, runJob, type JobOutcome, type Policy } from "./machine.ts";
import { hourMs, minuteMs, pagesOfGib, weekBlockPages, weekMs } from "./workload.ts";

export interface JobRow {
  readonly job: Job;
  readonly of: Readonly<Record<Policy, JobOutcome>>;
  readonly pauses: Pauses;
}

export function simulateJobs(
  jobs: readonly Job[],
  lengthMs: number,
  marksMs: readonly number[] = [],
): readonly JobRow[] {
  const options = { lengthMs, blockPages: weekBlockPages, marksMs };
  return jobs.map((job) => {
    const pauses = new Pauses(job.blocks);
    const now = runJob(job, "now", { ...options, pauses });
    return { job, pauses, of: { "by age": runJob(job, "by age", options), "0.1": runJob(job, "0.1", options), now } };
  });
}

export interface Sum {
  readonly savedGib: number;
  readonly backGib: number;
  /** Of what somebody saves who knows the future, and lets as much come back. */
  readonly bestShare: number;
}

/** Over all jobs: what was away on average, and what came back in all. */
export function sumOf(rows: readonly JobRow[], policy: Policy, lengthMs: number): Sum {
  const savedPageMs = total(rows, policy, "savedPageMs");
  const backPages = total(rows, policy, "refaultedPages");
  const pauses = rows.map((row) => row.pauses);
  return {
    savedGib: savedPageMs / pagesOfGib / lengthMs,
    backGib: backPages / pagesOfGib,
    bestShare: savedPageMs / (weekBlockPages * savedAtBest(pauses, backPages / weekBlockPages)),
  };
}

/** What somebody saves who knows the future and lets `backGib` come back. */
export function bestOf(rows: readonly JobRow[], backGib: number, lengthMs: number): { readonly savedGib: number } {
  const pauses = rows.map((row) => row.pauses);
  const saved = savedAtBest(pauses, (backGib * pagesOfGib) / weekBlockPages);
  return { savedGib: (saved * weekBlockPages) / pagesOfGib / lengthMs };
}

function total(rows: readonly JobRow[], policy: Policy, key: "savedPageMs" | "refaultedPages" | "heldPageMs"): number {
  return rows.reduce((sum, { of }) => sum + of[policy][key], 0);
}

const one = (value: number): string => value.toFixed(1);

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const align = head.map((_, column) => (column === 0 ? ":---" : "---:"));
  return [head, align, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** What is saved on average and what comes back, by job and policy, and the share of the best. */
export function jobsTable(rows: readonly JobRow[], lengthMs: number): string {
  const head = ["job", ...policies.flatMap((policy) => [`GiB saved, ${policy}`, "GiB came back"])];
  const lines = rows.map(({ job, of }) => [
    `${job.name} (${job.what})`,
    ...policies.flatMap((policy) => [
      (of[policy].savedPageMs / pagesOfGib / lengthMs).toFixed(2),
      one(of[policy].refaultedPages / pagesOfGib),
    ]),
  ]);
  const sums = policies.map((policy) => sumOf(rows, policy, lengthMs));
  return table(head, [
    ...lines,
    ["**all**", ...sums.flatMap(({ savedGib, backGib }) => [`**${savedGib.toFixed(2)}**`, `**${one(backGib)}**`])],
    [
      "of the best for as much that came back",
      ...sums.flatMap(({ bestShare }) => [`${(100 * bestShare).toFixed(0)} %`, ""]),
    ],
  ]);
}

export const firstHourMarksMs = [2, 4, 6, 10, 20, 40, 60].map((minutes) => minutes * minuteMs);

/** What all jobs together hold in their first hour. */
export function firstHourTable(): string {
  const rows = simulateJobs(otherJobs, hourMs, firstHourMarksMs);
  const head = ["GiB held after", ...firstHourMarksMs.map((ms) => `${ms / minuteMs} min`)];
  const lines = policies.map((policy) => [
    policy,
    ...firstHourMarksMs.map((_, mark) =>
      one(rows.reduce((sum, { of }) => sum + (of[policy].heldPages[mark] ?? 0), 0) / pagesOfGib),
    ),
  ]);
  return table(head, lines);
}

export const weekOfNine = (): string => jobsTable(simulateJobs(weekJobs, weekMs), weekMs);
export const weekOfOthers = (): string => jobsTable(simulateJobs(otherJobs, weekMs), weekMs);

if (import.meta.main) {
  for (const make of [weekOfNine, weekOfOthers, firstHourTable]) {
    const startMs = performance.now();
    console.log(`${make()}\n${(performance.now() - startMs).toFixed(0)} ms\n`);
  }
}
