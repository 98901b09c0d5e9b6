import { expect, test } from "bun:test";
import { atOnce, Turns } from "../../../src/base/turns.ts";
import { SteppedClock } from "../agent/stepped-clock.ts";

const stepMs = 3;
const steps = 20;

function* work(clock: SteppedClock): Generator<undefined, string> {
  for (let step = 0; step < steps; step++) {
    clock.advance(stepMs);
    yield;
  }
  return "done";
}

test("long work gives way now and then, and no step of it is longer than its own", async () => {
  const clock = new SteppedClock();
  let [turns, lastMs, longestMs, over] = [0, clock.monotonicMs(), 0, false];
  const others = (): void => {
    turns++;
    longestMs = Math.max(longestMs, clock.monotonicMs() - lastMs);
    lastMs = clock.monotonicMs();
    if (!over) setImmediate(others);
  };
  setImmediate(others);
  expect(await new Turns(clock).through(work(clock))).toBe("done");
  over = true;
  expect(turns).toBeGreaterThan(3);
  expect(longestMs).toBeLessThanOrEqual(10 + 2 * stepMs);
});

test("work that nobody can wait for is done at once", () => {
  const clock = new SteppedClock();
  const startMs = clock.monotonicMs();
  expect(atOnce(work(clock))).toBe("done");
  expect(clock.monotonicMs() - startMs).toBe(steps * stepMs);
});

function* failing(): Generator<undefined, void> {
  yield;
  throw new Error("no");
}

test("a failure of the work is the caller's", () => {
  expect(new Turns(new SteppedClock()).through(failing())).rejects.toThrow("no");
});
