import { describe, expect, test } from "bun:test";

import { sourceFiles } from "./source-tree.ts";
import { giveawayViolations, isVagueName, wordingViolations } from "./wording-rules.ts";

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

  test("and the manual read as a native engineer writes", () => {
    const texts = sourceFiles("README.md", "build.ts", "src/**/*.{ts,md,sh,yml,json}");
    expect(texts.length).toBeGreaterThan(100);
    const found = texts.flatMap(({ path, text }) =>
      giveawayViolations(text, path.endsWith(".md")).map((where) => `${path}:${where}`),
    );
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

test.each([
  ["where a lock is to be had", false, "available"],
  ["the unit leaves away every right", false, "drops"],
  ["says what mends the rest", false, "fix"],
  ["nothing changed: it is so already", false, "already set"],
  ["reads it anew", false, "again"],
  ["Whoever may open the socket", false, "who"],
  ["where mem-agent stands", false, "is"],
  ["memory.reclaim stands in for lru_gen, * stands for one level", false, null],
  ["What is touched every few minutes stays.", true, "name the thing"],
  ["- Much of what is evicted comes back.", true, "name the thing"],
  ["it says what is missing, and what to do", true, null],
  ["// What is touched every few minutes stays.", false, null],
])("%s", (line, isProse, why) => {
  const found = giveawayViolations(`first\n${line}\n`, isProse);
  if (why === null) expect(found).toEqual([]);
  else expect(found[0]).toMatch(new RegExp(`^2: .*${why}`));
});
