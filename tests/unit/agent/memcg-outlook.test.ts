import { describe, expect, test } from "bun:test";
import { MemcgKernel, pageBytes } from "./memcg-kernel.ts";
import { Serving } from "./memcg-serving.ts";

const old = { anonPages: 0, filePages: 10_000 };

/** Seconds until the first eviction, as said after so many seconds, and as it came. */
async function forecasts(serving: Serving, everySecs: number): Promise<{ said: (number | null)[]; cameSecs: number }> {
  const { clock } = serving.kernel;
  const startMs = clock.monotonicMs();
  const said: (number | null)[] = [];
  for (let step = 0; step < 100; step++) {
    const elapsedSecs = (clock.monotonicMs() - startMs) / 1000;
    const secs = serving.service.summary().next_eviction_secs;
    said.push(secs === null ? null : Math.round(secs + elapsedSecs));
    if ((serving.service.nextDueMs() ?? Infinity) <= clock.monotonicMs()) await serving.run();
    if (serving.target("/a").evictions > 0) return { said, cameSecs: (clock.monotonicMs() - startMs) / 1000 };
    clock.advance(everySecs * 1000);
  }
  throw new Error("nothing was evicted");
}

describe("the first eviction comes when it is said to", () => {
  for (const [period_secs, period_min_secs] of [
    [60, 86_400],
    [600, 20],
    [90, 90],
  ] as const) {
    test(`at ${period_min_secs} to ${period_secs} s`, async () => {
      using kernel = new MemcgKernel();
      kernel.add("/a", old);
      const serving = new Serving(kernel, { period_secs, period_min_secs });
      const { said, cameSecs } = await forecasts(serving, 5);
      for (const secs of said) expect(secs).toBeWithin(cameSecs - 6, cameSecs + 6);
    });
  }
});

test("candidates are what nobody touched, with their age; what is too young says so", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", old);
  const serving = new Serving(kernel);
  expect(serving.service.summary().candidates).toEqual({ bytes: 0, targets: 0, youngest_age_secs: null });
  await serving.run();
  await serving.next();
  const a = serving.target("/a");
  expect(a.candidate_bytes).toBe(old.filePages * pageBytes);
  expect(a).toMatchObject({ why_not: "not_ready", saved_bytes: 0 });
  expect(a.candidate_age_secs).toBeCloseTo(60, 0);
  const { candidates, why_not } = serving.service.summary();
  expect(candidates).toMatchObject({ bytes: old.filePages * pageBytes, targets: 1 });
  expect(candidates.youngest_age_secs).toBeCloseTo(60, 0);
  expect(why_not).toMatchObject({ not_ready: 1, nothing_cold: 1 });
  await serving.next();
  kernel.clock.advance(60_000);
  await serving.run();
  expect(serving.target("/a").saved_bytes).toBeGreaterThan(0);
});

test("what is disabled has no next eviction and is no candidate", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", old);
  const cgroups = [{ path: "/a", no_subdir: false, disabled: true }];
  const serving = new Serving(kernel, { cgroups });
  await serving.run();
  await serving.next();
  expect(serving.target("/a")).toMatchObject({ why_not: "disabled", next_eviction_secs: null });
  expect(serving.service.summary().candidates.targets).toBe(0);
});
