import { expect, test } from "bun:test";
import { isFault } from "../../../src/base/fault.ts";
import { sampleToml } from "../../../src/config/docs.ts";
import { applyChange, applyReload, type SettingsChange, startSettings } from "../../../src/config/merge.ts";
import { saveIntoToml } from "../../../src/config/save.ts";
import type { RulePatch, SettingsOverrides } from "../../../src/config/schema.ts";
import { parseConfig } from "../../../src/config/toml.ts";
import { type Random, randomFrom } from "./random.ts";

const name = { file: "x.toml" };

/** Applies a change to what a file says, saves it, and reads it again, as the daemon does. */
async function save(text: string, change: SettingsChange, flags: SettingsOverrides = {}): Promise<string> {
  const { overrides, problems } = await parseConfig(text, name);
  expect(problems).toEqual([]);
  const changed = applyChange(startSettings({ file: overrides, flags }), change, "socket");
  if (!changed.ok) throw new Error(JSON.stringify(changed.problems));
  const saved = await saveIntoToml(text, change, changed.live.settings, name);
  const again = await parseConfig(saved, name);
  expect(again.problems).toEqual([]);
  expect(applyReload(changed.live, again.overrides).changes).toEqual([]);
  return saved;
}

const file = `# Ours.
[memcg]
# Every ten minutes.
period_secs = 600 # ten
swap=true

# Batch jobs.
[[memcg.cgroups]]
  path = "/batch" # all of them
  numa_id = [ 2, 1 ]

# The database.
[[memcg.cgroups]]
path = "/db"
disabled = true

# Compaction.
[compact]
order = 0x9
force_times = 9223372036854775807
`;

function edited(...edits: readonly (readonly [from: string, to: string])[]): string {
  return edits.reduce((text, [from, to]) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  }, file);
}

const saves: readonly {
  readonly name: string;
  readonly text?: string;
  readonly change: SettingsChange;
  readonly saved: string;
}[] = [
  { name: "a value", change: { memcg: { period_secs: 300 } }, saved: edited(["600 # ten", "300 # ten"]) },
  {
    name: "what is so already",
    change: { memcg: { swap: true }, compact: { order: 9, force_times: "never" } },
    saved: file,
  },
  {
    name: "a new key, above the comment of the next table",
    change: { memcg: { disabled: true } },
    saved: edited(["swap=true\n", "swap=true\ndisabled = true\n"]),
  },
  { name: "a new section", change: { log: { level: "debug" } }, saved: `${file}\n[log]\nlevel = "debug"\n` },
  {
    name: "a key of a rule, with its indent",
    change: { rules: { set: [{ path: "/batch", numa_id: [1, 2], swap: true }] } },
    saved: edited(["[ 2, 1 ]\n", "[ 2, 1 ]\n  swap = true\n"]),
  },
  {
    name: "a changed key of a rule",
    change: { rules: { set: [{ path: "/db", disabled: false }] } },
    saved: edited(["disabled = true", "disabled = false"]),
  },
  {
    name: "a new rule, after the last",
    change: { rules: { add: [{ path: '/new, "one"', numa_id: [0], period_secs: 5 }] } },
    saved: edited([
      "disabled = true\n",
      'disabled = true\n\n[[memcg.cgroups]]\npath = "/new, \\"one\\""\nnuma_id = [ 0 ]\nperiod_secs = 5\n',
    ]),
  },
  {
    name: "a rule that goes takes its comment along",
    change: { rules: { del: [{ path: "/batch", numa_id: [1, 2] }] } },
    saved: edited(['# Batch jobs.\n[[memcg.cgroups]]\n  path = "/batch" # all of them\n  numa_id = [ 2, 1 ]\n\n', ""]),
  },
  {
    name: "a file that is not there yet",
    text: "",
    change: { memcg: { swap: true }, rules: { add: [{ path: "/a" }] } },
    saved: '[memcg]\nswap = true\n\n[[memcg.cgroups]]\npath = "/a"\n',
  },
  {
    name: "a file without a last line break",
    text: "[memcg]\nswap = true",
    change: { memcg: { period_secs: 5 } },
    saved: "[memcg]\nswap = true\nperiod_secs = 5\n",
  },
  {
    name: "the other kind of line breaks",
    text: "[memcg] # x\r\n\tswap = true\r\n",
    change: { memcg: { period_secs: 5 }, rules: { add: [{ path: "/a" }] } },
    saved: '[memcg] # x\r\n\tswap = true\r\n\tperiod_secs = 5\r\n\r\n[[memcg.cgroups]]\r\npath = "/a"\r\n',
  },
  {
    name: "inline tables",
    text: "memcg = { swap = true, cgroups = [{ path = '/a' }] } # z\n",
    change: { memcg: { swap: false }, rules: { set: [{ path: "/a", swap: true }] } },
    saved: "memcg = { swap = false, cgroups = [{ path = '/a', swap = true }] } # z\n",
  },
  {
    name: "a list of rules",
    text: "[memcg]\ncgroups = [{ path = '/a' }] # z\n[compact]\n",
    change: { rules: { add: [{ path: "/b", swap: true }] } },
    saved: "[memcg]\ncgroups = [{ path = '/a' }, { path = \"/b\", swap = true }] # z\n[compact]\n",
  },
  {
    name: "dotted keys",
    text: "memcg.swap = true\n",
    change: { memcg: { period_secs: 5 } },
    saved: "memcg.swap = true\nmemcg.period_secs = 5\n",
  },
];
test.each(saves)("saved: $name", async ({ text, change, saved }) => {
  expect(await save(text ?? file, change)).toBe(saved);
});

test("the sample takes a change below the section's header", async () => {
  const saved = await save(sampleToml(), { compact: { order: 4 } });
  expect(saved).toBe(sampleToml().replace("[compact]\n", "[compact]\norder = 4\n"));
});

test("a rule that only a flag made is saved whole", async () => {
  const flags: SettingsOverrides = { memcg: { cgroups: [{ path: "/a", swap: true, no_subdir: true }] } };
  const saved = await save("", { rules: { set: [{ path: "/a", period_secs: 5 }] } }, flags);
  expect(saved).toBe('[[memcg.cgroups]]\npath = "/a"\nno_subdir = true\nswap = true\nperiod_secs = 5\n');
});

test("a rule that is replaced loses what it no longer says", async () => {
  const saved = await save(file, { rules: { del: [{ path: "/db" }], add: [{ path: "/db", swap: true }] } });
  expect(saved).toBe(edited(["disabled = true", "swap = true"]));
});

test("a file with problems is not touched", async () => {
  const saving = saveIntoToml("[memcg]\nswap = 3\n", { memcg: { swap: true } }, startSettings({}).settings, name);
  const fault: unknown = await saving.catch((error: unknown) => error);
  expect(isFault(fault, "invalid")).toBe(true);
  expect(isFault(fault) ? fault.message : "").toBe(
    "cannot save into x.toml: x.toml:2:1: memcg.swap: 3 is not true or false; allowed: true or false",
  );
});

function randomRule(path: string, random: Random): RulePatch {
  return {
    path,
    ...(random.below(2) === 0 ? { swap: random.below(2) === 0 } : {}),
    ...(random.below(2) === 0 ? { no_subdir: random.below(2) === 0 } : {}),
    period_secs: 1 + random.below(3),
  };
}

test("400 random changes, saved one after the other, are read again without a change", async () => {
  const random = randomFrom(7);
  const starts = [
    file,
    "",
    sampleToml(),
    "memcg = { swap = true }\n",
    "[memcg]\ncgroups = [\n  { path = '/a' }, # one\n]\n",
    "compact.order = 3\n",
  ];
  for (const start of starts) {
    let text = start;
    for (let step = 0; step < 70; step++) {
      const there = (await parseConfig(text, name)).overrides.memcg?.cgroups ?? [];
      const add = ["/a", "/b", "/c d", '/e,f="g"'].filter(
        (path) => random.below(3) === 0 && !there.some((rule) => rule.path === path && rule.numa_id === undefined),
      );
      const touched = there.map((rule) => ({ rule, fate: random.below(4) }));
      const change: SettingsChange = {
        ...(random.below(2) === 0 ? { memcg: { period_secs: 1 + random.below(3), swap: random.below(2) === 0 } } : {}),
        ...(random.below(3) === 0
          ? { compact: { force_times: random.pick([0, "never" as const, 5]), psi_percent_limit: random.below(20) / 4 } }
          : {}),
        rules: {
          add: add.map((path) => randomRule(path, random)),
          set: touched
            .filter(({ fate }) => fate === 0)
            .map(({ rule }) => ({ ...rule, ...randomRule(rule.path, random) })),
          del: touched
            .filter(({ fate }) => fate === 1)
            .map(({ rule: { path, numa_id: nodes } }) => (nodes === undefined ? { path } : { path, numa_id: nodes })),
        },
      };
      text = await save(text, change);
    }
  }
}, 30_000);
