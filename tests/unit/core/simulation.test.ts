import { describe, expect, test } from "bun:test";
import { choices, choiceTable, simulateChoice } from "../../support/simulation/choices.ts";
import { simulateGenerations, simulateReclaim, type Outcome } from "../../support/simulation/simulate.ts";
import { simulateWeek, weekTable } from "../../support/simulation/week.ts";
import { idle, minuteMs, pagesOfGib, periodic } from "../../support/simulation/workload.ts";

describe("a week at the default settings, by age alone and priced", () => {
  const rows = simulateWeek();
  console.log(weekTable(rows));

  function row(name: string): { readonly byAge: Outcome; readonly priced: Outcome } {
    const found = rows.find(({ workload }) => workload.name === name);
    if (found === undefined) throw new Error(`no workload ${name}`);
    return found;
  }

  test("idle memory is given back all the same", () => {
    const { byAge, priced } = row("idle");
    expect(byAge.evictedPages).toBe(pagesOfGib);
    expect(priced).toEqual(byAge);
  });

  test.each(["hot", "every 20 min"])("%s: nothing is evicted", (name) => {
    expect(row(name).byAge.evictedPages).toBe(0);
    expect(row(name).priced.evictedPages).toBe(0);
  });

  test("a job that returns after the horizon comes back a quarter as often at most", () => {
    const { byAge, priced } = row("every hour");
    expect(byAge.refaultedPages).toBeGreaterThan(160 * pagesOfGib);
    expect(priced.refaultedPages).toBeLessThanOrEqual(byAge.refaultedPages / 4);
    expect(priced.satOut).toBeGreaterThan(0);
  });

  test("the dearer a return, the fewer of them", () => {
    const kept = ["every hour", "every 4 h", "every day"].map(
      (name) => row(name).priced.refaultedPages / row(name).byAge.refaultedPages,
    );
    expect(kept).toEqual(kept.toSorted((left, right) => left - right));
    expect(new Set(kept).size).toBe(kept.length);
  });

  test.each(["every day", "growing"])("%s: what is worth it goes on as by age", (name) => {
    const { byAge, priced } = row(name);
    expect(priced.costly).toBe(0);
    expect(priced.savedPageMs).toBe(byAge.savedPageMs);
  });

  test("bursts: less comes back for each page and hour saved", () => {
    const { byAge, priced } = row("bursty");
    expect(priced.refaultedPages).toBeLessThan(0.7 * byAge.refaultedPages);
    expect(priced.savedPageMs / priced.refaultedPages).toBeGreaterThan(byAge.savedPageMs / byAge.refaultedPages);
  });

  test("a job that has ended is found out: its memory is given back within a day", () => {
    const { byAge, priced } = row("ending");
    expect(priced.residentPages).toBe(0);
    expect(priced.refaultedPages).toBeLessThanOrEqual(byAge.refaultedPages / 4);
    const lostPageMs = byAge.savedPageMs - priced.savedPageMs;
    const lostWhileItRan = 39 * pagesOfGib * 60 * minuteMs;
    expect(lostPageMs).toBeLessThan(lostWhileItRan + 24 * pagesOfGib * 60 * minuteMs);
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
