/** When the agent gives its own memory back, and that no timer is left then. */
import { expect, test } from "bun:test";
import { Trimmer } from "../../../src/agent/daemon/trim.ts";
import { SteppedClock } from "./stepped-clock.ts";

function trimming(): { clock: SteppedClock; trimmer: Trimmer; done: string[] } {
  const clock = new SteppedClock();
  const done: string[] = [];
  const stages = [
    { quietMs: 5000, pauseMs: 60_000, giveBack: () => void done.push("first") },
    { quietMs: 6000, pauseMs: 0, giveBack: () => void done.push("second") },
  ];
  const start = { delayMs: 3000, giveBack: () => void done.push("start") };
  return { clock, trimmer: new Trimmer(clock, { start, stages }), done };
}

test("once at the start, each stage once after a quiet, in turn, and then no timer", async () => {
  const { clock, done } = trimming();
  await clock.pass(2999);
  expect(done).toEqual([]);
  await clock.pass(2000);
  expect(done).toEqual(["start"]);
  await clock.pass(1);
  expect(done).toEqual(["start", "first"]);
  await clock.pass(1000);
  expect(done).toEqual(["start", "first", "second"]);
  expect(clock.nextMs).toBeNull();
});

test("work puts the stages off, and not what is done at the start", async () => {
  const { clock, trimmer, done } = trimming();
  await clock.pass(2000);
  trimmer.touched();
  await clock.pass(1000);
  expect(done).toEqual(["start"]);
  await clock.pass(3000);
  expect(done).toEqual(["start"]);
  await clock.pass(1000);
  await clock.pass(1000);
  expect(done).toEqual(["start", "first", "second"]);
});

test("work between the stages starts them again, those whose pause is not over when it is", async () => {
  const { clock, trimmer, done } = trimming();
  await clock.pass(5000);
  trimmer.touched();
  await clock.pass(1000);
  expect(done).toEqual(["start", "first"]);
  await clock.pass(10_000);
  expect(done).toEqual(["start", "first"]);
  await clock.pass(60_000);
  expect(done).toEqual(["start", "first", "first", "second"]);
  expect(clock.nextMs).toBeNull();
});

test("a stage again once a pause, however often there is work", async () => {
  const { clock, trimmer, done } = trimming();
  for (let run = 0; run < 12; run++) {
    trimmer.touched();
    for (let step = 0; step < 10; step++) await clock.pass(1000);
  }
  // 120 s: once before the pause, and once after it.
  expect(done).toEqual(["start", "first", "second", "first", "second"]);
  await clock.pass(120_000);
  expect(done.slice(5)).toEqual(["first", "second"]);
  expect(clock.nextMs).toBeNull();
});

test("a thousand requests arm one timer beside that of the start", () => {
  const { clock, trimmer } = trimming();
  for (let request = 0; request < 1000; request++) trimmer.touched();
  expect(clock.timers).toBe(2);
  trimmer.stop();
  expect(clock.nextMs).toBeNull();
});
