/**
 * Settings on the kernel's command line, for guests whose file system nobody edits: the host sets them at boot.
 *
 *     mem_agent.memcg.period_secs=300 mem_agent.memcg.swap
 *
 * Every setting but rules. As with the kernel's own parameters a dash is as good as an underscore, and a boolean without
 * a value is true. Parameters of others are ignored.
 */
import { didYouMean } from "./nearest.ts";
import { type Problem, show } from "./problems.ts";
import { settingList, type SettingsOverrides } from "./schema.ts";
import { allowedText, readValue, valueOfText } from "./values.ts";

const prefix = "mem_agent.";

export interface BootSettings {
  /** To be used only if there are no problems. */
  readonly overrides: SettingsOverrides;
  readonly problems: readonly Problem[];
}

/** @param parameters by name, null for one without a value; see `parseCmdline` */
export function parseBootSettings(parameters: ReadonlyMap<string, string | null>): BootSettings {
  const sections: Record<string, Record<string, unknown>> = {};
  const problems: Problem[] = [];
  const settings = new Map(settingList.map((setting) => [setting.name, setting]));
  for (const [parameter, text] of parameters) {
    const key = parameter.replaceAll("-", "_");
    if (!key.startsWith(prefix)) continue;
    const name = key.slice(prefix.length);
    const setting = settings.get(name);
    if (setting === undefined) {
      const names = [...settings.keys()];
      const near = didYouMean(name, names);
      problems.push({
        key: show(parameter),
        message: `unknown setting${near}`,
        allowed: near === "" ? names.join(", ") : "",
      });
      continue;
    }
    const said = text ?? (setting.kind.type === "boolean" ? "true" : null);
    if (said === null) {
      problems.push({ key, message: "a value is missing", allowed: allowedText(setting) });
      continue;
    }
    const value = readValue(setting, valueOfText(setting, said));
    if (value.ok) (sections[setting.section] ??= {})[setting.key] = value.value;
    else problems.push({ key, message: value.message, allowed: value.allowed });
  }
  return { overrides: sections, problems };
}
