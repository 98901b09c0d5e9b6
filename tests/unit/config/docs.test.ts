import { expect, test } from "bun:test";
import { flagHelp, sampleToml, settingsJsonSchema, settingsReference } from "../../../src/config/docs.ts";
import { compactsetFlags, memcgsetFlags, serveFlags } from "../../../src/config/flags.ts";
import { ruleSettingList, sectionNames, settingList, type SettingsOverrides } from "../../../src/config/schema.ts";
import { saidValues } from "../../../src/config/merge.ts";
import { parseConfig } from "../../../src/config/toml.ts";

test("the sample passes the check and changes nothing", async () => {
  const { overrides, problems } = await parseConfig(sampleToml(), { file: "sample.toml" });
  expect(problems).toEqual([]);
  expect(overrides as unknown).toEqual({ memcg: {}, compact: {}, control: {}, log: {} });
});

test("what the sample has commented out is every setting at its default, and is valid", async () => {
  const text = sampleToml().replaceAll(/^#(?=[a-z_]+ =|\[\[)/gm, "");
  const { overrides, problems } = await parseConfig(text, { file: "sample.toml" });
  expect(problems).toEqual([]);
  const said = saidValues(overrides);
  for (const { name, fallback } of settingList) {
    if (fallback !== null) expect([name, said.get(name)]).toEqual([name, fallback]);
    else expect(said.has(name)).toBe(true);
  }
  expect(overrides.memcg?.cgroups).toEqual([
    { path: "/system.slice/*.service", period_secs: 300 },
    { path: "/machine.slice", numa_id: [1], no_subdir: true, disabled: true },
  ]);
});

test("the reference has a row for every setting, with four cells or five", () => {
  const lines = settingsReference().split("\n");
  for (const { key, text } of [...settingList, ...ruleSettingList]) {
    const shown = text.replaceAll(/[|*]/g, "\\$&");
    expect(
      lines.filter((line) => line.startsWith(`| \`${key}\` |`) && line.endsWith(`| ${shown} |`)).length,
    ).toBeGreaterThan(0);
  }
  for (const line of lines.filter((line) => line.startsWith("|"))) {
    expect([6, 7]).toContain(line.split(/(?<!\\)\|/).length);
  }
});

test("help has a row for every flag, with what is allowed and the default", () => {
  const rows = flagHelp(memcgsetFlags);
  expect(rows).toHaveLength(memcgsetFlags.length);
  expect(rows[0]).toEqual({
    usage: "--memcg-disabled [true|false]",
    text: "leave the memory alone (true or false, default false)",
  });
  expect(rows[3]).toEqual({
    usage: "--memcg-period-secs SECONDS",
    text: `the longest waiting period between two runs (a whole number from 1 to 86400; files and flags take "10m" too, default 600)`,
  });
  expect(rows.at(-1)).toEqual({ usage: "--memcg-del RULE…", text: "delete rules, named by path and numa-id" });
  expect(flagHelp(compactsetFlags).at(-1)?.usage).toBe("--compact-force-times RUNS");
  expect(flagHelp(serveFlags).map((row) => row.usage)).toContain("--addr PATH");
  expect(flagHelp(serveFlags).map((row) => row.usage)).toContain("--log-level trace|debug|info|warn|error|critical");
});

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly description?: string;
  readonly default?: unknown;
}

/** As much of a JSON Schema validator as the schema uses. */
function accepts(schema: Schema, value: unknown): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.some((one) => accepts(one, value));
  if (schema.const !== undefined) return value === schema.const;
  if (schema.enum?.includes(value) === false) return false;
  switch (schema.type) {
    case "boolean":
    case "string":
      return typeof value === schema.type;
    case "null":
      return value === null;
    case "integer":
    case "number":
      return (
        typeof value === "number" &&
        (schema.type === "number" || Number.isInteger(value)) &&
        value >= (schema.minimum ?? -Infinity) &&
        value <= (schema.maximum ?? Infinity)
      );
    case "array":
      return (
        Array.isArray(value) &&
        value.length >= (schema.minItems ?? 0) &&
        value.every((item) => accepts(schema.items ?? {}, item))
      );
    case "object": {
      if (typeof value !== "object" || value === null) return false;
      const table = value as Readonly<Record<string, unknown>>;
      const known = Object.entries(table).every(([key, item]) => {
        const property = schema.properties?.[key];
        return property === undefined ? schema.additionalProperties !== false : accepts(property, item);
      });
      return known && (schema.required ?? []).every((key) => key in table);
    }
    case undefined:
    default:
      return false;
  }
}

const judged: readonly [file: object, right: boolean][] = [
  [{}, true],
  [{ memcg: { period_secs: 1, swappiness_max: 200, period_psi_percent_limit: 0.5, backend: "auto" } }, true],
  [{ memcg: { cgroups: [{ path: "/a", numa_id: [0, 1], no_subdir: true, swap: false }] } }, true],
  [{ compact: { force_times: "never" } }, true],
  [{ compact: { force_times: 2 ** 63 } }, true],
  [{ memcg: { period_secs: 0 } }, false],
  [{ memcg: { period_secs: 1.5 } }, false],
  [{ memcg: { swappiness_max: 201 } }, false],
  [{ memcg: { swap: "yes" } }, false],
  [{ memcg: { cgroups: [{ swap: true }] } }, false],
  [{ memcg: { cgroups: [{ path: "/a", numa_id: [] }] } }, false],
  [{ memcg: { cgroups: [{ path: "/a", backend: "auto" }] } }, false],
  [{ compact: { force_times: -1 } }, false],
  [{ log: { level: "loud" } }, false],
  [{ memgc: {} }, false],
];
test.each(judged)("the JSON Schema judges %j as %p, as we do", async (file, right) => {
  const schema = (await settingsJsonSchema()) as Schema;
  expect(accepts(schema, file)).toBe(right);
  const toml = tomlOf(file);
  expect((await parseConfig(toml, { file: "x.toml" })).problems.length === 0).toBe(right);
});

function tomlOf(file: SettingsOverrides): string {
  return Object.entries(file)
    .flatMap(([section, table]) => [
      `[${section}]`,
      ...Object.entries(table as object).map(([key, value]) => `${key} = ${inline(value)}`),
    ])
    .join("\n");
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (typeof value === "number" && value > Number.MAX_SAFE_INTEGER) return "9223372036854775807";
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{ ${Object.entries(value)
    .map(([key, item]) => `${key} = ${inline(item)}`)
    .join(", ")} }`;
}

test("the JSON Schema describes every key and says its default", async () => {
  const schema = (await settingsJsonSchema()) as Schema;
  expect(Object.keys(schema.properties ?? {})).toEqual([...sectionNames]);
  for (const { section, key, text, fallback } of settingList) {
    const property = schema.properties?.[section]?.properties?.[key];
    expect(property?.description?.startsWith(text)).toBe(true);
    expect(property?.default ?? null).toEqual(fallback);
    expect(property).not.toHaveProperty("kind");
    expect(property).not.toHaveProperty("$schema");
  }
});
