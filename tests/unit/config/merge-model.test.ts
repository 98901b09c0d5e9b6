import { expect, test } from "bun:test";
import { parseCompactChange, parseMemcgChange } from "../../../src/config/change.ts";
import { serveFlags } from "../../../src/config/flags.ts";
import { applyChange, applyReload, type LiveSettings, startSettings } from "../../../src/config/merge.ts";
import { defaultSettings, type SettingsOverrides } from "../../../src/config/schema.ts";
import { parseConfig } from "../../../src/config/toml.ts";
import { type Random, randomFrom } from "./random.ts";
import { readFlags } from "./read-flags.ts";

/**
 * The model: a log of statements ("this key is so", with time and speaker), of which the latest counts. Keys are flat:
 * `memcg.swap`, `/a@1|swap`; a rule is there while the latest statement about `/a@1|` says so, and what was said of it
 * before it came into being does not count.
 */
interface Statement {
  readonly value: string | null;
  readonly speaker: string;
  readonly time: number;
}

type Said = Readonly<Record<string, string>>;

class Model {
  readonly #log = new Map<string, Statement>();
  #time = 0;

  constructor(file: Said, flags: Said) {
    this.speak(file, "file");
    this.speak(flags, "flag");
  }

  speak(said: Said, speaker: string): void {
    this.#time++;
    for (const rule of rulesIn(said)) if (!this.isThere(rule)) this.#state(rule, "there", speaker);
    for (const [key, value] of Object.entries(said)) if (!key.endsWith("|")) this.#state(key, value, speaker);
  }

  forget(rule: string, speaker: string): void {
    this.#time++;
    this.#state(rule, null, speaker);
  }

  reload(before: Said, after: Said): void {
    this.#time++;
    const changed = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
      (key) => before[key] !== after[key],
    );
    const returning = rulesIn(after).filter(
      (rule) => !this.isThere(rule) && changed.some((key) => key.startsWith(rule)),
    );
    for (const rule of returning) {
      this.#state(rule, "there", "file");
      for (const [key, value] of Object.entries(after))
        if (key.startsWith(rule) && key !== rule) this.#state(key, value, "file");
    }
    for (const key of changed) {
      const rule = /^.*\|/.exec(key)?.[0];
      if (rule !== undefined && after[rule] === undefined) this.#state(rule, null, "file");
      else if (key !== rule && (rule === undefined || this.isThere(rule))) this.#state(key, after[key] ?? null, "file");
    }
  }

  isThere(rule: string): boolean {
    return (this.#log.get(rule)?.value ?? null) !== null;
  }

  /** Every rule that is there, and every key that somebody's word stands for. */
  get inForce(): Record<string, string> {
    const result: Record<string, string> = {};
    for (const [key, { value, speaker, time }] of this.#log) {
      const rule = /^.*\|/.exec(key)?.[0];
      const born = rule === undefined ? 0 : (this.#log.get(rule)?.time ?? Infinity);
      if (value === null || (rule !== undefined && (!this.isThere(rule) || time < born))) continue;
      result[key] = key === rule ? value : `${value} (${speaker})`;
    }
    return result;
  }

  #state(key: string, value: string | null, speaker: string): void {
    const isSame = key.endsWith("|") && value !== null && this.isThere(key);
    if (!isSame) this.#log.set(key, { value, speaker, time: this.#time });
  }
}

function rulesIn(said: Said): string[] {
  return [...new Set(Object.keys(said).flatMap((key) => /^.*\|/.exec(key)?.[0] ?? []))];
}

/** The settings in force in the model's flat form, without what is only a default. */
function flat({ settings, origins }: LiveSettings): Record<string, string> {
  const result: Record<string, string> = {};
  for (const section of ["memcg", "compact"] as const) {
    for (const [key, value] of Object.entries(settings[section])) {
      const origin = origins.keys[`${section}.${key}`];
      if (key !== "cgroups" && origin !== "default") result[`${section}.${key}`] = `${String(value)} (${origin})`;
      else if (key !== "cgroups")
        expect(value as unknown).toEqual((defaultSettings[section] as Readonly<Record<string, unknown>>)[key]);
    }
  }
  const origin = Object.values(origins.rules);
  for (const [index, { path, numa_id: nodes, ...values }] of settings.memcg.cgroups.entries()) {
    const rule = `${path}@${nodes?.join(":") ?? "all"}|`;
    result[rule] = "there";
    for (const [key, value] of Object.entries(values)) {
      const from = origin[index]?.[key];
      if (from !== "default") result[`${rule}${key}`] = `${String(value)} (${from})`;
    }
  }
  return result;
}

const baseKeys: readonly (readonly [key: string, values: readonly string[]])[] = [
  ["memcg.swap", ["true", "false"]],
  ["memcg.period_secs", ["1", "2", "600"]],
  ["memcg.eviction_psi_percent_limit", ["0.5", "1"]],
  ["compact.order", ["3", "9"]],
];
const ruleKeys: readonly (readonly [key: string, values: readonly string[]])[] = [
  ["swap", ["true", "false"]],
  ["period_secs", ["1", "2"]],
  ["no_subdir", ["true", "false"]],
];
const ruleNames = ["/a@all|", "/a@1|", "/a@0:1|", "/b@all|"];

function randomRule(rule: string, random: Random, atLeastOne: boolean): Record<string, string> {
  const said: Record<string, string> = { [rule]: "there" };
  for (const [key, values] of ruleKeys) if (random.below(2) === 0) said[`${rule}${key}`] = random.pick(values);
  if (atLeastOne && Object.keys(said).length === 1) said[`${rule}swap`] = "true";
  return said;
}

function randomSaid(random: Random, rarity: number): Record<string, string> {
  const said: Record<string, string> = {};
  for (const [key, values] of baseKeys) if (random.below(rarity) === 0) said[key] = random.pick(values);
  for (const rule of ruleNames) if (random.below(rarity) === 0) Object.assign(said, randomRule(rule, random, false));
  return said;
}

function targetOf(rule: string): { path: string; nodes: number[] | null } {
  const [path, nodes] = rule.slice(0, -1).split("@");
  return { path: path ?? "", nodes: nodes === "all" || nodes === undefined ? null : nodes.split(":").map(Number) };
}

function keysBelow(said: Said, prefix: string): [key: string, value: string][] {
  return Object.entries(said).flatMap(([key, value]): [string, string][] =>
    key.startsWith(prefix) && key !== prefix ? [[key.slice(prefix.length), value]] : [],
  );
}

function rulesAsToml(said: Said): string[] {
  return rulesIn(said).flatMap((rule) => {
    const { path, nodes } = targetOf(rule);
    const lines = [`path = "${path}/"`, ...(nodes === null ? [] : [`numa_id = [${nodes.toReversed().join(", ")}]`])];
    return ["[[memcg.cgroups]]", ...lines, ...keysBelow(said, rule).map(([key, value]) => `${key} = ${value}`)];
  });
}

function asFlags(said: Said): string[] {
  const base = Object.entries(said).filter(([key]) => !key.includes("|"));
  const rules = rulesIn(said).flatMap((rule) => {
    const { path, nodes } = targetOf(rule);
    const parts = [`path=${path}`, ...(nodes === null ? [] : [`numa-id=${nodes.join(":")}`])];
    return [
      "--memcg-cgroups",
      [...parts, ...keysBelow(said, rule).map(([key, value]) => `${key.replaceAll("_", "-")}=${value}`)].join(","),
    ];
  });
  return [...base.flatMap(([key, value]) => [`--${key.replaceAll(/[._]/g, "-")}`, value]), ...rules];
}

function asJson(said: Said, rule: string): Record<string, unknown> {
  const { path, nodes } = targetOf(rule);
  const values = keysBelow(said, rule).map(([key, value]): [string, unknown] => [key, JSON.parse(value)]);
  return { path, ...(nodes === null ? {} : { numa_id: nodes }), ...Object.fromEntries(values) };
}

async function fileSays(said: Said): Promise<SettingsOverrides> {
  const sections = ["memcg", "compact"].flatMap((section) => [
    `[${section}]`,
    ...keysBelow(said, `${section}.`).map(([key, value]) => `${key} = ${value}`),
  ]);
  const text = [...sections, ...rulesAsToml(said)].join("\n");
  const { overrides, problems } = await parseConfig(text, { file: "x.toml" });
  expect(problems).toEqual([]);
  return overrides;
}

/** A request over the socket, in the model and for real. */
function changeOverSocket(live: LiveSettings, model: Model, random: Random): LiveSettings {
  const body: Record<string, unknown[]> = {};
  const changes = [];
  for (const rule of ruleNames) {
    if (random.below(4) !== 0) continue;
    const verb = !model.isThere(rule) ? "add" : random.below(2) === 0 ? "set" : "del";
    const said = randomRule(rule, random, verb === "set");
    (body[verb] ??= []).push(verb === "del" ? asJson({ [rule]: "there" }, rule) : asJson(said, rule));
    if (verb === "del") model.forget(rule, "socket");
    else model.speak(said, "socket");
  }
  if (Object.keys(body).length > 0) changes.push(parseMemcgChange(body));
  const [key, options] = random.pick(baseKeys);
  const value = random.pick(options);
  const [section, name] = key.split(".") as [string, string];
  const base = { [name]: JSON.parse(value) as unknown };
  changes.push(section === "memcg" ? parseMemcgChange(base) : parseCompactChange(base));
  model.speak({ [key]: value }, "socket");
  let now = live;
  for (const { change, problems } of changes) {
    expect(problems).toEqual([]);
    const result = applyChange(now, change, "socket");
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    now = result.live;
  }
  return now;
}

test("200 random sequences of file edits, flags and requests end as the model says", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomFrom(seed);
    let file = randomSaid(random, 2);
    const flags = randomSaid(random, 3);
    const parsed = readFlags(asFlags(flags), serveFlags);
    expect(parsed.problems).toEqual([]);
    let live = startSettings({ file: await fileSays(file), flags: parsed.overrides });
    const model = new Model(file, flags);
    expect({ seed, ...flat(live) } as unknown).toEqual({ seed, ...model.inForce });
    for (let step = 0; step < 20; step++) {
      if (random.below(2) === 0) {
        const next = random.below(4) === 0 ? { ...file } : { ...file, ...randomSaid(random, 3) };
        for (const key of Object.keys(next)) {
          if (random.below(6) !== 0) continue;
          for (const other of Object.keys(next)) if (other.startsWith(key)) delete next[other];
        }
        live = applyReload(live, await fileSays(next)).live;
        model.reload(file, next);
        file = next;
      } else {
        live = changeOverSocket(live, model, random);
      }
      expect({ seed, step, ...flat(live) } as unknown).toEqual({ seed, step, ...model.inForce });
    }
  }
});
