import { expect, test } from "bun:test";
import { formatProblem } from "../../../src/config/problems.ts";
import type { SettingsOverrides } from "../../../src/config/schema.ts";
import { parseConfig, parsePlaced, parseQuickly } from "../../../src/config/toml.ts";

const memcgKeys =
  "disabled, swap, swappiness_max, period_secs, period_min_secs, period_psi_percent_limit, eviction_psi_percent_limit, " +
  "eviction_run_aging_count_min, refault_percent_limit, backend, spread_percent, cgroups";
const ruleKeys =
  "path, numa_id, no_subdir, disabled, swap, swappiness_max, period_secs, period_min_secs, period_psi_percent_limit, " +
  "eviction_psi_percent_limit, eviction_run_aging_count_min, refault_percent_limit";
const aPath = "a cgroup path such as /system.slice, or a glob (* one level, ** any)";
const nodes = "numbers of NUMA nodes (0 to 1023), at least one; leave it out for all nodes";

/** A file, and every line that `config check` has to say about it. */
const broken: readonly [text: string, ...problems: string[]][] = [
  // What is not TOML.
  ["[memcg]\nswap = tru\n", '2:8: not TOML: Invalid integer "tru"'],
  ["[memcg\n", '1:7: not TOML: Expected table closing "]", found end of file'],
  ["[memcg]\nswap = true\nswap = true\n", "3:1: not TOML: Value already defined for memcg.swap"],
  ["[memcg]\n[memcg]\n", "2:1: not TOML: Table already defined: memcg"],
  ["a = \n", "1:1: not TOML: Expected value, reached EOF"],
  ["a = [1,\n", '1:5: not TOML: Expected "]"'],
  ['a = "x\n', "1:7: not TOML: Newline (0x0A) not allowed in basic strings"],
  [`a = ${"[".repeat(100_000)}`, "1:1: not TOML: tables or lists are nested too deeply"],
  ["#".repeat(1024 * 1024 + 1), "the file is too large; allowed: at most 1048576 characters"],
  [`x = 1\n${"a.".repeat(70)}b = 1`, "2:1: a key of too many parts; allowed: at most 64 parts"],
  // What does not belong there.
  ["perod = 1", "1:1: perod: unknown key; allowed: memcg, compact, control, log"],
  ["[memgc]\n", '1:1: memgc: unknown key (did you mean "memcg"?); allowed: memcg, compact, control, log'],
  [
    "period_secs = 1",
    "1:1: period_secs: this key belongs into [memcg] or [compact]; allowed: memcg, compact, control, log",
  ],
  [
    "[memcg]\n perod_secs = 3",
    `2:2: memcg.perod_secs: unknown key (did you mean "period_secs"?); allowed: ${memcgKeys}`,
  ],
  [
    "[compact]\nswap = true",
    "2:1: compact.swap: unknown key; allowed: disabled, period_secs, period_psi_percent_limit, psi_percent_limit, sec_max, order, threshold, force_times",
  ],
  ["memcg = 3", `1:1: memcg: 3 is not a table; allowed: ${memcgKeys}`],
  ["[[memcg]]\nswap = true", `1:1: memcg: a list is not a table; allowed: ${memcgKeys}`],
  ["log = 2020-01-01", "1:1: log: 2020-01-01T00:00:00.000Z is not a table; allowed: level, file, format"],
  [
    "[control.addr]\nx = 1",
    "1:1: control.addr: a table is not a socket address; allowed: unix:///path or an absolute path, at most 107 bytes long",
  ],
  // Values.
  ['[memcg]\nswap = "yes"', '2:1: memcg.swap: "yes" is not true or false; allowed: true or false'],
  [
    'memcg.period_secs = "abc"',
    '1:1: memcg.period_secs: "abc" is not a number of seconds; allowed: a whole number from 1 to 86400; files and flags take "10m" too',
  ],
  [
    "[memcg]\nperiod_secs = 0",
    `2:1: memcg.period_secs: 0 is too small; allowed: a whole number from 1 to 86400; files and flags take "10m" too`,
  ],
  [
    "[memcg]\nswappiness_max = 306",
    "2:1: memcg.swappiness_max: 306 is too large; allowed: a whole number from 0 to 200",
  ],
  [
    "[memcg]\nperiod_secs = 1.5",
    `2:1: memcg.period_secs: 1.5 is not a whole number; allowed: a whole number from 1 to 86400; files and flags take "10m" too`,
  ],
  [
    "[memcg]\nperiod_psi_percent_limit = nan",
    "2:1: memcg.period_psi_percent_limit: NaN is not a percentage; allowed: a number from 0 to 100, decimals too",
  ],
  [
    '[memcg]\nbackend = "lru-gen"',
    '2:1: memcg.backend: "lru-gen" is not known (did you mean "lru_gen"?); allowed: auto, lru_gen, memory_reclaim',
  ],
  [
    "[compact]\nthreshold = 9007199254740993",
    "2:1: compact.threshold: 9007199254740993 is too large; allowed: a whole number from 0 to 4294967296",
  ],
  [
    "[compact]\nforce_times = 18446744073709551614",
    '2:1: compact.force_times: 18446744073709551614 is too large; allowed: a whole number >= 0, or "never"',
  ],
  [
    '[log]\nlevel = "inof"',
    '2:1: log.level: "inof" is not known (did you mean "info"?); allowed: trace, debug, info, warn, error, critical',
  ],
  [
    "[log]\nfile = 1979-05-27",
    "2:1: log.file: 1979-05-27T00:00:00.000Z is not a file path; allowed: the path of a file; leave it out to log to stderr",
  ],
  // Rules.
  ["[memcg]\ncgroups = 3", "2:1: memcg.cgroups: 3 is not a list of rules; allowed: tables with a path"],
  ["[memcg.cgroups]\npath = '/a'", "1:1: memcg.cgroups: a table is not a list of rules; allowed: tables with a path"],
  ["memcg.cgroups = [{path='/a'}, 3]", `1:31: memcg.cgroups[1]: 3 is not a table; allowed: ${ruleKeys}`],
  ["[[memcg.cgroups]]\nswap = true", `1:1: memcg.cgroups[0].path: a rule needs a path; allowed: ${aPath}`],
  ["[[memcg.cgroups]]\npath = ''", `2:1: memcg.cgroups[0].path: "" is not a cgroup path; allowed: ${aPath}`],
  [
    "[[memcg.cgroups]]\npath = '/a'\nnuma_id = []",
    `3:1: memcg.cgroups[0].numa_id: an empty list names no node; allowed: ${nodes}`,
  ],
  [
    "[[memcg.cgroups]]\npath = '/a'\nnuma_id = [-1]",
    `3:1: memcg.cgroups[0].numa_id: a list is not a list of nodes; allowed: ${nodes}`,
  ],
  [
    "[[memcg.cgroups]]\npath = '/a'\nbackend = 'auto'",
    `3:1: memcg.cgroups[0].backend: a rule cannot set this, only the base settings can; allowed: ${ruleKeys}`,
  ],
  [
    "[[memcg.cgroups]]\npath = '/a'\n[memcg.cgroups.x]\ny = 1",
    `3:1: memcg.cgroups[0].x: unknown key; allowed: ${ruleKeys}`,
  ],
  [
    "[[memcg.cgroups]]\npath = '/a/b'\n[[memcg.cgroups]]\npath = 'a/b/'",
    "3:1: memcg.cgroups[1]: the rule path=/a/b is here twice; allowed: one rule for each path and nodes",
  ],
  [
    "memcg.cgroups = [{path='/a', numa_id=[2,1]}, {path='/a'}, {path='/a', numa_id=[1,2,1]}]",
    "1:59: memcg.cgroups[2]: the rule path=/a,numa-id=1:2 is here twice; allowed: one rule for each path and nodes",
  ],
  [
    "memcg.cgroups = [{path='/a', period_secs=0}, {path='a/'}]",
    `1:30: memcg.cgroups[0].period_secs: 0 is too small; allowed: a whole number from 1 to 86400; files and flags take "10m" too`,
    "1:46: memcg.cgroups[1]: the rule path=/a is here twice; allowed: one rule for each path and nodes",
  ],
  // A rule whose nodes are wrong is not another rule of its path.
  [
    "memcg.cgroups = [{path='/a', numa_id=[]}, {path='a/'}]",
    "1:30: memcg.cgroups[0].numa_id: an empty list names no node; allowed: numbers of NUMA nodes (0 to 1023), at least one; leave it out for all nodes",
  ],
  // Several at once, in the order of the file.
  [
    "[memcg]\nswap = 1\n[[memcg.cgroups]]\npath = '/a'\nperiod_secs = 0\n[[memcg.cgroups]]\npath = '/b'\nswap = 2\n[compact]\norder = 11\n",
    "2:1: memcg.swap: 1 is not true or false; allowed: true or false",
    `5:1: memcg.cgroups[0].period_secs: 0 is too small; allowed: a whole number from 1 to 86400; files and flags take "10m" too`,
    "8:1: memcg.cgroups[1].swap: 2 is not true or false; allowed: true or false",
    "10:1: compact.order: 11 is too large; allowed: a whole number from 0 to 10",
  ],
];
test.each(broken.map(([text, ...problems]) => ({ text, problems, name: JSON.stringify(text.slice(0, 60)) })))(
  "a bad file: $name",
  async ({ text, problems }) => {
    const parsed = await parseConfig(text, { file: "x.toml" });
    expect(parsed.overrides).toEqual({});
    const lines = parsed.problems.map(formatProblem);
    expect(lines).toEqual(
      problems.map((problem) => (problem.startsWith("the file") ? `x.toml: ${problem}` : `x.toml:${problem}`)),
    );
  },
);

const good: readonly [text: string, overrides: SettingsOverrides][] = [
  ["", {}],
  ["# nothing\n", {}],
  ["\uFEFF[memcg]\r\nswap = true\r\n", { memcg: { swap: true } }],
  ["[memcg]\n", { memcg: {} }],
  ["memcg.swap = true\nlog.level = 'debug'", { memcg: { swap: true }, log: { level: "debug" } }],
  ["memcg = { period_secs = 3, cgroups = [{ path = 'a' }] }", { memcg: { period_secs: 3, cgroups: [{ path: "/a" }] } }],
  ["[compact]\nforce_times = 9223372036854775807", { compact: { force_times: "never" } }],
  ["[compact]\nforce_times = 18446744073709551615", { compact: { force_times: "never" } }],
  ["[compact]\nforce_times = 'never'", { compact: { force_times: "never" } }],
  [
    "[compact]\nforce_times = 0x10\nperiod_secs = 1_000\npsi_percent_limit = 2.5",
    { compact: { force_times: 16, period_secs: 1000, psi_percent_limit: 2.5 } },
  ],
  [
    "[[memcg.cgroups]]\npath = '/a/'\nnuma_id = [2, 1]\nno_subdir = true\n\n[memcg]\nswap = true\n[[memcg.cgroups]]\npath = 'b'\neviction_run_aging_count_min = 7",
    {
      memcg: {
        swap: true,
        cgroups: [
          { path: "/a", numa_id: [1, 2], no_subdir: true },
          { path: "/b", eviction_run_aging_count_min: 7 },
        ],
      },
    },
  ],
  [
    "[control]\naddr = '/run/x.sock'\n[log]\nfile = '/var/log/x'\nformat = 'json'",
    { control: { addr: "/run/x.sock" }, log: { file: "/var/log/x", format: "json" } },
  ],
];
test.each(good)("only what a file says is kept: %j", async (text, overrides) => {
  expect(await parseConfig(text, { file: "x.toml" })).toEqual({ overrides, problems: [] });
});

test.each(good)("both parsers read the same: %j", async (text) => {
  const quick = parseQuickly(text);
  const placed = await parsePlaced(text);
  expect(placed.problems).toEqual([]);
  if (quick === null) expect(text).toMatch(/\d{16}/);
  else expect(placed.overrides).toEqual(quick);
});

test("a hundred problems are enough", async () => {
  const text = `[memcg]\n${Array.from({ length: 300 }, (_, index) => `x${index} = 1`).join("\n")}`;
  expect((await parseConfig(text, { file: "x.toml" })).problems).toHaveLength(100);
});

test("a span of time may have its unit, also in a rule", async () => {
  const text = `[memcg]\nperiod_secs = "10m"\nperiod_min_secs = "90s"\n[[memcg.cgroups]]\npath = "/a"\nperiod_secs = "1h"\n`;
  const { overrides, problems } = await parseConfig(`${text}[compact]\nsec_max = "2m"\n`, { file: "x.toml" });
  expect(problems).toEqual([]);
  expect(overrides).toMatchObject({
    memcg: { period_secs: 600, period_min_secs: 90, cgroups: [{ path: "/a", period_secs: 3600 }] },
    compact: { sec_max: 120 },
  });
});

test("a span that is no whole number of seconds, or too long, is refused", async () => {
  for (const [span, message] of [
    ["500ms", "0.5 is not a whole number"],
    ["2d", "172800 is too large"],
    ["10 minutes", '"10 minutes" is not a number of seconds'],
  ]) {
    const { problems } = await parseConfig(`[memcg]\nperiod_secs = "${span}"\n`, { file: "x.toml" });
    expect(problems.map((problem) => problem.message)).toEqual([message ?? ""]);
  }
});
