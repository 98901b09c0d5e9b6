/**
 * The agent with a settings file and an origin for each value: what the socket serves. It reads the file, follows its
 * changes, and writes into it when asked to.
 */
import type { Clock } from "../base/clock.ts";
import { Fault, isFault, messageOf } from "../base/fault.ts";
import type { Log } from "../base/log.ts";
import { parseCompactChange, parseLogLevel, parseMemcgChange, type ParsedChange } from "../config/change.ts";
import { applyReload, startSettings, type LiveSettings, type SettingChange } from "../config/merge.ts";
import { problemsFault } from "../config/problems.ts";
import { ruleId, ruleValues } from "../config/rules.ts";
import { settingList, type LogSettings, type SettingsOverrides } from "../config/schema.ts";
import { parseConfig } from "../config/toml.ts";
import { readKernelRelease } from "../kernel/kernel-release.ts";
import { readEnabled } from "../kernel/lru-gen.ts";
import { pageBytes } from "../kernel/page-size.ts";
import { ConfigWatch, readConfigText } from "./config-file.ts";
import { replaceFile } from "./config-save.ts";
import type { TimedEvent } from "./events.ts";
import type { ChangeAnswer, DaemonFace, SettingInForce } from "./face.ts";
import { MemAgent } from "./mem-agent.ts";
import { ownCost } from "./own-cost.ts";
import { readPrerequisiteFacts } from "./prerequisite-facts.ts";
import type { AgentStatus, CompactStatus, MemcgStatus, RunReport } from "./status.ts";

export interface DaemonOptions {
  readonly version: string;
  /** The settings file; it need not be there. */
  readonly file: string;
  readonly flags: SettingsOverrides;
  readonly dryRun: boolean;
  readonly kernelRoot: string;
  readonly clock: Clock;
  readonly log: Log;
}

const configWarning = "config_file";
const logWarning = "log_file";

/** What the settings are before anything runs: the file, then the flags. Fault `invalid` with every problem of the file. */
export async function readSettings(file: string, flags: SettingsOverrides): Promise<LiveSettings> {
  return startSettings({ file: await readOverrides(file), flags });
}

/** Empty where there is no file. Fault `invalid` with every problem of it. */
async function readOverrides(file: string): Promise<SettingsOverrides> {
  const text = readConfigText(file);
  if (text === null) return {};
  const { overrides, problems } = await parseConfig(text, { file });
  if (problems.length > 0) throw problemsFault(`use ${file}`, problems);
  return overrides;
}

export class Daemon implements DaemonFace {
  readonly version: string;
  readonly #options: DaemonOptions;
  readonly #agent: MemAgent;
  readonly #started: string;
  #watch: ConfigWatch | null = null;
  #loaded: string | null = null;
  #fileProblems: readonly string[] = [];
  /** Reloads and saves follow each other: each sees what the one before left. */
  #turn: Promise<unknown> = Promise.resolve();

  /** `live` are the settings that the caller read with `readSettings`. */
  constructor(options: DaemonOptions, live: LiveSettings) {
    const { version, kernelRoot, clock, log, dryRun } = options;
    this.version = version;
    this.#options = options;
    this.#agent = new MemAgent({ kernelRoot, clock, log, dryRun });
    this.#agent.adopt({ live, changes: [] }, false);
    this.#started = new Date(clock.wallMs()).toISOString();
  }

  /** Faults: as MemAgent's `start`. */
  start(): void {
    this.#agent.start();
    this.#loaded = this.#started;
    const { file, clock, log } = this.#options;
    this.#watch = new ConfigWatch(file, clock, log, () => void this.#follow());
    this.#agent.events.emit({ event: "started", version: this.version });
  }

  async stop(): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    this.#watch = null;
    await this.#agent.stop();
    this.#agent.events.emit({ event: "stopped" });
  }

  /** To be called when the process is awake anyway: looks whether a watched directory was replaced. */
  refreshWatch(): void {
    this.#watch?.refresh();
  }

  status(): AgentStatus {
    const { memcg, compact } = { memcg: this.#agent.memcgSummary(), compact: this.#agent.compactStatus() };
    const warnings = this.#agent.warningList;
    const { settings } = this.#agent;
    return {
      version: this.version,
      pid: process.pid,
      started: this.#started,
      health: warnings.length === 0 ? "ok" : "warning",
      warnings,
      memcg,
      compact,
      config: {
        file: this.#options.file,
        loaded: this.#loaded,
        problems: this.#fileProblems,
        addr: settings.control.addr,
      },
      log_level: settings.log.level,
      own: ownCost(),
      kernel: this.#kernel(),
    };
  }

  #kernel(): AgentStatus["kernel"] {
    const root = this.#options.kernelRoot;
    const facts = readPrerequisiteFacts(root);
    const mask = orNull(() => readEnabled(root));
    return {
      release: orNull(() => readKernelRelease(root).release) ?? "unknown",
      cgroup_version: facts.cgroup?.version ?? null,
      pressure: facts.pressure.state === "ok",
      page_bytes: pageBytes(),
      lru_gen_mask: mask === null ? null : `0x${mask.toString(16).padStart(4, "0")}`,
    };
  }

  memcgStatus(): MemcgStatus {
    return this.#agent.memcgStatus();
  }

  compactStatus(): CompactStatus {
    return this.#agent.compactStatus();
  }

  memcgSet(change: unknown, options: { save: boolean }): Promise<ChangeAnswer> {
    return this.#set("change memcg settings", parseMemcgChange(change), options.save);
  }

  compactSet(change: unknown, options: { save: boolean }): Promise<ChangeAnswer> {
    return this.#set("change compact settings", parseCompactChange(change), options.save);
  }

  logLevelSet(level: unknown, options: { save: boolean }): Promise<ChangeAnswer> {
    return this.#set("change the log level", parseLogLevel(level), options.save);
  }

  #set(doing: string, parsed: ParsedChange, save: boolean): Promise<ChangeAnswer> {
    return this.#inTurn(async () => {
      const merged = this.#agent.merged(doing, parsed, "socket");
      let { live } = merged;
      if (save) live = { ...live, file: await this.#save(parsed.change, live) };
      this.#adopt({ live, changes: merged.changes });
      const changes = merged.changes.map(({ key, from, to }) => ({ key, from, to }));
      return { changes, saved: save ? this.#options.file : null };
    });
  }

  /** Writes the change into the file, and returns what the file says then. Nothing is applied when it cannot. */
  async #save(change: ParsedChange["change"], live: LiveSettings): Promise<SettingsOverrides> {
    const { file } = this.#options;
    const { saveIntoToml } = await import("../config/save.ts");
    const text = await saveIntoToml(readConfigText(file) ?? "", change, live.settings, { file });
    replaceFile(file, text);
    return await readOverrides(file);
  }

  configShow(): readonly SettingInForce[] {
    const { settings, origins } = this.#agent.live;
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

  reload(): Promise<ChangeAnswer> {
    return this.#inTurn(async () => ({ changes: await this.#reload(), saved: null }));
  }

  /** SIGHUP: the file is read again, and the log file opened again under its name. */
  async hangUp(): Promise<void> {
    this.#reopenLog();
    await this.#follow();
  }

  /** As `reload`, for a change that nobody waits for: what is wrong is logged and shown. */
  async #follow(): Promise<void> {
    try {
      await this.reload();
    } catch (error) {
      if (!isFault(error)) throw error;
    }
  }

  async #reload(): Promise<readonly SettingChange[]> {
    const { file, clock, log } = this.#options;
    try {
      const merged = applyReload(this.#agent.live, await readOverrides(file));
      this.#loaded = new Date(clock.wallMs()).toISOString();
      this.#fileProblems = [];
      this.#agent.warnings.clear(configWarning);
      if (merged.changes.length === 0) return [];
      this.#adopt(merged);
      log.info("settings file read", { file, changes: merged.changes.length });
      this.#agent.events.emit({ event: "reloaded", file, changes: merged.changes.length });
      return merged.changes;
    } catch (error) {
      if (!isFault(error)) throw error;
      this.#rejectFile(error);
      throw error;
    }
  }

  /** What was in force stays so. Each problem is said once, not at each look at the same bad file. */
  #rejectFile(fault: Fault): void {
    const { file, log } = this.#options;
    const known = this.#fileProblems.join("\n") === fault.problems.join("\n");
    this.#fileProblems = fault.problems;
    if (!known) for (const problem of fault.problems) log.error("settings file refused", { problem });
    const more = fault.problems.length === 1 ? "" : ` (and ${fault.problems.length - 1} more)`;
    const message = `settings file refused, the settings in force stay: ${fault.problems[0] ?? fault.message}${more}`;
    this.#agent.warnings.raise(configWarning, message, `mem-agent config check ${file}`);
    if (!known) this.#agent.events.emit({ event: "reload_failed", file, problems: fault.problems });
  }

  /** One settings change after the other, whoever asks. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => null);
    return result;
  }

  #adopt(merged: { readonly live: LiveSettings; readonly changes: readonly SettingChange[] }): void {
    const before = this.#agent.settings.log;
    this.#agent.adopt(merged, true);
    this.#applyLog(before, merged.live.settings.log);
  }

  #applyLog(before: LogSettings, now: LogSettings): void {
    const { log } = this.#options;
    log.level = now.level;
    if (before.file === now.file && before.format === now.format) return;
    this.#tryLog(() => log.setOutput(now.file, now.format));
  }

  #reopenLog(): void {
    this.#tryLog(() => this.#options.log.reopen());
  }

  #tryLog(act: () => void): void {
    try {
      act();
      this.#agent.warnings.clear(logWarning);
    } catch (error) {
      if (!isFault(error)) throw error;
      this.#agent.warnings.raise(logWarning, messageOf(error), "mem-agent config show");
    }
  }

  run(what: "memcg" | "compact", options: { dryRun: boolean }): Promise<RunReport> {
    return this.#agent.run(what, options);
  }

  onEvent(listener: (event: TimedEvent) => void): () => void {
    return this.#agent.onEvent(listener);
  }
}

function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (isFault(error)) return null;
    throw error;
  }
}
