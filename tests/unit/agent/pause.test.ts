import { expect, test } from "bun:test";
import { MemcgKernel } from "./memcg-kernel.ts";
import { Serving } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };

test("in a pause nothing is due, and what is asked for is done", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", cold);
  const serving = new Serving(kernel);
  await serving.run();
  const nowMs = kernel.clock.monotonicMs();
  serving.service.pause(nowMs + 7_200_000);
  expect((serving.service.nextDueMs() ?? 0) - nowMs).toBe(7_200_000);
  expect(serving.target("/a").next_run_secs).toBe(7200);
  expect(serving.service.summary().next_eviction_secs).toBeGreaterThanOrEqual(7200);
  expect((await serving.service.run(true, false)).targets).toBe(2);
  serving.service.pause(null);
  expect((serving.service.nextDueMs() ?? 0) - kernel.clock.monotonicMs()).toBeLessThanOrEqual(60_000);
});

test("a run that the agent began stops at its next batch", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", cold);
  const serving = new Serving(kernel);
  await serving.ripen();
  kernel.frees = 64;
  kernel.meets = (command) => {
    if (command.startsWith("-")) serving.service.pause(kernel.clock.monotonicMs() + 60_000);
    return null;
  };
  const report = await serving.run();
  expect(report.ends.stopped).toBeGreaterThan(0);
  expect(serving.commands("-")).toHaveLength(1);
});
