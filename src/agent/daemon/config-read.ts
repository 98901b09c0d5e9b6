/** What the settings file says now. */
import { readFileSync } from "node:fs";
import { errnoOf, faultFrom } from "../../base/fault.ts";
import { startSettings, type LiveSettings } from "../../config/merge.ts";
import { problemsFault } from "../../config/problems.ts";
import type { SettingsOverrides } from "../../config/schema.ts";
import { parseConfig } from "../../config/toml.ts";

/** The file's text, null where there is none. Faults: `denied`, `io`. */
export function readConfigText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return null;
    throw faultFrom(error, `read ${path}`);
  }
}

/** What the settings are before anything runs: the file, then the flags. Fault `invalid` with every problem of the file. */
export async function readSettings(file: string, flags: SettingsOverrides): Promise<LiveSettings> {
  return startSettings({ file: (await readConfig(file)).overrides, flags });
}

export interface ReadConfig {
  /** Null where there is no file. */
  readonly text: string | null;
  readonly overrides: SettingsOverrides;
}

/** Faults: `invalid` with every problem of the file, `denied`, `io`. */
export async function readConfig(file: string): Promise<ReadConfig> {
  const text = readConfigText(file);
  return { text, overrides: await parsedConfig(text ?? "", file) };
}

/** What a text says. Fault `invalid` with every problem of it. */
export async function parsedConfig(text: string, file: string): Promise<SettingsOverrides> {
  const { overrides, problems } = await parseConfig(text, { file });
  if (problems.length > 0) throw problemsFault(`use ${file}`, problems);
  return overrides;
}
