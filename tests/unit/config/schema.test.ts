import { expect, test } from "bun:test";
import { defaultSettings, ruleSettingList, settingList } from "../../../src/config/schema.ts";
import { allowedText, readValue, valueOfText } from "../../../src/config/values.ts";

const percent = "a number from 0 to 100, decimals too";
const seconds = `a whole number from 1 to 86400; files and flags take "10m" too`;
/** The table of the specification, with the settings that came after it. */
const expected: readonly [name: string, fallback: unknown, allowed: string, inRules: boolean][] = [
  ["memcg.disabled", false, "true or false", true],
  ["memcg.swap", false, "true or false", true],
  ["memcg.swappiness_max", 50, "a whole number from 0 to 200", true],
  ["memcg.period_secs", 600, seconds, true],
  ["memcg.period_min_secs", 20, `a whole number from 1 to 86400; files and flags take "10m" too`, true],
  ["memcg.period_psi_percent_limit", 1, percent, true],
  ["memcg.eviction_psi_percent_limit", 1, percent, true],
  ["memcg.eviction_run_aging_count_min", 3, "a whole number from 0 to 1000", true],
  ["memcg.refault_percent_limit", 0.2, percent, true],
  ["memcg.backend", "auto", "auto, lru_gen, memory_reclaim", false],
  ["memcg.spread_percent", 10, "a number from 0 to 50, decimals too", false],
  ["compact.disabled", false, "true or false", false],
  ["compact.period_secs", 600, seconds, false],
  ["compact.period_psi_percent_limit", 1, percent, false],
  ["compact.psi_percent_limit", 5, percent, false],
  ["compact.sec_max", 300, seconds, false],
  ["compact.order", 9, "a whole number from 0 to 10", false],
  ["compact.threshold", 1024, "a whole number from 0 to 4294967296", false],
  ["compact.force_times", "never", 'a whole number >= 0, or "never"', false],
  ["control.addr", "unix:///run/mem-agent.sock", "unix:///path or an absolute path, at most 107 bytes long", false],
  ["control.name", null, "1 to 64 characters; leave it out for the host name", false],
  ["control.vsock", null, "vsock://:PORT, such as vsock://:9469; leave it out for none", false],
  ["control.vsock_peers", [2], "numbers from 0 to 4294967294, at least one", false],
  ["control.vsock_write", false, "true or false", false],
  ["log.level", "info", "trace, debug, info, warn, error, critical", false],
  ["log.file", null, "the path of a file; leave it out to log to stderr", false],
  ["log.format", "text", "text, json", false],
];

test("every setting is there with its default and what is allowed", () => {
  const declared = settingList.map((setting) => [
    setting.name,
    setting.fallback,
    allowedText(setting),
    setting.inRules,
  ]);
  expect(declared as unknown).toEqual(expected);
});

test("the defaults are valid values of their settings", () => {
  for (const setting of settingList)
    expect(readValue(setting, setting.fallback)).toEqual({ ok: true, value: setting.fallback });
  expect(defaultSettings.memcg.cgroups).toEqual([]);
  expect(defaultSettings.memcg.period_secs).toBe(600);
});

test("descriptions are one line without a full stop", () => {
  for (const { text } of [...settingList, ...ruleSettingList]) expect(text).toMatch(/^[^\n]+[^\n.]$/);
});

const longPath = `/${"a".repeat(106)}`;
/** What the value becomes, or the reason why it is refused. */
const values: readonly [name: string, raw: unknown, value: unknown, refusal?: string][] = [
  ["memcg.disabled", true, true],
  ["memcg.disabled", 1, null, "1 is not true or false"],
  ["memcg.disabled", "true", null, '"true" is not true or false'],
  ["memcg.swappiness_max", 0, 0],
  ["memcg.swappiness_max", 200, 200],
  ["memcg.swappiness_max", 201, null, "201 is too large"],
  ["memcg.swappiness_max", 256, null, "256 is too large"],
  ["memcg.swappiness_max", -1, null, "-1 is too small"],
  ["memcg.swappiness_max", 1.5, null, "1.5 is not a whole number"],
  ["memcg.swappiness_max", "x", null, '"x" is not a number'],
  ["memcg.period_secs", 1, 1],
  ["memcg.period_secs", 0, null, "0 is too small"],
  ["memcg.period_secs", 86_400, 86_400],
  ["memcg.period_secs", 86_401, null, "86401 is too large"],
  ["memcg.period_secs", 2 ** 53, null, "9007199254740992 is too large"],
  ["memcg.period_secs", 2n ** 60n, null, "1152921504606846976 is too large"],
  ["memcg.period_secs", -(2n ** 60n), null, "-1152921504606846976 is too small"],
  ["memcg.period_secs", Infinity, null, "Infinity is not a whole number"],
  ["memcg.period_secs", "abc", null, '"abc" is not a number of seconds'],
  ["memcg.period_secs", null, null, "null is not a number of seconds"],
  ["memcg.period_psi_percent_limit", 0, 0],
  ["memcg.period_psi_percent_limit", 0.25, 0.25],
  ["memcg.period_psi_percent_limit", 100, 100],
  ["memcg.period_psi_percent_limit", 100.1, null, "100.1 is too large"],
  ["memcg.period_psi_percent_limit", -0.1, null, "-0.1 is too small"],
  ["memcg.period_psi_percent_limit", Number.NaN, null, "NaN is not a percentage"],
  ["memcg.period_psi_percent_limit", Infinity, null, "Infinity is too large"],
  ["memcg.backend", "memory_reclaim", "memory_reclaim"],
  ["memcg.backend", "lru-gen", null, '"lru-gen" is not known (did you mean "lru_gen"?)'],
  ["memcg.backend", 3, null, "3 is not known"],
  ["memcg.spread_percent", 50, 50],
  ["memcg.spread_percent", 51, null, "51 is too large"],
  ["compact.order", 10, 10],
  ["compact.order", 11, null, "11 is too large"],
  ["compact.force_times", 0, 0],
  ["compact.force_times", "never", "never"],
  ["compact.force_times", 9223372036854775807n, "never"],
  ["compact.force_times", 18446744073709551615n, "never"],
  ["compact.force_times", JSON.parse("9223372036854775807"), "never"],
  ["compact.force_times", JSON.parse("18446744073709551615"), "never"],
  ["compact.force_times", 9223372036854775806n, null, "9223372036854775806 is too large"],
  ["compact.force_times", 2 ** 60, null, "1152921504606847000 is too large"],
  ["compact.force_times", -1, null, "-1 is too small"],
  ["compact.force_times", "always", null, '"always" is not a number of runs'],
  ["control.addr", "/run/a.sock", "/run/a.sock"],
  ["control.addr", `unix://${longPath}`, `unix://${longPath}`],
  ["control.addr", `${longPath}a`, null, `"${longPath.slice(0, 59)}… is not a socket address`],
  ["control.addr", "tcp://1.2.3.4", null, '"tcp://1.2.3.4" is not a socket address'],
  ["control.name", "web 1 ü", "web 1 ü"],
  ["control.name", "", null, '"" is not a name'],
  ["control.name", "a\nb", null, '"a\\nb" is not a name'],
  ["control.name", "a".repeat(65), null, `"${"a".repeat(59)}… is not a name`],
  ["control.vsock", "vsock://:9469", "vsock://:9469"],
  ["control.vsock", "vsock://:0", null, '"vsock://:0" is not a vsock address'],
  ["control.vsock", "vsock://:4294967295", null, '"vsock://:4294967295" is not a vsock address'],
  ["control.vsock", "vsock://2:9469", null, '"vsock://2:9469" is not a vsock address'],
  ["control.vsock", 9469, null, "9469 is not a vsock address"],
  ["control.vsock_peers", [3, 2, 3], [2, 3]],
  ["control.vsock_peers", [], null, "an empty list lets nobody in"],
  ["control.vsock_peers", [4294967295], null, "a list is not a list of context ids"],
  ["control.vsock_peers", 2, null, "2 is not a list of context ids"],
  ["log.level", "inof", null, '"inof" is not known (did you mean "info"?)'],
  ["log.file", "/var/log/x", "/var/log/x"],
  ["log.file", "", null, '"" is not a file path'],
  ["log.format", "json", "json"],
  ["memcg.path", "a/b/", "/a/b"],
  ["memcg.path", "", null, '"" is not a cgroup path'],
  ["memcg.path", 5, null, "5 is not a cgroup path"],
  ["memcg.numa_id", [2, 1, 2], [1, 2]],
  ["memcg.numa_id", [], null, "an empty list names no node"],
  ["memcg.numa_id", [1024], null, "a list is not a list of nodes"],
  ["memcg.numa_id", 1, null, "1 is not a list of nodes"],
  ["memcg.no_subdir", "no", null, '"no" is not true or false'],
];
test.each(values.map(([name, raw, value, refusal]) => [name, raw, value, refusal ?? ""] as const))(
  "%s = %p",
  (name, raw, value, refusal) => {
    const setting = [...settingList, ...ruleSettingList].find((one) => one.name === name);
    if (setting === undefined) throw new Error(`no setting ${name}`);
    const read = readValue(setting, raw);
    if (read.ok) expect([read.value, refusal]).toEqual([value, ""]);
    else expect(read.message).toBe(refusal);
  },
);

test.each([
  ["whole", "12", 12],
  ["whole", "-3", -3],
  ["whole", "18446744073709551615", 18446744073709551615n],
  ["whole", "1.5", 1.5],
  ["whole", "0x10", "0x10"],
  ["whole", "", ""],
  ["whole", "1e3", "1e3"],
  ["decimal", "0.25", 0.25],
  ["decimal", ".5", 0.5],
  ["decimal", "5", 5],
  ["decimal", "-5", -5],
  ["decimal", "nan", "nan"],
  ["boolean", "true", true],
  ["boolean", "false", false],
  ["boolean", "yes", "yes"],
  ["nodes", "1:2", [1, 2]],
  ["nodes", "1:", "1:"],
] as const)("as a %s the text %j stands for %p", (type, text, value) => {
  const kind =
    type === "whole"
      ? ({ type, min: 0, max: null, word: null } as const)
      : type === "decimal"
        ? ({ type, min: 0, max: 1 } as const)
        : { type };
  expect(valueOfText({ kind, unit: null }, text)).toEqual(value);
});

test.each([
  ["90", 90],
  ["90s", 90],
  ["10m", 600],
  ["1.5h", 5400],
  ["1d", 86_400],
  ["500ms", 0.5],
  ["ten", "ten"],
  ["10 minutes", "10 minutes"],
  ["-5s", "-5s"],
] as const)("as seconds the text %j stands for %p", (text, value) => {
  const kind = { type: "whole", min: 1, max: 86_400, word: null } as const;
  expect(valueOfText({ kind, unit: "seconds" }, text)).toEqual(value);
});
