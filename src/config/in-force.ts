/** The settings in force as a list: each with its value and where that comes from. */
import type { LiveSettings, Origin } from "./merge.ts";
import { ruleId, ruleValues } from "./rules.ts";
import { settingList } from "./schema.ts";

/** One setting in force. `rule` is null for a base setting. */
export interface SettingInForce {
  readonly key: string;
  readonly rule: string | null;
  readonly value: unknown;
  readonly origin: Origin;
}

/** Base settings in the order of the reference, then what each rule says. */
export function settingsInForce({ settings, origins }: LiveSettings): readonly SettingInForce[] {
  const base = settingList.map(({ section, key, name }) => ({
    key: name,
    rule: null,
    value: (settings[section] as unknown as Readonly<Record<string, unknown>>)[key],
    origin: origins.keys[name] ?? "default",
  }));
  const rules = settings.memcg.cgroups.flatMap((rule) => {
    const id = ruleId(rule);
    return ruleValues(rule).map(([key, value]) => ({
      key: `memcg.${key}`,
      rule: id,
      value,
      origin: origins.rules[id]?.[key] ?? "default",
    }));
  });
  return [...base, ...rules];
}

/** A setting of which the file says something else than is in force; null where one side does not say it. */
export interface SettingDifference {
  readonly key: string;
  readonly rule: string | null;
  readonly file: unknown;
  readonly in_force: unknown;
  /** Where the value in force comes from; null where there is none. */
  readonly origin: Origin | null;
}

/** What the file alone would make of the settings against what is in force, in the order of the lists. */
export function settingDifferences(
  file: readonly SettingInForce[],
  inForce: readonly SettingInForce[],
): readonly SettingDifference[] {
  const id = ({ key, rule }: SettingInForce): string => JSON.stringify([rule, key]);
  const [ofFile, ofForce] = [file, inForce].map((list) => new Map(list.map((one) => [id(one), one])));
  const all = new Map([...inForce, ...file].map((one) => [id(one), one]));
  return [...all].flatMap(([key, { key: name, rule }]) => {
    const [said, held] = [ofFile?.get(key), ofForce?.get(key)];
    if (said !== undefined && held !== undefined && Bun.deepEquals(said.value, held.value)) return [];
    const difference = { file: said?.value ?? null, in_force: held?.value ?? null, origin: held?.origin ?? null };
    return [{ key: name, rule, ...difference }];
  });
}
