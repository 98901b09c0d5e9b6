import { expect, test } from "bun:test";
import { parseCompactChange, type ParsedChange, parseLogLevel, parseMemcgChange } from "../../../src/config/change.ts";
import { formatProblem } from "../../../src/config/problems.ts";

const memcgKeys =
  "disabled, swap, swappiness_max, period_secs, period_min_secs, period_psi_percent_limit, eviction_psi_percent_limit, " +
  "eviction_run_aging_count_min, refault_percent_limit, backend, spread_percent, add, set, del";
const compactKeys =
  "disabled, period_secs, period_psi_percent_limit, psi_percent_limit, sec_max, order, threshold, force_times";
const ruleValueKeys =
  "no_subdir, disabled, swap, swappiness_max, period_secs, period_min_secs, period_psi_percent_limit, eviction_psi_percent_limit, " +
  "eviction_run_aging_count_min, refault_percent_limit";

const rows: readonly {
  readonly parse: (body: unknown) => ParsedChange;
  readonly body: unknown;
  readonly change?: ParsedChange["change"];
  readonly problems?: readonly string[];
}[] = [
  {
    parse: parseMemcgChange,
    body: {
      swap: true,
      add: [{ path: "a/", numa_id: [2, 1] }],
      set: [{ path: "/b", period_secs: 3 }],
      del: [{ path: "/c", numa_id: [0] }],
    },
    change: {
      memcg: { swap: true },
      rules: {
        add: [{ path: "/a", numa_id: [1, 2] }],
        set: [{ path: "/b", period_secs: 3 }],
        del: [{ path: "/c", numa_id: [0] }],
      },
    },
  },
  {
    parse: parseMemcgChange,
    body: { backend: "lru_gen", spread_percent: 0 },
    change: { memcg: { backend: "lru_gen", spread_percent: 0 }, rules: {} },
  },
  {
    parse: parseMemcgChange,
    body: {
      perod_secs: 3,
      swap: "yes",
      swappiness_max: 256,
      add: [{ swap: true }, 3],
      set: [{ path: "/a" }],
      del: [{ path: "/a", swap: true }, {}],
    },
    problems: [
      `perod_secs: unknown key (did you mean "period_secs"?); allowed: ${memcgKeys}`,
      'swap: "yes" is not true or false; allowed: true or false',
      "swappiness_max: 256 is too large; allowed: a whole number from 0 to 200",
      "add[0].path: a rule needs a path; allowed: a cgroup path such as /system.slice, or a glob (* one level, ** any)",
      `add[1]: 3 is not a table; allowed: path, numa_id, ${ruleValueKeys}`,
      `set[0]: this sets nothing; allowed: ${ruleValueKeys}`,
      "del[0].swap: unknown key; allowed: path, numa_id",
      "del[1].path: a rule needs a path; allowed: a cgroup path such as /system.slice, or a glob (* one level, ** any)",
    ],
  },
  {
    parse: parseMemcgChange,
    body: { add: [{ path: "/a" }, { path: "a" }] },
    problems: ["add[1]: the rule path=/a is here twice; allowed: one rule for each path and nodes"],
  },
  { parse: parseMemcgChange, body: {}, problems: [`nothing is changed by this; allowed: ${memcgKeys}`] },
  {
    parse: parseMemcgChange,
    body: { add: [], del: [] },
    problems: [`nothing is changed by this; allowed: ${memcgKeys}`],
  },
  { parse: parseMemcgChange, body: null, problems: [`null is not a table; allowed: ${memcgKeys}`] },
  { parse: parseMemcgChange, body: [], problems: [`a list is not a table; allowed: ${memcgKeys}`] },
  {
    parse: parseMemcgChange,
    body: { add: {} },
    problems: ["add: a table is not a list of rules; allowed: tables with a path"],
  },
  {
    parse: parseMemcgChange,
    body: JSON.parse('{"__proto__": {"swap": true}}'),
    problems: [`__proto__: unknown key; allowed: ${memcgKeys}`],
  },
  { parse: parseMemcgChange, body: { constructor: 1 }, problems: [`constructor: unknown key; allowed: ${memcgKeys}`] },
  {
    parse: parseCompactChange,
    body: { order: 3, force_times: 2 ** 63 },
    change: { compact: { order: 3, force_times: "never" } },
  },
  {
    parse: parseCompactChange,
    body: { order: 11 },
    problems: ["order: 11 is too large; allowed: a whole number from 0 to 10"],
  },
  { parse: parseCompactChange, body: {}, problems: [`nothing is changed by this; allowed: ${compactKeys}`] },
  { parse: parseLogLevel, body: "debug", change: { log: { level: "debug" } } },
  {
    parse: parseLogLevel,
    body: "loud",
    problems: ['level: "loud" is not known; allowed: trace, debug, info, warn, error, critical'],
  },
];
test.each(rows)("$parse.name, row %#", ({ parse, body, change, problems }) => {
  const parsed = parse(body);
  expect(parsed.problems.map(formatProblem)).toEqual([...(problems ?? [])]);
  expect(parsed.change).toEqual(change ?? {});
});
