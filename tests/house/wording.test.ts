import { describe, expect, test } from "bun:test";

import { sourceFiles } from "./source-tree.ts";
import { isVagueName, wordingViolations } from "./wording-rules.ts";

// The checks' own rows hold what they forbid.
const files = sourceFiles("build.ts", "src/**/*.ts", "tests/**/*.ts", "tests/**/*.mjs").filter(
  ({ path }) => !path.startsWith("tests/house/wording"),
);

describe("the sources", () => {
  test("hold nothing unfinished, switched off or nameless", () => {
    expect(files.length).toBeGreaterThan(0);
    const found = files.flatMap(({ path, text }) => wordingViolations(text).map((where) => `${path}:${where}`));
    expect(found).toEqual([]);
  });

  test("have names that say what is in them", () => {
    expect(files.map(({ path }) => path).filter(isVagueName)).toEqual([]);
  });
});

test.each([
  ["// TODO: later", "unfinished"],
  ["throw new Error('not implemented')", "not claimed"],
  ["test.skip('x', () => {})", "every test runs"],
  ["describe.only('x', () => {})", "every test runs"],
  ["export default {}", "names"],
  ['export * from "./x.ts";', "barrels"],
  ["// @ts-ignore", "hold for all"],
  ["/* oxlint-disable */", "a reason"],
  ["// oxlint-disable-next-line no-cycle", "a reason"],
  ["// oxlint-disable-next-line no-cycle -- a reason", null],
  ["const hacked = skip.todoList; // anything", null],
])("%s", (line, why) => {
  const found = wordingViolations(`first\n${line}\n`);
  if (why === null) expect(found).toEqual([]);
  else expect(found[0]).toMatch(new RegExp(`^2: .*${why}`));
});

test.each([
  ["src/base/utils.ts", true],
  ["src/common/units.ts", true],
  ["src/cli/index.ts", true],
  ["src/base/units.ts", false],
  ["src/agent/commonest.ts", false],
])("%s is vague: %p", (path, vague) => {
  expect(isVagueName(path)).toBe(vague);
});
