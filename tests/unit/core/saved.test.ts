import { expect, test } from "bun:test";
import { noteSaved, savedBytes } from "../../../src/core/saved.ts";

test.each([
  ["nothing came back", 100, 0, 100],
  ["a part came back", 100, 30, 70],
  ["more came back than was evicted: others evict too", 100, 130, 0],
  ["what came back is unknown", 100, null, 100],
])("%s", (_, evicted, refaulted, saved) => {
  expect(savedBytes(evicted, refaulted)).toBe(saved);
});

test("the integral counts what was away, for as long as it was", () => {
  let state = { bytes: 0, byteSecs: 0, atMs: 1000 };
  state = noteSaved(state, 11_000, 50);
  expect(state).toEqual({ bytes: 50, byteSecs: 0, atMs: 11_000 });
  state = noteSaved(state, 21_000, 20);
  expect(state.byteSecs).toBe(500);
  state = noteSaved(state, 31_000, 20);
  expect(state.byteSecs).toBe(700);
});

test("a clock that stands still, or goes back, adds nothing", () => {
  const state = { bytes: 50, byteSecs: 7, atMs: 1000 };
  expect(noteSaved(state, 500, 50).byteSecs).toBe(7);
});
