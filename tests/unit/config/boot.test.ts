import { expect, test } from "bun:test";
import { parseBootSettings } from "../../../src/config/boot.ts";
import { startSettings } from "../../../src/config/merge.ts";
import { formatProblem } from "../../../src/config/problems.ts";
import { settingList, type SettingsOverrides } from "../../../src/config/schema.ts";
import { parseCmdline } from "../../../src/kernel/cmdline.ts";

function said(text: string) {
  return parseBootSettings(parseCmdline(text));
}

test.each([
  ["BOOT_IMAGE=/vmlinuz ro quiet psi=1", {}],
  ["mem_agent.memcg.period_secs=300", { memcg: { period_secs: 300 } }],
  ["mem_agent.memcg.swap psi=1", { memcg: { swap: true } }],
  ["mem-agent.memcg.swappiness-max=7", { memcg: { swappiness_max: 7 } }],
  [
    "mem_agent.log.level=warning mem_agent.compact.force_times=never",
    { log: { level: "warn" }, compact: { force_times: "never" } },
  ],
  ['mem_agent.log.file="/var/log/a b"', { log: { file: "/var/log/a b" } }],
  ["mem_agent.compact.order=3 mem_agent.compact.order=4", { compact: { order: 4 } }],
  ["init=/bin/sh -- mem_agent.memcg.swap", {}],
])("%s", (text, overrides) => {
  const read = said(text);
  expect(read.problems).toEqual([]);
  expect(read.overrides).toEqual(overrides as SettingsOverrides);
});

test.each([
  ["mem_agent.memcg.period_sec=3", 'unknown setting (did you mean "memcg.period_secs"?)'],
  ["mem_agent.memcg.period_secs=0", "mem_agent.memcg.period_secs: 0 is too small"],
  ["mem_agent.memcg.period_secs", "mem_agent.memcg.period_secs: a value is missing"],
  ["mem_agent.memcg.swap=maybe", 'mem_agent.memcg.swap: "maybe" is not true or false'],
  ["mem_agent.memcg.cgroups=path=/a", "unknown setting"],
])("%s is a problem", (text, message) => {
  const read = said(text);
  expect(read.problems).toHaveLength(1);
  expect(read.problems.map(formatProblem).join()).toContain(message);
});

test("every problem at once", () => {
  expect(said("mem_agent.a=1 mem_agent.memcg.swap=2 mem_agent.log.level=x").problems).toHaveLength(3);
});

test("any setting can be given", () => {
  for (const { name, fallback } of settingList) {
    if (fallback !== null) expect(said(`mem_agent.${name}=${String(fallback)}`).problems).toEqual([]);
  }
});

test("they stand between the file and the flags", () => {
  const { settings, origins } = startSettings({
    file: { memcg: { period_secs: 1, swappiness_max: 1 }, compact: { order: 1 } },
    boot: { memcg: { period_secs: 2, swappiness_max: 2 } },
    flags: { memcg: { period_secs: 3 } },
  });
  expect([settings.memcg.period_secs, settings.memcg.swappiness_max, settings.compact.order]).toEqual([3, 2, 1]);
  expect(origins.keys).toMatchObject({
    "memcg.period_secs": "flag",
    "memcg.swappiness_max": "cmdline",
    "compact.order": "file",
  });
});
