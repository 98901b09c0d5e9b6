/** When the agent gives its own memory back, and that no timer is left then. */
import { expect, test } from "bun:test";
import { Trimmer } from "../../../src/agent/daemon/trim.ts";
import { SteppedClock } from "./stepped-clock.ts";

function trimming(): { clock: SteppedClock; trimmer: Trimmer; done: string[] } {
  const clock = new SteppedClock();
  const done: string[] = [];
  const stages = [
    { quietMs: 5000, giveBack: () => void done.push("first") },
    { quietMs: 6000, giveBack: () => void done.push("second") },
  ];
  return { clock, trimmer: new Trimmer(clock, { stages, again: () => void done.push("again") }), done };
}

test("each stage once after the start, in turn, and then no timer", async () => {
  const { clock, done } = trimming();
  await clock.pass(4999);
  expect(done).toEqual([]);
  await clock.pass(1);
  expect(done).toEqual(["first"]);
  await clock.pass(1000);
  expect(done).toEqual(["first", "second"]);
  expect(clock.nextMs).toBeNull();
});

test("work puts it off, and what was done after the start is done again after work", async () => {
  const { clock, trimmer, done } = trimming();
  await clock.pass(4000);
  trimmer.touched();
  await clock.pass(1000);
  expect(done).toEqual([]);
  await clock.pass(4000);
  await clock.pass(1000);
  expect(done).toEqual(["first", "second"]);
  trimmer.touched();
  await clock.pass(5000);
  await clock.pass(1000);
  expect(done).toEqual(["first", "second", "first", "second"]);
  expect(clock.nextMs).toBeNull();
});

test("work between the stages begins anew", async () => {
  const { clock, trimmer, done } = trimming();
  await clock.pass(5000);
  trimmer.touched();
  await clock.pass(1000);
  expect(done).toEqual(["first"]);
  await clock.pass(4000);
  expect(done).toEqual(["first", "first"]);
});

test("a thousand requests arm one timer", () => {
  const { clock, trimmer } = trimming();
  for (let request = 0; request < 1000; request++) trimmer.touched();
  expect(clock.timers).toBe(1);
  trimmer.stop();
  expect(clock.nextMs).toBeNull();
});

test("a look around at rest gives back what it took; before that, or after work, it is given back with the rest", async () => {
  const { clock, trimmer, done } = trimming();
  trimmer.looked();
  await clock.pass(5000);
  trimmer.looked();
  await clock.pass(1000);
  trimmer.looked();
  expect(done).toEqual(["first", "second", "again"]);
  trimmer.touched();
  trimmer.looked();
  expect(done).toEqual(["first", "second", "again"]);
});
