import { describe, expect, test } from "bun:test";
import { choices, choiceTable, simulateChoice } from "../../support/simulation/choices.ts";
import { simulateGenerations, simulateReclaim } from "../../support/simulation/simulate.ts";
import { otherJobs, weekJobs, type Job } from "../../support/simulation/jobs.ts";
import { runJob } from "../../support/simulation/machine.ts";
import { bestOf, jobsTable, simulateJobs, sumOf, type JobRow } from "../../support/simulation/weeks.ts";
import { dayMs, hourMs, idle, minuteMs, pagesOfGib, periodic, weekMs } from "../../support/simulation/workload.ts";

describe("a week of nine jobs at the default settings: by age alone, as 0.1, and now", () => {
  const rows = simulateJobs(weekJobs, weekMs);
  console.log(jobsTable(rows, weekMs));

  function row(name: string): JobRow["of"] {
    const found = rows.find(({ job }) => job.name === name);
    if (found === undefined) throw new Error(`no job ${name}`);
    return found.of;
  }

  test("idle memory is given back all the same, and sooner", () => {
    const { "by age": byAge, now } = row("idle");
    expect(now.evictedPages).toBe(pagesOfGib);
    expect(now.savedPageMs).toBeGreaterThan(byAge.savedPageMs);
  });

  test("of what is hot nothing is evicted", () => {
    expect(row("hot").now.evictedPages).toBe(0);
  });

  test.each(["every 20 min", "every hour", "ending"])("%s: it comes back once, until its rhythm is known", (name) => {
    expect(row(name).now.refaultedPages).toBeLessThanOrEqual(1.1 * pagesOfGib);
  });

  test("a job that has ended is found out within two of its pauses", () => {
    const left = 4 * dayMs - 2 * hourMs;
    expect(row("ending").now.savedPageMs).toBeGreaterThan(pagesOfGib * left);
  });

  test.each(["every day", "growing", "every 4 h"])("%s: what is worth it goes, at once", (name) => {
    const { "0.1": before, now } = row(name);
    expect(now.savedPageMs).toBeGreaterThan(before.savedPageMs);
  });

  test("goals: at most 70 GiB come back, 85 % of the best for as much; more than 0.1 saved for as much", () => {
    const sum = sumOf(rows, "now", weekMs);
    const before = sumOf(rows, "0.1", weekMs);
    const { savedGib } = bestOf(rows, 70, weekMs);
    console.log(
      `now ${sum.savedGib.toFixed(2)} GiB for ${sum.backGib.toFixed(1)}, ${(100 * sum.bestShare).toFixed(0)} % of the best; ` +
        `goal 8.5 for 70 ${sum.savedGib >= 8.5 ? "met" : `missed; the best saves ${savedGib.toFixed(2)} for 70`}`,
    );
    expect(sum.backGib).toBeLessThanOrEqual(70);
    expect(sum.bestShare).toBeGreaterThanOrEqual(0.85);
    expect(sum.savedGib).toBeGreaterThan(before.savedGib + 0.5);
    expect(sum.bestShare).toBeGreaterThan(before.bestShare);
  });
});

describe("a week of other jobs: with read(), cgroups that end, memory that is shared", () => {
  const rows = simulateJobs(otherJobs, weekMs);
  console.log(jobsTable(rows, weekMs));

  test("more of the best for as much that came back than with 0.1; a point below the goal of 85 %", () => {
    const { bestShare } = sumOf(rows, "now", weekMs);
    console.log(`${(100 * bestShare).toFixed(1)} % of the best; goal 85 % ${bestShare >= 0.85 ? "met" : "missed"}`);
    expect(bestShare).toBeGreaterThanOrEqual(0.84);
    expect(sumOf(rows, "now", weekMs).bestShare).toBeGreaterThan(sumOf(rows, "0.1", weekMs).bestShare);
  });

  test.each(["hot file", "every 90 s", "every 10 min", "shared"])("%s: less comes back than with 0.1", (name) => {
    const found = rows.find(({ job }) => job.name === name);
    expect(found?.of.now.refaultedPages).toBeLessThan(0.5 * (found?.of["0.1"].refaultedPages ?? 0));
  });

  test.each(["build", "sandboxes"])("%s: what ended is given back", (name) => {
    const found = rows.find(({ job }) => job.name === name);
    expect(found?.of["0.1"].evictedPages).toBe(0);
    expect(found?.of.now.savedPageMs).toBeGreaterThan(0.25 * pagesOfGib * weekMs);
  });
});

function job(name: string): Job {
  const found = otherJobs.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no job ${name}`);
  return found;
}

describe("the first ten minutes", () => {
  const marks = { lengthMs: 10 * minuteMs, blockPages: 256, marksMs: [2 * minuteMs] };
  test("what lies idle since the start is gone but for a tenth after two minutes", () => {
    expect(runJob(job("booted"), "now", marks).heldPages[0]).toBeLessThan(0.1 * job("booted").blocks * 256);
  });

  test.each([
    ["hot file", 0.04],
    ["every 90 s", 0.2],
  ])("of %s at most %d comes back", (name, share) => {
    expect(runJob(job(name), "now", marks).refaultedPages).toBeLessThanOrEqual(share * job(name).blocks * 256);
  });
});

describe("what a choice of period and limit gives, over all workloads", () => {
  const rows = choices.map(simulateChoice);
  console.log(choiceTable(rows));

  test("a limit that is larger, or none, saves more and lets more come back", () => {
    for (const [index, { choice, savedPageMs, refaultedPages }] of rows.entries()) {
      const next = rows[index + 1];
      if (next === undefined || next.choice.period_secs !== choice.period_secs) continue;
      expect(next.savedPageMs).toBeGreaterThan(savedPageMs);
      expect(next.refaultedPages).toBeGreaterThan(refaultedPages);
    }
  });

  test("a longer period saves less, and less comes back", () => {
    for (const { choice, savedPageMs, refaultedPages } of rows) {
      const longer = rows.find(
        (row) =>
          row.choice.period_secs > choice.period_secs &&
          row.choice.refault_percent_limit === choice.refault_percent_limit,
      );
      if (longer === undefined) continue;
      expect(longer.savedPageMs).toBeLessThan(savedPageMs);
      expect(longer.refaultedPages).toBeLessThan(refaultedPages);
    }
  });
});

describe("400 MiB at a period of 5 seconds", () => {
  const blocks = 400;
  const blockPages = 256;
  const pages = blocks * blockPages;
  const settings = { period_secs: 5 };

  test("what is read every 40 s is left alone after three costly evictions at most", () => {
    const workload = periodic("every 40 s", "", 40_000, blocks);
    const run = { workload, lengthMs: 6 * minuteMs, stepMs: 1_000, blockPages };
    const byAge = simulateGenerations({ ...run, settings: { ...settings, refault_percent_limit: 0 } });
    const priced = simulateGenerations({ ...run, settings });
    expect(byAge.refaultedPages).toBeGreaterThanOrEqual(8 * pages);
    expect(priced.costly).toBeLessThanOrEqual(3);
    expect(priced.refaultedPages).toBeLessThanOrEqual(byAge.refaultedPages / 4);
  });

  test.each([
    ["read once", idle(blocks)],
    [
      "read twice, so that it is active",
      { ...idle(blocks), touches: (fromMs: number) => (fromMs < 3_000 ? [{ from: 0, to: blocks }] : []) },
    ],
  ])("reclaimed by amount, an idle cgroup that was %s falls by 60 % within 3 minutes", (_, workload) => {
    const outcome = simulateReclaim({ workload, settings, lengthMs: 3 * minuteMs, stepMs: 1_000, blockPages });
    expect(outcome.residentPages).toBeLessThanOrEqual(0.4 * pages);
    expect(outcome.refaultedPages).toBe(0);
  });

  test.each([2_000, 10_000])("reclaimed by amount, a cgroup read every %d ms keeps 90 %% at each moment", (everyMs) => {
    const workload = periodic("hot", "", everyMs, blocks);
    for (let seconds = 30; seconds <= 180; seconds += 5) {
      const outcome = simulateReclaim({ workload, settings, lengthMs: seconds * 1_000, stepMs: 1_000, blockPages });
      expect(outcome.residentPages).toBeGreaterThanOrEqual(0.9 * pages);
    }
  });
});
