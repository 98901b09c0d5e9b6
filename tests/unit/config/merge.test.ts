import { expect, test } from "bun:test";
import {
  applyChange,
  applyReload,
  type LiveSettings,
  type SettingChange,
  type SettingsChange,
  startSettings,
} from "../../../src/config/merge.ts";
import { formatProblem } from "../../../src/config/problems.ts";
import { defaultSettings, type RulePatch, type SettingsOverrides } from "../../../src/config/schema.ts";

type Step = { readonly file: SettingsOverrides } | { readonly socket: SettingsChange };

function period(secs: number): SettingsOverrides {
  return { memcg: { period_secs: secs } };
}

function rules(...cgroups: RulePatch[]): SettingsOverrides {
  return { memcg: { cgroups } };
}

function after(
  start: { file?: SettingsOverrides; flags?: SettingsOverrides },
  steps: readonly Step[],
): { live: LiveSettings; changes: readonly SettingChange[] } {
  let live = startSettings(start);
  let changes: readonly SettingChange[] = [];
  for (const step of steps) {
    if ("file" in step) ({ live, changes } = applyReload(live, step.file));
    else {
      const result = applyChange(live, step.socket, "socket");
      if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
      ({ live, changes } = result);
    }
  }
  return { live, changes };
}

/** The waiting period and its origin after a start and some steps. */
const values: readonly {
  readonly name: string;
  readonly file?: SettingsOverrides;
  readonly flags?: SettingsOverrides;
  readonly steps?: readonly Step[];
  readonly is: readonly [secs: number, origin: string];
}[] = [
  { name: "nobody says anything", is: [600, "default"] },
  { name: "the file over the default", file: period(1), is: [1, "file"] },
  { name: "a flag over the default", flags: period(2), is: [2, "flag"] },
  { name: "a flag over the file", file: period(1), flags: period(2), is: [2, "flag"] },
  { name: "the socket over all", file: period(1), flags: period(2), steps: [{ socket: period(3) }], is: [3, "socket"] },
  {
    name: "the same file again changes nothing",
    file: period(1),
    flags: period(2),
    steps: [{ file: period(1) }],
    is: [2, "flag"],
  },
  {
    name: "a changed key over a flag",
    file: period(1),
    flags: period(2),
    steps: [{ file: period(4) }],
    is: [4, "file"],
  },
  {
    name: "a changed key over the socket",
    file: period(1),
    steps: [{ socket: period(3) }, { file: period(4) }],
    is: [4, "file"],
  },
  {
    name: "the socket over a changed key",
    file: period(1),
    steps: [{ file: period(4) }, { socket: period(3) }],
    is: [3, "socket"],
  },
  {
    name: "an unchanged key stays the socket's",
    file: period(1),
    steps: [{ socket: period(3) }, { file: { ...period(1), log: { level: "warn" } } }],
    is: [3, "socket"],
  },
  {
    name: "a key that the file begins to say, over a flag",
    flags: period(2),
    steps: [{ file: period(4) }],
    is: [4, "file"],
  },
  {
    name: "a file that appears late, over the socket",
    steps: [{ socket: period(3) }, { file: period(4) }],
    is: [4, "file"],
  },
  {
    name: "a key that the file no longer says is the default",
    file: period(1),
    steps: [{ file: {} }],
    is: [600, "default"],
  },
  { name: "even over a flag", file: period(1), flags: period(2), steps: [{ file: {} }], is: [600, "default"] },
  { name: "even over the socket", file: period(1), steps: [{ socket: period(3) }, { file: {} }], is: [600, "default"] },
  { name: "a key that the file never said stays", flags: period(2), steps: [{ file: { log: {} } }], is: [2, "flag"] },
  {
    name: "there and back is the file's",
    file: period(1),
    steps: [{ file: period(4) }, { socket: period(3) }, { file: period(1) }],
    is: [1, "file"],
  },
  {
    name: "a key set to what it is takes the new origin",
    file: period(1),
    steps: [{ socket: period(1) }],
    is: [1, "socket"],
  },
];
test.each(values)("$name", ({ file, flags, steps, is }) => {
  const { live } = after({ file: file ?? {}, flags: flags ?? {} }, steps ?? []);
  expect([live.settings.memcg.period_secs, live.origins.keys["memcg.period_secs"] ?? ""]).toEqual([...is]);
});

const a = (more: Omit<RulePatch, "path"> = {}): RulePatch => ({ path: "/a", ...more });
const b: RulePatch = { path: "/b", swap: true };
/** The rules in force, each with the origins of its keys. */
const ruleRows: readonly {
  readonly name: string;
  readonly file?: SettingsOverrides;
  readonly flags?: SettingsOverrides;
  readonly steps?: readonly Step[];
  readonly is: readonly (readonly [RulePatch, Readonly<Record<string, string>>])[];
}[] = [
  {
    name: "a rule of the file",
    file: rules(a({ swap: true })),
    is: [[a({ no_subdir: false, swap: true }), { no_subdir: "default", swap: "file" }]],
  },
  {
    name: "file and flag, key by key",
    file: rules(a({ swap: true, period_secs: 1 })),
    flags: rules(a({ period_secs: 2 })),
    is: [
      [
        a({ no_subdir: false, swap: true, period_secs: 2 }),
        { no_subdir: "default", swap: "file", period_secs: "flag" },
      ],
    ],
  },
  {
    name: "another set of nodes is another rule",
    file: rules(a({ swap: true })),
    flags: rules(a({ numa_id: [1], swap: false })),
    is: [
      [a({ no_subdir: false, swap: true }), { no_subdir: "default", swap: "file" }],
      [a({ numa_id: [1], no_subdir: false, swap: false }), { no_subdir: "default", swap: "flag" }],
    ],
  },
  {
    name: "rules of the file come first, in its order",
    flags: rules({ path: "/z" }),
    steps: [{ socket: { rules: { add: [{ path: "/y" }] } } }, { file: rules(b, { path: "/y" }) }],
    is: [
      [
        { ...b, no_subdir: false },
        { no_subdir: "default", swap: "file" },
      ],
      [{ path: "/y", no_subdir: false }, { no_subdir: "default" }],
      [{ path: "/z", no_subdir: false }, { no_subdir: "default" }],
    ],
  },
  {
    name: "a changed key of a rule over the socket, an unchanged one not",
    file: rules(a({ swap: true, period_secs: 1 })),
    steps: [
      { socket: { rules: { set: [a({ swap: false, period_secs: 3 })] } } },
      { file: rules(a({ swap: true, period_secs: 4 })) },
    ],
    is: [
      [
        a({ no_subdir: false, swap: false, period_secs: 4 }),
        { no_subdir: "default", swap: "socket", period_secs: "file" },
      ],
    ],
  },
  {
    name: "a key that the file's rule no longer says is unsaid",
    file: rules(a({ swap: true, no_subdir: true, period_secs: 1 })),
    steps: [{ socket: { rules: { set: [a({ swap: false })] } } }, { file: rules(a({ period_secs: 1 })) }],
    is: [[a({ no_subdir: false, period_secs: 1 }), { no_subdir: "default", period_secs: "file" }]],
  },
  {
    name: "a rule that the file no longer has is gone",
    file: rules(a({ swap: true }), b),
    steps: [{ socket: { rules: { set: [a({ period_secs: 3 })] } } }, { file: rules(b) }],
    is: [
      [
        { ...b, no_subdir: false },
        { no_subdir: "default", swap: "file" },
      ],
    ],
  },
  {
    name: "a rule deleted over the socket stays deleted",
    file: rules(a({ swap: true })),
    steps: [{ socket: { rules: { del: [a()] } } }, { file: rules(a({ swap: true })) }],
    is: [],
  },
  {
    name: "until its text in the file changes: then it is back whole",
    file: rules(a({ swap: true, period_secs: 1 })),
    steps: [{ socket: { rules: { del: [a()] } } }, { file: rules(a({ swap: true, period_secs: 4 })) }],
    is: [
      [
        a({ no_subdir: false, swap: true, period_secs: 4 }),
        { no_subdir: "default", swap: "file", period_secs: "file" },
      ],
    ],
  },
  {
    name: "a rule of the socket that the file begins to have keeps what only the socket said",
    steps: [
      { socket: { rules: { add: [a({ swap: true, period_secs: 3 })] } } },
      { file: rules(a({ period_secs: 4 })) },
    ],
    is: [
      [
        a({ no_subdir: false, swap: true, period_secs: 4 }),
        { no_subdir: "default", swap: "socket", period_secs: "file" },
      ],
    ],
  },
  {
    name: "deleting one of several rules of a path takes effect",
    file: rules(a({ swap: true }), a({ numa_id: [1, 2] }), b),
    steps: [{ socket: { rules: { del: [a({ numa_id: [1, 2] }), b] } } }],
    is: [[a({ no_subdir: false, swap: true }), { no_subdir: "default", swap: "file" }]],
  },
];
test.each(ruleRows)("rules: $name", ({ file, flags, steps, is }) => {
  const { live } = after({ file: file ?? {}, flags: flags ?? {} }, steps ?? []);
  expect(live.settings.memcg.cgroups as readonly unknown[]).toEqual(is.map(([rule]) => rule));
  expect(Object.values(live.origins.rules) as unknown[]).toEqual(is.map(([, origins]) => origins));
});

test("at start nothing said is the defaults", () => {
  expect(startSettings({}).settings).toEqual(defaultSettings);
});

test("changes tell key, from, to and origin, and only what really changed", () => {
  const start = { file: { ...rules(a({ swap: true, period_secs: 1 }), b), compact: { order: 3 } } } satisfies {
    file: SettingsOverrides;
  };
  const socket = after(start, [
    {
      socket: {
        memcg: { swap: true, period_secs: 600 },
        log: { level: "debug" },
        rules: { set: [a({ period_secs: 2 })], del: [b], add: [{ path: "/c" }] },
      },
    },
  ]);
  expect(socket.changes).toEqual([
    { key: "memcg.swap", from: false, to: true, origin: "socket" },
    { key: "log.level", from: "info", to: "debug", origin: "socket" },
    { key: "memcg.cgroups[path=/a].period_secs", from: 1, to: 2, origin: "socket" },
    { key: "memcg.cgroups[path=/b]", from: { ...b, no_subdir: false }, to: null, origin: "socket" },
    { key: "memcg.cgroups[path=/c]", from: null, to: { path: "/c", no_subdir: false }, origin: "socket" },
  ]);
  const { changes } = applyReload(socket.live, { control: { addr: "/run/x" }, ...rules(a({ swap: true })) });
  expect(changes).toEqual([
    { key: "compact.order", from: 3, to: 9, origin: "default" },
    { key: "control.addr", from: "unix:///run/mem-agent.sock", to: "/run/x", origin: "file" },
    { key: "memcg.cgroups[path=/a].period_secs", from: 2, to: null, origin: "file" },
  ]);
});

test("a change with a problem applies nothing and tells every problem", () => {
  const live = startSettings({ file: rules(a()) });
  const result = applyChange(
    live,
    { memcg: { swap: true }, rules: { add: [a(), { path: "/n" }], del: [{ path: "/x" }] } },
    "socket",
  );
  expect(result.ok).toBe(false);
  expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([
    "del[0]: there is no rule path=/x; allowed: one of path=/a",
    "add[0]: the rule path=/a is there already; allowed: set, or del first",
  ]);
  expect(live).toEqual(startSettings({ file: rules(a()) }));
});

test("what comes in is never changed", () => {
  const file = rules(a({ swap: true }));
  const live = startSettings({ file });
  const before = structuredClone(live);
  applyChange(live, { memcg: { swap: true }, rules: { set: [a({ swap: false })] } }, "socket");
  applyReload(live, rules(a({ swap: false }), b));
  expect(live).toEqual(before);
});
