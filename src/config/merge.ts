/**
 * Where a value comes from: defaults, then the file, then the kernel's command line, then the flags,
 * then the socket; after the start the latest word
 * wins. On reload only what changed in the file is set to what the file now says (a key that it no longer says goes
 * back to its default); what did not change in the file keeps what it has.
 *
 * Rules are merged by identity (path and nodes), each of its keys by itself. A rule that the file no longer has is
 * gone, no matter who added to it. A rule that was deleted over the socket comes back, as the file has it, when its text in
 * the file changes. In the list the rules of the file come first, in the file's order, then the others as they came.
 */
import type { Problem } from "./problems.ts";
import { editRules, type RuleEdits, ruleId, ruleOf, ruleValues } from "./rules.ts";
import {
  type MemcgRule,
  type RulePatch,
  type RuleTarget,
  sameValue,
  settingList,
  type Settings,
  type SettingsOverrides,
  type SettingValue,
} from "./schema.ts";

export type Origin = "default" | "file" | "cmdline" | "flag" | "socket" | "library";

export interface Origins {
  /** By name, `memcg.period_secs`. */
  readonly keys: Readonly<Record<string, Origin>>;
  /** By identity (`ruleId`), then by key; a key that the rule leaves unsaid is absent. */
  readonly rules: Readonly<Record<string, Readonly<Record<string, Origin>>>>;
}

export interface LiveSettings {
  readonly settings: Settings;
  readonly origins: Origins;
  /** What the file said when it was last read; empty without a file. */
  readonly file: SettingsOverrides;
}

/** One value that became another. */
export interface SettingChange {
  /** `memcg.period_secs`; `memcg.cgroups[path=/a]` for a whole rule, with `.period_secs` for one key of it. */
  readonly key: string;
  /** Null where there was no rule, or the key was unsaid. */
  readonly from: SettingValue | MemcgRule;
  readonly to: SettingValue | MemcgRule;
  readonly origin: Origin;
}

/** A request to change settings at run time. */
export interface SettingsChange extends SettingsOverrides {
  /** Edits of the rules; a change's `memcg.cgroups` is ignored. */
  readonly rules?: RuleEdits;
}

export interface Merged {
  readonly live: LiveSettings;
  readonly changes: readonly SettingChange[];
}

export type ChangeResult =
  | ({ readonly ok: true } & Merged)
  | { readonly ok: false; readonly problems: readonly Problem[] };

interface DraftRule {
  readonly target: RuleTarget;
  readonly values: Map<string, SettingValue>;
  readonly origins: Map<string, Origin>;
}

/** The live settings laid open for change: everything by its key. */
interface Draft {
  readonly values: Map<string, SettingValue>;
  readonly origins: Map<string, Origin>;
  readonly rules: Map<string, DraftRule>;
}

/** The settings at start. */
export function startSettings(said: {
  readonly file?: SettingsOverrides;
  /** On the kernel's command line. */
  readonly boot?: SettingsOverrides;
  readonly flags?: SettingsOverrides;
}): LiveSettings {
  const draft: Draft = {
    values: new Map(settingList.map((setting) => [setting.name, setting.fallback])),
    origins: new Map(settingList.map((setting) => [setting.name, "default"])),
    rules: new Map(),
  };
  const file = said.file ?? {};
  say(draft, file, "file");
  say(draft, said.boot ?? {}, "cmdline");
  say(draft, said.flags ?? {}, "flag");
  return close(draft, file);
}

/** What the file says now against what it said before. Never fails: a file with problems does not come this far. */
export function applyReload(live: LiveSettings, file: SettingsOverrides): Merged {
  const draft = open(live);
  const [before, after] = [saidValues(live.file), saidValues(file)];
  for (const setting of settingList) {
    const now = after.get(setting.name);
    if (sameValue(now, before.get(setting.name))) continue;
    draft.values.set(setting.name, now ?? setting.fallback);
    draft.origins.set(setting.name, now === undefined ? "default" : "file");
  }
  reloadRules(draft, saidRules(live.file), saidRules(file));
  return finish(live, close(draft, file), "file");
}

/** Applies a request whole, or says all its problems and applies nothing. */
export function applyChange(live: LiveSettings, change: SettingsChange, origin: Origin): ChangeResult {
  const edits = change.rules ?? {};
  const { problems } = editRules(live.settings.memcg.cgroups, edits);
  if (problems.length > 0) return { ok: false, problems };
  const draft = open(live);
  for (const [name, value] of saidValues(change)) setValue(draft, name, value, origin);
  for (const target of edits.del ?? []) draft.rules.delete(ruleId(target));
  for (const patch of [...(edits.set ?? []), ...(edits.add ?? [])]) sayRule(draft, patch, origin);
  return { ok: true, ...finish(live, close(draft, live.file), origin) };
}

function setValue(draft: Draft, name: string, value: SettingValue, origin: Origin): void {
  draft.values.set(name, value);
  draft.origins.set(name, origin);
}

function say(draft: Draft, said: SettingsOverrides, origin: Origin): void {
  for (const [name, value] of saidValues(said)) setValue(draft, name, value, origin);
  for (const patch of said.memcg?.cgroups ?? []) sayRule(draft, patch, origin);
}

function sayRule(draft: Draft, patch: RulePatch, origin: Origin): void {
  const id = ruleId(patch);
  const rule = draft.rules.get(id) ?? draftRule(patch);
  draft.rules.set(id, rule);
  for (const [key, value] of ruleValues(patch)) {
    rule.values.set(key, value);
    rule.origins.set(key, origin);
  }
}

function draftRule(target: RuleTarget): DraftRule {
  return { target, values: new Map([["no_subdir", false]]), origins: new Map([["no_subdir", "default"]]) };
}

function reloadRules(
  draft: Draft,
  before: ReadonlyMap<string, RulePatch>,
  after: ReadonlyMap<string, RulePatch>,
): void {
  for (const id of before.keys()) {
    if (!after.has(id)) draft.rules.delete(id);
  }
  for (const [id, patch] of after) {
    const [was, now] = [new Map(ruleValues(before.get(id) ?? { path: patch.path })), new Map(ruleValues(patch))];
    const changed = [...new Set([...was.keys(), ...now.keys()])].filter((key) => was.get(key) !== now.get(key));
    if (before.has(id) && changed.length === 0) continue;
    const rule = draft.rules.get(id);
    if (rule === undefined) sayRule(draft, patch, "file");
    else for (const key of changed) setRuleValue(rule, key, now.get(key));
  }
}

function setRuleValue(rule: DraftRule, key: string, value: SettingValue | undefined): void {
  if (value !== undefined) {
    rule.values.set(key, value);
    rule.origins.set(key, "file");
  } else if (key === "no_subdir") {
    rule.values.set(key, false);
    rule.origins.set(key, "default");
  } else {
    rule.values.delete(key);
    rule.origins.delete(key);
  }
}

/** The settings that somebody named, by name; rules left aside. */
export function saidValues(said: SettingsOverrides): Map<string, SettingValue> {
  const found = new Map<string, SettingValue>();
  for (const { section, key, name } of settingList) {
    const value = (said[section] as Readonly<Record<string, SettingValue | undefined>> | undefined)?.[key];
    if (value !== undefined) found.set(name, value);
  }
  return found;
}

function saidRules(said: SettingsOverrides): Map<string, RulePatch> {
  return new Map((said.memcg?.cgroups ?? []).map((patch) => [ruleId(patch), patch]));
}

function open(live: LiveSettings): Draft {
  const rules = live.settings.memcg.cgroups.map((rule): [string, DraftRule] => {
    const id = ruleId(rule);
    const origins = new Map(Object.entries(live.origins.rules[id] ?? {}));
    return [id, { target: rule, values: new Map(ruleValues(rule)), origins }];
  });
  return {
    values: saidValues(live.settings),
    origins: new Map(Object.entries(live.origins.keys)),
    rules: new Map(rules),
  };
}

function close(draft: Draft, file: SettingsOverrides): LiveSettings {
  const built: Record<string, Record<string, unknown>> = { memcg: {}, compact: {}, control: {}, log: {} };
  for (const { section, key, name } of settingList) {
    (built[section] ??= {})[key] = draft.values.get(name);
  }
  const ids = [...saidRules(file).keys(), ...draft.rules.keys()];
  const rules = [...new Set(ids)].flatMap((id) => draft.rules.get(id) ?? []);
  (built["memcg"] ??= {})["cgroups"] = rules.map((rule) => ruleOf(rule.target, rule.values));
  return {
    settings: built as unknown as Settings,
    origins: {
      keys: Object.fromEntries(draft.origins),
      rules: Object.fromEntries(rules.map((rule) => [ruleId(rule.target), Object.fromEntries(rule.origins)])),
    },
    file,
  };
}

function finish(before: LiveSettings, live: LiveSettings, actor: Origin): Merged {
  return { live, changes: changesBetween(before, live, actor) };
}

/** @param actor whom a disappearance is put down to */
function changesBetween(before: LiveSettings, after: LiveSettings, actor: Origin): SettingChange[] {
  const [was, now] = [saidValues(before.settings), saidValues(after.settings)];
  const changes: SettingChange[] = [];
  for (const { name } of settingList) {
    const [from, to] = [was.get(name) ?? null, now.get(name) ?? null];
    if (!sameValue(from, to)) changes.push({ key: name, from, to, origin: after.origins.keys[name] ?? actor });
  }
  const oldRules = new Map(before.settings.memcg.cgroups.map((rule) => [ruleId(rule), rule]));
  const newRules = new Map(after.settings.memcg.cgroups.map((rule) => [ruleId(rule), rule]));
  for (const id of new Set([...oldRules.keys(), ...newRules.keys()])) {
    changes.push(...ruleChanges(id, oldRules.get(id), newRules.get(id), after.origins.rules[id] ?? {}, actor));
  }
  return changes;
}

function ruleChanges(
  id: string,
  before: MemcgRule | undefined,
  after: MemcgRule | undefined,
  origins: Readonly<Record<string, Origin>>,
  actor: Origin,
): SettingChange[] {
  const key = `memcg.cgroups[${id}]`;
  if (before === undefined || after === undefined) {
    return [{ key, from: before ?? null, to: after ?? null, origin: actor }];
  }
  const [was, now] = [new Map(ruleValues(before)), new Map(ruleValues(after))];
  const changed = [...new Set([...was.keys(), ...now.keys()])].filter((name) => was.get(name) !== now.get(name));
  return changed.map((name) => ({
    key: `${key}.${name}`,
    from: was.get(name) ?? null,
    to: now.get(name) ?? null,
    origin: origins[name] ?? actor,
  }));
}
