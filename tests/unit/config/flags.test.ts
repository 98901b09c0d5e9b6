import { expect, test } from "bun:test";
import { compactsetFlags, type Flag, memcgsetFlags, serveFlags } from "../../../src/config/flags.ts";
import type { RuleEdits } from "../../../src/config/rules.ts";
import { settingList, type SettingsOverrides } from "../../../src/config/schema.ts";
import { readFlags } from "./read-flags.ts";

test("every setting has its flag", () => {
  const names = serveFlags.map((flag) => flag.name);
  const expected = settingList.map((setting) =>
    setting.name === "control.addr" || setting.name === "control.name"
      ? setting.key
      : setting.name.replaceAll(/[._]/g, "-"),
  );
  expect(names).toEqual([...expected, "memcg-cgroups"]);
  expect(new Set(names).size).toBe(names.length);
  expect(memcgsetFlags.map((flag) => flag.name).slice(-3)).toEqual(["memcg-add", "memcg-set", "memcg-del"]);
  expect(compactsetFlags.every((flag) => flag.name.startsWith("compact-"))).toBe(true);
});

const good: readonly [flags: readonly Flag[], line: string, overrides: SettingsOverrides, edits?: RuleEdits][] = [
  [serveFlags, "", {}],
  [serveFlags, "--memcg-disabled true", { memcg: { disabled: true } }],
  [memcgsetFlags, "--memcg-disabled true", { memcg: { disabled: true } }],
  [serveFlags, "--memcg-disabled=false --memcg-swap", { memcg: { disabled: false, swap: true } }],
  [serveFlags, "--memcg-swap --compact-order 9", { memcg: { swap: true }, compact: { order: 9 } }],
  [
    serveFlags,
    "--addr unix:///run/mem-agent.sock --log-level debug --log-file /var/log/x --log-format=json",
    { control: { addr: "unix:///run/mem-agent.sock" }, log: { level: "debug", file: "/var/log/x", format: "json" } },
  ],
  [
    serveFlags,
    "--log-level Warning --memcg-backend LRU_GEN",
    { log: { level: "warn" }, memcg: { backend: "lru_gen" } },
  ],
  [serveFlags, "--control-addr /run/x", { control: { addr: "/run/x" } }],
  [serveFlags, "--name web-1", { control: { name: "web-1" } }],
  [serveFlags, "--control-name web-1", { control: { name: "web-1" } }],
  [
    serveFlags,
    "--control-vsock vsock://:9469 --control-vsock-peers 2,1 --control-vsock-write",
    { control: { vsock: "vsock://:9469", vsock_peers: [1, 2], vsock_write: true } },
  ],
  [serveFlags, "--compact-force-times 18446744073709551615", { compact: { force_times: "never" } }],
  [serveFlags, "--compact-force-times 9223372036854775807", { compact: { force_times: "never" } }],
  [serveFlags, "--compact-force-times never", { compact: { force_times: "never" } }],
  [
    serveFlags,
    "--compact-force-times 0 --compact-psi-percent-limit 2.5",
    { compact: { force_times: 0, psi_percent_limit: 2.5 } },
  ],
  [
    serveFlags,
    "--memcg-cgroups path=/a,period-secs=300 path=/b,disabled=true --memcg-swap true",
    {
      memcg: {
        swap: true,
        cgroups: [
          { path: "/a", period_secs: 300 },
          { path: "/b", disabled: true },
        ],
      },
    },
  ],
  [
    serveFlags,
    "--memcg-cgroups=path=/a --memcg-cgroups path=/b",
    { memcg: { cgroups: [{ path: "/a" }, { path: "/b" }] } },
  ],
  [
    memcgsetFlags,
    "--memcg-add path=a/,numa-id=2:1,no-subdir --memcg-set path=/b,swap=false --memcg-del path=/c path=/d,numa_id=0 --memcg-add path=/e",
    {},
    {
      add: [{ path: "/a", numa_id: [1, 2], no_subdir: true }, { path: "/e" }],
      set: [{ path: "/b", swap: false }],
      del: [{ path: "/c" }, { path: "/d", numa_id: [0] }],
    },
  ],
  [memcgsetFlags, "--memcg-del path=/x\\,y=z\\\\,numa-id=1", {}, { del: [{ path: "/x,y=z\\", numa_id: [1] }] }],
];
test.each(good.map(([flags, line, overrides, edits]) => ({ flags, line, overrides, edits })))(
  "$line",
  ({ flags, line, overrides, edits }) => {
    const parsed = readFlags(line.split(" ").filter(Boolean), flags);
    expect(parsed.problems).toEqual([]);
    expect(parsed.overrides).toEqual(overrides);
    expect(parsed.edits).toEqual(edits ?? {});
  },
);

const ruleKeys =
  "path, numa-id, no-subdir, disabled, swap, swappiness-max, period-secs, period-min-secs, period-psi-percent-limit, " +
  "eviction-psi-percent-limit, eviction-run-aging-count-min, refault-percent-limit";
const ruleValueKeys = ruleKeys.replace("path, numa-id, ", "");

const bad: readonly { readonly flags: readonly Flag[]; readonly line: string; readonly problems: readonly string[] }[] =
  [
    {
      flags: memcgsetFlags,
      line: "--memcg-swp true",
      problems: ['unknown flag "--memcg-swp" (did you mean "--memcg-swap"?)'],
    },
    {
      flags: memcgsetFlags,
      line: "--memcg_swap=true",
      problems: ['unknown flag "--memcg_swap" (did you mean "--memcg-swap"?)'],
    },
    {
      flags: compactsetFlags,
      line: "--frequency 3",
      problems: ['unknown flag "--frequency"'],
    },
    { flags: compactsetFlags, line: "-x", problems: ['unknown flag "-x"'] },
    {
      flags: memcgsetFlags,
      line: "--memcg-period-secs",
      problems: [
        `--memcg-period-secs: a value is missing; allowed: a whole number from 1 to 86400; files and flags take "10m" too`,
      ],
    },
    {
      flags: memcgsetFlags,
      line: "--memcg-period-secs --memcg-swap",
      problems: [
        `--memcg-period-secs: a value is missing; allowed: a whole number from 1 to 86400; files and flags take "10m" too`,
      ],
    },
    {
      flags: memcgsetFlags,
      line: "--memcg-period-secs -5 --memcg-swappiness-max 306 --memcg-disabled yes --memcg-period-psi-percent-limit x",
      problems: [
        `--memcg-period-secs: -5 is too small; allowed: a whole number from 1 to 86400; files and flags take "10m" too`,
        "--memcg-swappiness-max: 306 is too large; allowed: a whole number from 0 to 200",
        '--memcg-disabled: "yes" is not true or false; allowed: true or false',
        '--memcg-period-psi-percent-limit: "x" is not a percentage; allowed: a number from 0 to 100, decimals too',
      ],
    },
    {
      flags: memcgsetFlags,
      line: "--memcg-period-secs=",
      problems: [
        '--memcg-period-secs: "" is not a number of seconds; allowed: a whole number from 1 to 86400; files and flags take "10m" too',
      ],
    },
    {
      flags: memcgsetFlags,
      line: "--memcg-swap true --memcg-swap=false",
      problems: ["--memcg-swap: given twice; allowed: once"],
    },
    {
      flags: memcgsetFlags,
      line: "memcg-swap",
      problems: ['unexpected argument "memcg-swap" (did you mean "--memcg-swap"?)'],
    },
    {
      flags: memcgsetFlags,
      line: "--memcg-swap true more",
      problems: ['unexpected argument "more"'],
    },
    {
      flags: memcgsetFlags,
      line: "-- more",
      problems: ['unexpected argument "more"'],
    },
    {
      flags: memcgsetFlags,
      line: "--memcg-add",
      problems: ["--memcg-add: a value is missing; allowed: path=/a,key=value,…"],
    },
    {
      flags: memcgsetFlags,
      line: "--memcg-add path=/a,perod-secs=3 path=/b,numa-id,swap=1 path=/c,swap,swap numa-id=1 --memcg-set path=/a --memcg-del path=/a,swap",
      problems: [
        `--memcg-add path=/a,perod-secs=3: unknown key "perod-secs" (did you mean "period-secs"?); allowed: ${ruleKeys}`,
        "--memcg-add path=/b,numa-id,swap=1: numa-id has no value; allowed: numa-id=VALUE",
        "--memcg-add path=/c,swap,swap: swap is given twice; allowed: once",
        '--memcg-add path=/b,numa-id,swap=1: swap: "1" is not true or false; allowed: true or false',
        "--memcg-add numa-id=1: a rule needs a path; allowed: a cgroup path such as /system.slice, or a glob (* one level, ** any)",
        `--memcg-set path=/a: this sets nothing; allowed: ${ruleValueKeys}`,
        "--memcg-del path=/a,swap: swap: unknown key; allowed: path, numa-id",
      ],
    },
    {
      flags: serveFlags,
      line: "--memcg-cgroups path=/a path=a/",
      problems: ["--memcg-cgroups path=a/: the rule path=/a is here twice; allowed: one rule for each path and nodes"],
    },
  ];
test.each(bad)("problems of $line", ({ flags, line, problems }) => {
  expect(readFlags(line.split(" "), flags).problems).toEqual([...problems]);
});
