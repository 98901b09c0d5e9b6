import { describe, expect, test } from "bun:test";
import { formatProblem } from "../../../src/config/problems.ts";
import { compileRules, editRules, ruleId, unmatchedRules, type RuleEdits } from "../../../src/config/rules.ts";
import { defaultSettings, type MemcgRule, type RulePatch, type Settings } from "../../../src/config/schema.ts";

function settingsWith(rules: readonly RulePatch[]): Settings {
  const cgroups = rules.map((rule): MemcgRule => ({ no_subdir: false, ...rule }));
  return { ...defaultSettings, memcg: { ...defaultSettings.memcg, cgroups } };
}

/** Each rule is told by its period; 600 are the base settings. */
const precedence: readonly {
  readonly name: string;
  readonly rules: readonly RulePatch[];
  readonly targets: readonly [path: string, node: number, periodSecs: number][];
}[] = [
  {
    name: "without rules the base holds",
    rules: [],
    targets: [
      ["/", 0, 600],
      ["/a/b", 1, 600],
    ],
  },
  {
    name: "a rule reaches what is below, not beside",
    rules: [{ path: "/a", period_secs: 1 }],
    targets: [
      ["/a", 0, 1],
      ["/a/b", 0, 1],
      ["/a/b/c", 3, 1],
      ["/ab", 0, 600],
      ["/", 0, 600],
    ],
  },
  {
    name: "no_subdir does not reach below",
    rules: [{ path: "/a", no_subdir: true, period_secs: 1 }],
    targets: [
      ["/a", 0, 1],
      ["/a/b", 0, 600],
    ],
  },
  {
    name: "the nearest path wins, in any order",
    rules: [
      { path: "/a/b", period_secs: 2 },
      { path: "/", period_secs: 9 },
      { path: "/a", period_secs: 1 },
    ],
    targets: [
      ["/a/b/c", 0, 2],
      ["/a/x", 0, 1],
      ["/z", 0, 9],
      ["/", 0, 9],
    ],
  },
  {
    name: "past a no_subdir rule the search goes on upward",
    rules: [
      { path: "/a/b", no_subdir: true, period_secs: 2 },
      { path: "/a", period_secs: 1 },
    ],
    targets: [
      ["/a/b", 0, 2],
      ["/a/b/c", 0, 1],
    ],
  },
  {
    name: "an exact path before a glob of the same level",
    rules: [
      { path: "/a/*", period_secs: 1 },
      { path: "/a/b", period_secs: 2 },
    ],
    targets: [
      ["/a/b", 0, 2],
      ["/a/c", 0, 1],
      ["/a", 0, 600],
    ],
  },
  {
    name: "a glob of the own level before an exact parent",
    rules: [
      { path: "/a", period_secs: 1 },
      { path: "/*/b", period_secs: 2 },
      { path: "/**", period_secs: 3 },
    ],
    targets: [
      ["/a/b", 0, 2],
      ["/a/c", 0, 3],
      ["/a", 0, 1],
      ["/", 0, 3],
    ],
  },
  {
    name: "a glob reaches below what it names, unless no_subdir",
    rules: [
      { path: "/a/*", period_secs: 1 },
      { path: "/b/*", no_subdir: true, period_secs: 2 },
    ],
    targets: [
      ["/a/x/y", 0, 1],
      ["/b/x", 0, 2],
      ["/b/x/y", 0, 600],
    ],
  },
  {
    name: "a rule that names the node before one that names none",
    rules: [
      { path: "/a", period_secs: 1 },
      { path: "/a", numa_id: [1], period_secs: 2 },
    ],
    targets: [
      ["/a", 0, 1],
      ["/a", 1, 2],
      ["/a/b", 1, 2],
    ],
  },
  {
    name: "exact without node before a glob with it",
    rules: [
      { path: "/*", numa_id: [1], period_secs: 1 },
      { path: "/a", period_secs: 2 },
    ],
    targets: [
      ["/a", 1, 2],
      ["/b", 1, 1],
      ["/b", 0, 600],
    ],
  },
  {
    name: "nodes that no rule names keep the base settings",
    rules: [{ path: "/a", numa_id: [1], period_secs: 1 }],
    targets: [
      ["/a", 0, 600],
      ["/a", 1, 1],
      ["/a", 2, 600],
    ],
  },
  {
    name: "nodes that the nearest rule does not name look further up",
    rules: [
      { path: "/a/b", numa_id: [1], period_secs: 2 },
      { path: "/a", period_secs: 1 },
    ],
    targets: [
      ["/a/b", 0, 1],
      ["/a/b", 1, 2],
    ],
  },
  {
    name: "of two overlapping rules of a path the one with fewer nodes, then the first",
    rules: [
      { path: "/a", numa_id: [0, 1, 2], period_secs: 1 },
      { path: "/a", numa_id: [1, 2], period_secs: 2 },
      { path: "/a", numa_id: [2, 3], period_secs: 3 },
    ],
    targets: [
      ["/a", 0, 1],
      ["/a", 1, 2],
      ["/a", 2, 2],
      ["/a", 3, 3],
    ],
  },
  {
    name: "among globs the one with a node, then more plain levels, then the longer, then the first",
    rules: [
      { path: "/*/*", period_secs: 1 },
      { path: "/a/*", period_secs: 2 },
      { path: "/a/b*", period_secs: 3 },
      { path: "/a/*b", period_secs: 4 },
      { path: "/**", numa_id: [7], period_secs: 5 },
    ],
    targets: [
      ["/x/b", 0, 1],
      ["/a/c", 0, 2],
      ["/a/bb", 0, 3],
      ["/a/xb", 0, 4],
      ["/a/bb", 7, 5],
    ],
  },
];
for (const { name, rules, targets } of precedence) {
  test.each(targets as [string, number, number][])(`${name}: %s node %d`, (path, node, periodSecs) => {
    expect(compileRules(settingsWith(rules).memcg).lookup(path, node).settings.period_secs).toBe(periodSecs);
  });
}

test("what a rule leaves unsaid comes from the base, not from a rule further up", () => {
  const settings = settingsWith([
    { path: "/a", swap: true, period_secs: 5 },
    { path: "/a/b", eviction_run_aging_count_min: 7 },
  ]);
  const { settings: found, rule } = compileRules(settings.memcg).lookup("/a/b", 0);
  expect(found).toMatchObject({ swap: false, period_secs: 600, eviction_run_aging_count_min: 7 });
  expect(rule).toEqual({ path: "/a/b", no_subdir: false, eviction_run_aging_count_min: 7 });
  expect(found).not.toHaveProperty("no_subdir");
  expect(found).not.toHaveProperty("cgroups");
});

test("a lookup gives the same object for all targets of a rule", () => {
  const book = compileRules(settingsWith([{ path: "/a", swap: true }]).memcg);
  expect(book.lookup("/a/b", 0)).toBe(book.lookup("/a/c", 1));
  expect(book.lookup("/x", 0)).toBe(book.lookup("/y", 1));
  const none = compileRules(defaultSettings.memcg);
  expect(none.lookup("/x", 0)).toBe(none.lookup("/y", 1));
  expect(none.lookup("/x", 0).rule).toBeNull();
});

test("5,000 cgroups against 1,000 rules take well under a second", () => {
  const exact = Array.from({ length: 980 }, (_, index) => ({ path: `/a/b${index}`, period_secs: index + 1 }));
  const globs = Array.from({ length: 20 }, (_, index) => ({ path: `/c/*/x${index}*`, period_secs: 5000 + index }));
  const book = compileRules(settingsWith([...exact, ...globs]).memcg);
  const from = performance.now();
  for (let index = 0; index < 5000; index++) book.lookup(`/a/b${index}/c/d`, 0);
  expect(performance.now() - from).toBeLessThan(500);
  expect(book.lookup("/a/b979/c", 0).settings.period_secs).toBe(980);
});

test("an identity is the flag that would name the rule", () => {
  expect(ruleId({ path: "/a" })).toBe("path=/a");
  expect(ruleId({ path: "/a", numa_id: [0, 2] })).toBe("path=/a,numa-id=0:2");
  expect(ruleId({ path: "/a,numa-id=0:2" })).toBe("path=/a\\,numa-id=0:2");
});

const there: readonly RulePatch[] = [
  { path: "/a", period_secs: 1, swap: true },
  { path: "/a", numa_id: [1], period_secs: 2 },
  { path: "/b", no_subdir: true },
];
const edits: readonly {
  readonly name: string;
  readonly edits: RuleEdits;
  readonly result: readonly RulePatch[] | readonly string[];
}[] = [
  { name: "nothing", edits: {}, result: there },
  { name: "add", edits: { add: [{ path: "/c", swap: true }] }, result: [...there, { path: "/c", swap: true }] },
  {
    name: "add of one that is there",
    edits: { add: [{ path: "/a" }] },
    result: ["add[0]: the rule path=/a is there already; allowed: set, or del first"],
  },
  {
    name: "set changes the named keys only",
    edits: {
      set: [
        { path: "/a", period_secs: 9 },
        { path: "/b", no_subdir: false },
      ],
    },
    result: [{ path: "/a", period_secs: 9, swap: true }, { path: "/a", numa_id: [1], period_secs: 2 }, { path: "/b" }],
  },
  {
    name: "deleting one of several rules of a path takes effect",
    edits: { del: [{ path: "/a", numa_id: [1] }] },
    result: [
      { path: "/a", period_secs: 1, swap: true },
      { path: "/b", no_subdir: true },
    ],
  },
  {
    name: "del and add replace a rule",
    edits: { add: [{ path: "/b" }], del: [{ path: "/b" }] },
    result: [{ path: "/a", period_secs: 1, swap: true }, { path: "/a", numa_id: [1], period_secs: 2 }, { path: "/b" }],
  },
  {
    name: "every problem is told",
    edits: {
      add: [{ path: "/b" }, { path: "/n" }, { path: "/n" }],
      set: [{ path: "/x", swap: true }],
      del: [{ path: "/a" }, { path: "/a" }, { path: "/a", numa_id: [0, 1] }],
    },
    result: [
      "del[1]: there is no rule path=/a; allowed: one of path=/a,numa-id=1 path=/b",
      "del[2]: there is no rule path=/a,numa-id=0:1; allowed: one of path=/a,numa-id=1 path=/b",
      "set[0]: there is no rule path=/x; allowed: one of path=/a,numa-id=1 path=/b",
      "add[0]: the rule path=/b is there already; allowed: set, or del first",
      "add[2]: the rule path=/n is there already; allowed: set, or del first",
    ],
  },
];
test.each(edits)("edit: $name", ({ edits, result }) => {
  const edited = editRules(settingsWith(there).memcg.cgroups, edits);
  if (typeof result[0] === "string") {
    expect(edited.problems.map(formatProblem)).toEqual(result as string[]);
  } else {
    expect(edited.problems).toEqual([]);
    expect(edited.rules).toEqual(settingsWith(result as RulePatch[]).memcg.cgroups);
  }
});

test("in an empty list the way out is named", () => {
  const { problems } = editRules([], { del: [{ path: "/a" }] });
  expect(problems.map(formatProblem)).toEqual(["del[0]: there is no rule path=/a; allowed: none is there; use add"]);
});

const cgroups = [
  { path: "/", nodes: [0] },
  { path: "/a", nodes: [0] },
  { path: "/a/b", nodes: [0, 1] },
  { path: "/system.slice/x.service", nodes: [0] },
];
const matching: readonly (readonly [rule: RulePatch, matches: boolean])[] = [
  [{ path: "/" }, true],
  [{ path: "/a" }, true],
  [{ path: "/b" }, false],
  [{ path: "/a/b/c" }, false],
  [{ path: "/a/b", numa_id: [1] }, true],
  [{ path: "/a", numa_id: [1] }, false],
  [{ path: "/a", numa_id: [1, 0] }, true],
  [{ path: "/system.slice/*" }, true],
  [{ path: "/**/b" }, true],
  [{ path: "/**/b", numa_id: [2] }, false],
  [{ path: "/kubepods/**" }, false],
  [{ path: "/system.slice" }, false],
];
test.each(matching)("%p matches a cgroup: %p", (rule, matches) => {
  const rules = settingsWith([rule, { path: "/a" }, { path: "/nowhere" }]).memcg.cgroups;
  expect(unmatchedRules(rules, cgroups)).toEqual(rules.filter((_, index) => index === 2 || (index === 0 && !matches)));
});

describe("the agent's own cgroup", () => {
  const rows: readonly (readonly [string, Parameters<typeof settingsWith>[0], string, boolean])[] = [
    ["is left alone", [], "/own", true],
    ["and no other", [], "/other", false],
    ["also under a rule for what is above it", [{ path: "/", period_secs: 1 }], "/own", true],
    ["and not what is below it", [], "/own/below", false],
    ["unless a rule names it", [{ path: "/own", period_secs: 1 }], "/own", false],
  ];
  for (const [name, rules, path, disabled] of rows) {
    test(name, () => {
      const found = compileRules(settingsWith(rules).memcg, "/own").lookup(path, 0);
      expect(found.settings.disabled).toBe(disabled);
    });
  }
});
