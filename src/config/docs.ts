/** What is written about the settings, made from their declaration: reference, sample file, JSON Schema, help. */
import type { Flag } from "./flags.ts";
import {
  ruleSettingList,
  type SectionName,
  sectionNames,
  type Setting,
  type SettingAbout,
  settingsOf,
} from "./schema.ts";
import { allowedText } from "./values.ts";

const sectionTexts: Readonly<Record<SectionName, string>> = {
  memcg: "Cold memory of cgroups: how it is found and evicted.",
  compact: "Compaction of free memory, so that whole blocks can be reported to the host.",
  control: "The socket that the control commands talk to.",
  log: "What is logged, and where to.",
};

const rulesText =
  "Rules for single cgroups: the nearest one applies, and keys that it does not set are taken from [memcg].";

/** The keys of a rule that are no settings of `[memcg]`. */
const ruleOwnSettings = ruleSettingList.filter(({ key }) => !settingsOf("memcg").some((base) => base.key === key));

/** The default as TOML writes it; null where leaving the key out is the only way to say it. */
function tomlDefault({ fallback }: SettingAbout): string | null {
  return fallback === null ? null : JSON.stringify(fallback);
}

function tomlExample({ kind }: SettingAbout): string {
  return JSON.stringify((kind.type === "text" ? kind.example : undefined) ?? "");
}

/** `a whole number >= 1 (seconds)` */
function valueText(about: SettingAbout): string {
  return `${allowedText(about)}${about.unit === null ? "" : ` (${about.unit})`}`;
}

/** The settings reference in Markdown: a table for each section, and one for what only rules have. */
export function settingsReference(): string {
  const tables = sectionNames.map((section) => {
    const isMemcg = section === "memcg";
    const head = ["key", "allowed", "default", ...(isMemcg ? ["in rules"] : []), "meaning"];
    const rows = settingsOf(section).map((setting) => [
      ...referenceCells(setting),
      ...(isMemcg ? [setting.inRules ? "yes" : "no"] : []),
      setting.text,
    ]);
    return `### [${section}]\n\n${sectionTexts[section]}\n\n${markdownTable(head, rows)}`;
  });
  const rows = ruleOwnSettings.map((setting) => [...referenceCells(setting), setting.text]);
  const rules = `### [[memcg.cgroups]]\n\n${rulesText}\n\n${markdownTable(["key", "allowed", "default", "meaning"], rows)}`;
  return `${[...tables, rules].join("\n\n")}\n`;
}

function referenceCells(setting: Setting): string[] {
  const fallback = tomlDefault(setting);
  return [`\`${setting.key}\``, valueText(setting), fallback === null ? "" : `\`${fallback}\``];
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map(markdownRow).join("\n");
}

function markdownRow(cells: readonly string[]): string {
  return `| ${cells.map(markdownCell).join(" | ")} |`;
}

/** A star would begin emphasis, a bar the next cell; within code neither does. */
function markdownCell(text: string): string {
  return text.startsWith("`") ? text : text.replaceAll(/[|*]/g, "\\$&");
}

/** A file with every setting commented out at its default: it passes the check and changes nothing. */
export function sampleToml(): string {
  const parts = sectionNames.map((section) => {
    const keys = settingsOf(section).map(
      (setting) =>
        `# ${setting.text}\n# ${valueText(setting)}\n#${setting.key} = ${tomlDefault(setting) ?? tomlExample(setting)}\n`,
    );
    return `# ${sectionTexts[section]}\n[${section}]\n\n${keys.join("\n")}`;
  });
  const ruleKeys = ruleOwnSettings.map((setting) => `#   ${setting.key}: ${setting.text}\n`).join("");
  return `#:schema ./mem-agent.schema.json
# Settings of mem-agent. What is commented out shows the default.
# The file is read again when it is edited; "mem-agent config check FILE" says what is wrong with it.
# For editors that check it: mem-agent config schema > mem-agent.schema.json beside it.

${parts.join("\n")}
# ${rulesText}
${ruleKeys}${exampleRules}`;
}

const exampleRules = `
#[[memcg.cgroups]]
#path = "/system.slice/*.service"
#period_secs = 300

#[[memcg.cgroups]]
#path = "/machine.slice"
#numa_id = [1]
#no_subdir = true
#disabled = true
`;

/** As `parseSpan` in base/units.ts reads it. */
const spanPattern = "^\\d{1,15}(\\.\\d{1,9})? ?(ms|s|m|min|h|d)$";

type JsonSchema = Readonly<Record<string, unknown>>;

/** The JSON Schema (draft 7) of the settings file, for editors. */
export async function settingsJsonSchema(): Promise<JsonSchema> {
  const { toJsonSchema } = await import("@valibot/to-json-schema");
  const keySchema = (setting: Setting): JsonSchema => {
    const options = { errorMode: "ignore", typeMode: "output" } as const;
    const converted = toJsonSchema(setting.schema, options);
    const described = {
      description: `${setting.text}; ${valueText(setting)}`,
      ...(setting.fallback === null ? {} : { default: setting.fallback }),
    };
    const schema = JSON.parse(JSON.stringify(converted, keepForEditors)) as JsonSchema;
    const span = { type: "string", pattern: spanPattern };
    return setting.unit === "seconds" ? { anyOf: [schema, span], ...described } : { ...schema, ...described };
  };
  const tableSchema = (settings: readonly Setting[], more: JsonSchema = {}): JsonSchema => ({
    type: "object",
    properties: { ...Object.fromEntries(settings.map((setting) => [setting.key, keySchema(setting)])), ...more },
    additionalProperties: false,
  });
  const rule = { ...tableSchema(ruleSettingList), required: ["path"] };
  const cgroups = { type: "array", description: rulesText, items: rule };
  const properties = sectionNames.map((section) => {
    const table = tableSchema(settingsOf(section), section === "memcg" ? { cgroups } : {});
    return [section, { ...table, description: sectionTexts[section] }];
  });
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    $id: "urn:mem-agent:settings",
    title: "Settings of mem-agent",
    type: "object",
    properties: Object.fromEntries(properties),
    additionalProperties: false,
  };
}

/** Leaves out what is ours alone, and the largest exact integer as a limit: numbers beyond it can mean "never". */
function keepForEditors(key: string, value: unknown): unknown {
  if (["$schema", "kind", "unit", "fallback", "text"].includes(key)) return undefined;
  return key === "maximum" && value === Number.MAX_SAFE_INTEGER ? undefined : value;
}

/** A row of help: how the flag is written, and what it does. */
export interface FlagHelp {
  readonly usage: string;
  readonly text: string;
}

/** A row of help for each flag: how it is written, what it does, what it allows, its default. */
export function flagHelp(flags: readonly Flag[]): FlagHelp[] {
  return flags.map(({ name, valueName, about, target }) => {
    const fallback = about.fallback === null ? "" : `, default ${String(about.fallback)}`;
    return {
      usage: `--${name} ${valueName ?? "[true|false]"}`,
      text: target.type === "setting" ? `${about.text} (${allowedText(about)}${fallback})` : about.text,
    };
  });
}
