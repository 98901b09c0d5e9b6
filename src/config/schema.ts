/**
 * Every setting, declared once: name, type, range, default, unit, description, and whether a rule may carry it.
 *
 * TOML, flags, socket fields, help, the JSON Schema, the sample file and the reference derive from these tables. The
 * names are the ones of the file and of the socket, so that nothing maps one name to another.
 */
import * as v from "valibot";
import { addrProblems, parseVsockListen, socketPathBytesMax, vsockCidMax, vsockPort } from "../base/address.ts";
import { logFormats, logLevels } from "../base/log-line.ts";
import { normalizePath } from "./path.ts";

/** What a value may be; the texts for people and the reading of flags derive from it. */
export type SettingKind =
  | { readonly type: "boolean" }
  | { readonly type: "whole"; readonly min: number; readonly max: number | null; readonly word: string | null }
  | { readonly type: "decimal"; readonly min: number; readonly max: number }
  /** `aliases`: other words that a flag takes, each with the choice that it means. */
  | { readonly type: "choice"; readonly choices: readonly string[]; readonly aliases: Readonly<Record<string, string>> }
  /** `example`: for the sample file, where there is no default. `valueName`: for help, PATH where it is left out. */
  | {
      readonly type: "text";
      readonly noun: string;
      readonly allowed: string;
      readonly example?: string;
      readonly valueName?: string;
    }
  | { readonly type: "nodes" }
  /** Context ids of vsock(7). */
  | { readonly type: "cids" };

export type SettingUnit = "seconds" | "percent" | "pages" | "runs";
export type SettingValue = boolean | number | string | readonly number[] | null;

export function sameValue(one: SettingValue | undefined, other: SettingValue | undefined): boolean {
  return one === other || (Array.isArray(one) && Array.isArray(other) && Bun.deepEquals(one, other));
}

export interface SettingAbout {
  readonly kind: SettingKind;
  readonly unit: SettingUnit | null;
  /** The default; null where nothing is set until somebody does. */
  readonly fallback: SettingValue;
  /** One line, without a full stop. */
  readonly text: string;
}

type SettingSchema = v.GenericSchema<unknown, unknown>;

function boolean(fallback: boolean, text: string) {
  return v.pipe(v.boolean(), v.metadata({ kind: { type: "boolean" }, unit: null, fallback, text }));
}

interface WholeOptions {
  readonly min: number;
  readonly max?: number;
  readonly unit?: SettingUnit;
  readonly fallback: number;
}

function whole({ min, max, unit, fallback }: WholeOptions, text: string) {
  return v.pipe(
    v.number(),
    v.safeInteger(),
    v.minValue(min),
    v.maxValue(max ?? Number.MAX_SAFE_INTEGER),
    v.metadata({ kind: { type: "whole", min, max: max ?? null, word: null }, unit: unit ?? null, fallback, text }),
  );
}

function percent(max: number, fallback: number, text: string) {
  return v.pipe(
    v.number(),
    v.finite(),
    v.minValue(0),
    v.maxValue(max),
    v.metadata({ kind: { type: "decimal", min: 0, max }, unit: "percent", fallback, text }),
  );
}

function choice<const Choices extends readonly string[]>(
  choices: Choices,
  fallback: Choices[number],
  text: string,
  aliases: Readonly<Record<string, Choices[number]>> = {},
) {
  const kind = { type: "choice", choices, aliases };
  return v.pipe(v.picklist(choices), v.metadata({ kind, unit: null, fallback, text }));
}

/**
 * The largest signed and unsigned 64-bit integers, with which other programs say "never". A JSON number or a TOML
 * integer of that size arrives rounded to the power of two, or as a bigint.
 */
const neverNumbers: ReadonlySet<unknown> = new Set([2 ** 63, 2 ** 64, 2n ** 63n - 1n, 2n ** 64n - 1n]);

function wholeOrNever(fallback: number | "never", text: string) {
  return v.pipe(
    v.unknown(),
    v.transform((value) => (neverNumbers.has(value) ? "never" : value)),
    v.union([v.literal("never"), v.pipe(v.number(), v.safeInteger(), v.minValue(0))]),
    v.metadata({ kind: { type: "whole", min: 0, max: null, word: "never" }, unit: "runs", fallback, text }),
  );
}

const daySecs = 86_400;

/** What a rule may say of its cgroups. */
const overridable = {
  disabled: boolean(false, "leave the memory alone"),
  swap: boolean(false, "also track and evict anonymous pages"),
  swappiness_max: whole({ min: 0, max: 200, fallback: 50 }, "upper limit of the swappiness used"),
  period_secs: whole(
    { min: 1, max: daySecs, unit: "seconds", fallback: 600 },
    "the longest waiting period between two runs",
  ),
  period_min_secs: whole(
    { min: 1, max: daySecs, unit: "seconds", fallback: 20 },
    "the shortest; each cgroup finds its own between the two. From period_secs on: a fixed period",
  ),
  period_psi_percent_limit: percent(
    100,
    1,
    "a cgroup that stalled more than this share of the waiting period is skipped",
  ),
  eviction_psi_percent_limit: percent(
    100,
    1,
    "eviction of a cgroup stops at once above this share of stall, until the next period",
  ),
  eviction_run_aging_count_min: whole(
    { min: 0, max: 1000, fallback: 3, unit: "runs" },
    "evict only after this many agings",
  ),
  refault_percent_limit: percent(
    100,
    0.2,
    "share of a cgroup's pages that may come back per minute after an eviction before it is left alone for a while; 0 switches this off",
  ),
};

/** What holds for all cgroups alike. */
const baseOnly = {
  backend: choice(["auto", "lru_gen", "memory_reclaim"], "auto", "how cold memory is found and evicted"),
  spread_percent: percent(50, 10, "runs are spread by up to this share of the period, differently on each guest"),
};

/** What names the cgroups and nodes of a rule. */
const ruleOwn = {
  path: v.pipe(
    v.string(),
    v.transform(normalizePath),
    v.string(),
    v.metadata({
      kind: {
        type: "text",
        noun: "a cgroup path",
        allowed: "a cgroup path such as /system.slice, or a glob (* one level, ** any)",
      },
      unit: null,
      fallback: null,
      text: "path of a cgroup, or a glob: * stands for one level, ** for any number of them",
    }),
  ),
  numa_id: v.pipe(
    v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(1023))),
    v.minLength(1),
    v.transform((nodes): readonly number[] => [...new Set(nodes)].toSorted((left, right) => left - right)),
    v.metadata({
      kind: { type: "nodes" },
      unit: null,
      fallback: null,
      text: "the NUMA nodes that the rule is for; all when left out",
    }),
  ),
  no_subdir: boolean(false, "the rule does not reach the cgroups below"),
};

const memcg = v.strictObject({ ...overridable, ...baseOnly });

const compact = v.strictObject({
  disabled: boolean(false, "do not compact memory"),
  period_secs: whole({ min: 1, max: daySecs, unit: "seconds", fallback: 600 }, "waiting period between two runs"),
  period_psi_percent_limit: percent(
    100,
    1,
    "no run when the system stalled more than this share of the waiting period",
  ),
  psi_percent_limit: percent(100, 5, "compaction stops above this share of stall"),
  sec_max: whole({ min: 1, max: daySecs, unit: "seconds", fallback: 300 }, "a compaction is stopped after this time"),
  order: whole({ min: 0, max: 10, fallback: 9 }, "the block size that is wanted, as a power of two of pages"),
  threshold: whole(
    { min: 0, max: 2 ** 32, unit: "pages", fallback: 1024 },
    "compact when free memory has become more fragmented, or has shrunk, by more pages than this",
  ),
  force_times: wholeOrNever("never", "compact after this many runs without a compaction; 0: in every run"),
});

const control = v.strictObject({
  addr: v.pipe(
    v.string(),
    v.check((text) => addrProblems(text).length === 0),
    v.metadata({
      kind: {
        type: "text",
        noun: "a socket address",
        allowed: `unix:///path or an absolute path, at most ${socketPathBytesMax} bytes long`,
      },
      unit: null,
      fallback: "unix:///run/mem-agent.sock",
      text: "unix socket of the control commands",
    }),
  ),
  name: v.pipe(
    v.nullable(v.pipe(v.string(), v.regex(/^[^\p{Cc}\p{Cs}]{1,64}$/u))),
    v.metadata({
      kind: {
        type: "text",
        noun: "a name",
        allowed: "1 to 64 characters; leave it out for the host name",
        example: "web-1",
        valueName: "NAME",
      },
      unit: null,
      fallback: null,
      text: "what this machine is called in status, metrics and mem-agent fleet; the host name when left out",
    }),
  ),
  vsock: v.pipe(
    v.nullable(
      v.pipe(
        v.string(),
        v.check((text) => parseVsockListen(text) !== null),
      ),
    ),
    v.metadata({
      kind: {
        type: "text",
        noun: "a vsock address",
        allowed: `vsock://:PORT, such as vsock://:${vsockPort}; leave it out for none`,
        example: `vsock://:${vsockPort}`,
        valueName: "ADDRESS",
      },
      unit: null,
      fallback: null,
      text: "a second door, on vsock, for the host; none when left out",
    }),
  ),
  vsock_peers: v.pipe(
    v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(vsockCidMax))),
    v.minLength(1),
    v.transform((cids): readonly number[] => [...new Set(cids)].toSorted((left, right) => left - right)),
    v.metadata({
      kind: { type: "cids" },
      unit: null,
      fallback: [2],
      text: "context ids that are let in through vsock: 2 is the host, 1 this machine",
    }),
  ),
  vsock_write: boolean(false, "let vsock peers change settings and start runs too; else they may only read"),
});

const log = v.strictObject({
  // The original's name for it.
  level: choice(logLevels, "info", "the least important messages that are logged", { warning: "warn" }),
  file: v.pipe(
    v.nullable(v.pipe(v.string(), v.regex(/^[^\0\n]+$/))),
    v.metadata({
      kind: {
        type: "text",
        noun: "a file path",
        allowed: "the path of a file; leave it out to log to stderr",
        example: "/var/log/mem-agent/mem-agent.log",
      },
      unit: null,
      fallback: null,
      text: "file that the log is appended to; stderr when left out",
    }),
  ),
  format: choice(logFormats, "text", "one line of text, or one JSON object a line"),
});

/** The sections of the file, each with the schema of its keys; rules stand in `memcg.cgroups` beside the keys. */
export const sections = { memcg, compact, control, log };
/** The keys of a rule: what names its targets, and what it may set. */
export const ruleEntries = { ...ruleOwn, ...overridable };

export type MemcgSettings = Readonly<v.InferOutput<typeof memcg>>;
export type CompactSettings = Readonly<v.InferOutput<typeof compact>>;
export type ControlSettings = Readonly<v.InferOutput<typeof control>>;
export type LogSettings = Readonly<v.InferOutput<typeof log>>;

/** The settings that a rule sets; what it leaves unsaid is taken from the base settings. */
export type MemcgOverrides = Readonly<
  Partial<{ [Key in keyof typeof overridable]: v.InferOutput<(typeof overridable)[Key]> }>
>;

/** What tells one rule from another: the normalized path, and the nodes in ascending order (absent: all nodes). */
export interface RuleTarget {
  readonly path: string;
  readonly numa_id?: readonly number[];
}

/** A rule as it is written: only what was said. */
export interface RulePatch extends RuleTarget, MemcgOverrides {
  readonly no_subdir?: boolean;
}

/** A rule in force. */
export interface MemcgRule extends RuleTarget, MemcgOverrides {
  readonly no_subdir: boolean;
}

export interface Settings {
  readonly memcg: MemcgSettings & { readonly cgroups: readonly MemcgRule[] };
  readonly compact: CompactSettings;
  readonly control: ControlSettings;
  readonly log: LogSettings;
}

/** Only the settings that somebody named: what a file, a command line or a request says. */
export interface SettingsOverrides {
  readonly memcg?: Partial<MemcgSettings> & { readonly cgroups?: readonly RulePatch[] };
  readonly compact?: Partial<CompactSettings>;
  readonly control?: Partial<ControlSettings>;
  readonly log?: Partial<LogSettings>;
}

export type SectionName = keyof Settings;
export const sectionNames: readonly SectionName[] = ["memcg", "compact", "control", "log"];

export interface Setting extends SettingAbout {
  readonly section: SectionName;
  /** As in the file: `period_secs`. */
  readonly key: string;
  /** `memcg.period_secs`. */
  readonly name: string;
  readonly schema: SettingSchema;
  /** Whether a rule may carry it. */
  readonly inRules: boolean;
}

function describe(section: SectionName, key: string, schema: SettingSchema, inRules: boolean): Setting {
  const about = v.getMetadata(schema) as unknown as SettingAbout;
  return { section, key, name: `${section}.${key}`, schema, inRules, ...about };
}

/** Every setting, in the order of the reference. */
export const settingList: readonly Setting[] = sectionNames.flatMap((section) =>
  Object.entries<SettingSchema>(sections[section].entries).map(([key, schema]) =>
    describe(section, key, schema, section === "memcg" && key in overridable),
  ),
);

/** Every key of a rule: path, numa_id, no_subdir, then the settings that it may carry. */
export const ruleSettingList: readonly Setting[] = Object.entries<SettingSchema>(ruleEntries).map(([key, schema]) =>
  describe("memcg", key, schema, true),
);

/** The keys of a rule that are settings of their own, in order: no_subdir and what overrides the base. */
export const ruleValueKeys: readonly string[] = ["no_subdir", ...Object.keys(overridable)];

/** The settings of one section, in the order of the reference. */
export function settingsOf(section: SectionName): readonly Setting[] {
  return settingList.filter((setting) => setting.section === section);
}

function defaultsOf(section: SectionName): Record<string, SettingValue> {
  return Object.fromEntries(settingsOf(section).map((setting) => [setting.key, setting.fallback]));
}

/** What holds when nobody says anything. */
export const defaultSettings: Settings = {
  memcg: { ...(defaultsOf("memcg") as MemcgSettings), cgroups: [] },
  compact: defaultsOf("compact") as CompactSettings,
  control: defaultsOf("control") as unknown as ControlSettings,
  log: defaultsOf("log") as unknown as LogSettings,
};
