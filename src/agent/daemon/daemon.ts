/**
 * The agent with a settings file and an origin for each value: what the socket serves. It reads the file, follows its
 * changes, and writes into it when asked to.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { Fault, isFault, nullIfFault } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import { settingsInForce, type SettingInForce } from "../../config/in-force.ts";
import { parseCompactChange, parseLogLevel, parseMemcgChange, type ParsedChange } from "../../config/change.ts";
import { applyReload, saidValues, type LiveSettings, type Merged, type SettingChange } from "../../config/merge.ts";
import { isMemcgOff, ruleId } from "../../config/rules.ts";
import type { ControlSettings, Settings, SettingsOverrides } from "../../config/schema.ts";
import { readKernelRelease } from "../../kernel/kernel-release.ts";
import { DaemonLock } from "../../system/daemon-lock.ts";
import { readHostname, readMachineId } from "../../system/machine-id.ts";
import { pageBytes } from "../../system/page-size.ts";
import { runningDaemon, serviceOf } from "../../system/running-daemon.ts";
import {
  parsedConfig,
  readConfig,
  readDaemonConfigText,
  type ReadConfig,
  ConfigWatch,
  replaceFile,
} from "./config-file.ts";
import type { EventChoice, TimedEvent } from "../events.ts";
import type { DoorNews } from "../door.ts";
import type { ChangeAnswer, DaemonControl, PauseAnswer } from "../control.ts";
import { LiveLog } from "./live-log.ts";
import { MemAgent } from "../mem-agent.ts";
import { ownCgroupPath, ownCost } from "../own-cost.ts";
import { readPrerequisiteFacts } from "../doctor/facts.ts";
import type {
  AgentStatus,
  CompactStatus,
  GivebackReport,
  HistoryStatus,
  MemcgStatus,
  MemcgSummary,
  RunReport,
} from "../status.ts";
import type { GivebackRequest } from "../giveback.ts";

export interface DaemonOptions {
  readonly version: string;
  /** The settings file, by its absolute path; it need not be there. */
  readonly file: string;
  readonly dryRun: boolean;
  readonly kernelRoot: string;
  readonly clock: Clock;
  readonly log: Log;
}

const fileWarning = "config_file";
const socketWarning = "control_socket";
const vsockWarning = "vsock";
const watchWarning = "config_watch";
const goneWarning = "config_gone";

/**
 * A file that is wrong, empty or gone may be one that somebody is just writing: it is looked at once more after this
 * time before it counts.
 */
const doubtMs = 1000;
/** How often a save starts over because the file changed under it. */
const saveAttemptsMax = 5;

/** Somebody asked for it, or the daemon looked by itself. */
type ReloadWhy = "asked" | "seen";

interface AppliedConfig {
  readonly text: string | null;
  readonly changes: readonly SettingChange[];
}

export class Daemon implements DaemonControl {
  readonly version: string;
  readonly #options: DaemonOptions;
  readonly #agent: MemAgent;
  readonly #started: string;
  readonly #log: LiveLog;
  /** Null also where it could not be made; then nothing is tried again. */
  #lock: DaemonLock | null = null;
  #claimed = false;
  #watch: ConfigWatch | null = null;
  #loaded: string | null = null;
  #fileProblems: readonly string[] = [];
  #kernelSeen: AgentStatus["kernel"] | null = null;
  #machineId: { readonly value: string | null } | null = null;
  #door: Omit<DoorNews, "trouble"> = { listening: false, accepted: 0, refused: 0 };
  #doubt: Timer | null = null;
  #followControl: (control: ControlSettings) => void = () => {};
  /** Reloads and saves follow each other: each sees what the one before left. */
  #turn: Promise<unknown> = Promise.resolve();

  /** `live` are the settings that the caller read with `readSettings`, and made the log of. */
  constructor(options: DaemonOptions, live: LiveSettings) {
    const { version, kernelRoot, clock, log, dryRun } = options;
    this.version = version;
    this.#options = options;
    this.#agent = new MemAgent({ kernelRoot, clock, log, dryRun, ownCgroup: ownCgroupPath(kernelRoot, process.pid) });
    this.#agent.adopt({ live, changes: [] }, false);
    this.#started = this.#now();
    this.#log = new LiveLog(log, live.settings.log, this.#agent.warnings);
  }

  /**
   * Makes sure that no other daemon runs a feature on this machine, before anything is touched. Without a feature nobody
   * is in another's way. Fault `busy` with who it is, `io`.
   */
  claim(): void {
    this.#claim("start", this.#agent.settings);
  }

  #claim(doing: string, settings: Settings): void {
    if (this.#claimed || (isMemcgOff(settings.memcg) && settings.compact.disabled)) return;
    const { kernelRoot, log } = this.#options;
    try {
      this.#lock = DaemonLock.take(kernelRoot);
      if (this.#lock === null) throw new Fault("busy", `cannot ${doing}: ${runningText(kernelRoot)}`);
    } catch (error) {
      // A folder that can only be read. Or it is not root: then the prerequisites say what is missing, and how to get it.
      if (!isFault(error, "denied")) throw error;
      log.warn(error.message);
    }
    this.#claimed = true;
    this.#noteAddress(settings);
  }

  #noteAddress({ control }: Settings): void {
    this.#lock?.note({ pid: process.pid, addr: control.addr });
  }

  /**
   * @param followControl called with the settings of the control socket whenever one of them has changed
   * @throws Fault as `claim` and MemAgent's `start`
   */
  start(followControl: (control: ControlSettings) => void = () => {}): void {
    this.claim();
    this.#agent.start();
    this.#followControl = followControl;
    const { file, clock } = this.#options;
    this.#watch = new ConfigWatch({
      path: file,
      clock,
      changed: () => void this.#follow(),
      trouble: (why) => this.#noteWatch(why),
    });
    // It may have changed since it was read, when nobody watched it yet.
    void this.#follow();
    this.#agent.events.emit({ event: "started", version: this.version });
  }

  async stop(): Promise<void> {
    // First: the streams that carry it are closed while a run still ends.
    this.#agent.events.emit({ event: "stopped" });
    this.#watch?.[Symbol.dispose]();
    this.#watch = null;
    this.#doubt?.cancel();
    await this.#agent.stop();
    this.#lock?.[Symbol.dispose]();
    this.#lock = null;
    this.#claimed = false;
  }

  /** To be called when the process is awake anyway: looks after the file's watch and the log's file. */
  lookAround(): void {
    this.#watch?.refresh();
    this.#log.look();
  }

  /** What is wrong with the control socket, or null. */
  noteSocket(why: string | null): void {
    if (why === null) {
      this.#agent.warnings.clear(socketWarning);
      this.#noteAddress(this.#agent.settings);
    } else this.#agent.warnings.raise(socketWarning, why, "mem-agent config show");
  }

  /** What the door on vsock is doing. */
  noteDoor({ trouble, ...door }: DoorNews): void {
    this.#door = door;
    if (trouble === null) this.#agent.warnings.clear(vsockWarning);
    else this.#agent.warnings.raise(vsockWarning, trouble, "mem-agent doctor");
  }

  #noteWatch(why: string | null): void {
    if (why === null) this.#agent.warnings.clear(watchWarning);
    else {
      const message = `${why}; changes of the settings file are seen within a minute`;
      this.#agent.warnings.raise(watchWarning, message, "mem-agent reload");
    }
  }

  /** The settings in force. */
  get settings(): Settings {
    return this.#agent.settings;
  }

  status(): AgentStatus {
    const health = this.health();
    const { memcg, compact } = { memcg: this.#agent.memcgSummary(), compact: this.#agent.compactSummary() };
    const warnings = this.#agent.warningList;
    const { settings } = this.#agent;
    return {
      version: this.version,
      pid: process.pid,
      started: this.#started,
      health,
      warnings,
      paused_until: this.#agent.pausedUntil,
      memcg,
      compact,
      config: {
        file: this.#options.file,
        loaded: this.#loaded,
        problems: this.#fileProblems,
        addr: settings.control.addr,
      },
      machine: this.#machine(),
      vsock: {
        address: settings.control.vsock,
        peers: settings.control.vsock_peers,
        write: settings.control.vsock_write,
        ...this.#door,
      },
      log_level: settings.log.level,
      own: ownCost(),
      kernel: this.#kernel(),
    };
  }

  #machine(): AgentStatus["machine"] {
    const hostname = readHostname(this.#options.kernelRoot);
    this.#machineId ??= { value: readMachineId(this.#options.kernelRoot) };
    const name = this.settings.control.name ?? hostname ?? "unknown";
    return { name, hostname, machine_id: this.#machineId.value };
  }

  /** Whether a warning is active; reads nothing of the kernel. */
  health(): AgentStatus["health"] {
    this.#log.look();
    return this.#agent.warningList.length === 0 ? "ok" : "warning";
  }

  /** Looked at once: what may change under us, the runs look at. */
  #kernel(): AgentStatus["kernel"] {
    this.#kernelSeen ??= this.#seeKernel();
    const mask = this.#agent.lruGenMask;
    return mask === null ? this.#kernelSeen : { ...this.#kernelSeen, lru_gen_mask: maskText(mask) };
  }

  #seeKernel(): AgentStatus["kernel"] {
    const root = this.#options.kernelRoot;
    const facts = readPrerequisiteFacts(root);
    return {
      release: nullIfFault(() => readKernelRelease(root).release) ?? "unknown",
      cgroup_version: facts.cgroup?.version ?? null,
      pressure: facts.pressure.state === "ok",
      page_bytes: pageBytes(),
      lru_gen_mask: facts.lruGenMask === null ? null : maskText(facts.lruGenMask),
    };
  }

  /** The part of `status` that costs nothing to tell. */
  memcgSummary(): MemcgSummary {
    return this.#agent.memcgSummary();
  }

  memcgStatus(): MemcgStatus {
    return this.#agent.memcgStatus();
  }

  compactStatus(): CompactStatus {
    return this.#agent.compactStatus();
  }

  history(): HistoryStatus {
    return this.#agent.history();
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

  #set(doing: string, change: ParsedChange, save: boolean): Promise<ChangeAnswer> {
    return this.#inTurn(async () => {
      const merged = save ? await this.#saved(doing, change) : this.#agent.merged(doing, change, "socket");
      this.#adopt(merged);
      return { changes: told(merged.changes), saved: save ? this.#options.file : null };
    });
  }

  /**
   * What a change makes of the settings, with the change written into the file. What the file says by now is read
   * first: an edit that nobody has noticed yet would otherwise count as known, and never be applied.
   */
  async #saved(doing: string, change: ParsedChange): Promise<Merged> {
    const { file } = this.#options;
    const { saveIntoToml } = await import("../../config/save.ts");
    for (let attempt = 0; attempt < saveAttemptsMax; attempt++) {
      const { text } = await this.#reload("seen");
      const merged = this.#agent.merged(doing, change, "socket");
      const saved = await saveIntoToml(text ?? "", change.change, merged.live.settings, { file });
      const live = { ...merged.live, file: await parsedConfig(saved, file) };
      // From here to the new file nothing else of ours runs.
      if (readDaemonConfigText(file) !== text) continue;
      this.#claim(doing, merged.live.settings);
      if (saved !== text) replaceFile(file, saved);
      this.#loaded = this.#now();
      return { live, changes: merged.changes };
    }
    throw new Fault("busy", `cannot save into ${file}: somebody else keeps writing it; try again`);
  }

  configShow(): readonly SettingInForce[] {
    return settingsInForce(this.#agent.live);
  }

  /** As SIGHUP, for somebody who waits for the answer: a log file is opened again under its name too. */
  reload(): Promise<ChangeAnswer> {
    this.#log.reopen();
    return this.#inTurn(async () => ({ changes: told((await this.#reload("asked")).changes), saved: null }));
  }

  /** SIGHUP: the file is read again, and the log file opened again under its name. */
  async hangUp(): Promise<void> {
    this.#log.reopen();
    await this.#follow("asked");
  }

  /** As `reload`, for a change that nobody waits for: what is wrong is logged and shown, and not before a second look. */
  #follow(why: ReloadWhy = "seen"): Promise<void> {
    return this.#inTurn(async () => {
      const read = await this.#read();
      if (this.#looksUnfinished(read)) {
        this.#doubt ??= this.#options.clock.after(doubtMs, () => {
          this.#doubt = null;
          void this.#inTurn(async () => this.#tryToApply(await this.#read(), why));
        });
      } else this.#tryToApply(read, why);
    });
  }

  /** What the file says now, or what is wrong with it. */
  async #read(): Promise<ReadConfig | Fault> {
    try {
      return await readConfig(this.#options.file);
    } catch (error) {
      if (!isFault(error)) throw error;
      return error;
    }
  }

  /** Whether the file may be half-written: it is wrong, or nothing is left of what it said. */
  #looksUnfinished(read: ReadConfig | Fault): boolean {
    return isFault(read) || ((read.text ?? "").trim() === "" && !saysNothing(this.#agent.live.file));
  }

  async #reload(why: ReloadWhy): Promise<AppliedConfig> {
    return this.#apply(await this.#read(), why);
  }

  #tryToApply(read: ReadConfig | Fault, why: ReloadWhy): void {
    try {
      this.#apply(read, why);
    } catch (error) {
      if (!isFault(error)) throw error;
    }
  }

  #apply(read: ReadConfig | Fault, why: ReloadWhy): AppliedConfig {
    this.#doubt?.cancel();
    this.#doubt = null;
    const { file, log } = this.#options;
    try {
      if (isFault(read)) throw read;
      const { text, overrides } = read;
      const merged = applyReload(this.#agent.live, overrides);
      const gone = text === null && this.#loaded !== null;
      const before = this.#agent.live.file;
      this.#loaded = text === null ? null : this.#now();
      const wasWrong = this.#fileProblems.length > 0;
      this.#fileProblems = [];
      this.#agent.warnings.clear(fileWarning);
      if (text !== null) this.#agent.warnings.clear(goneWarning);
      else if (!saysNothing(before)) {
        const remedy = `restore ${file}; an empty one ends this warning`;
        this.#agent.warnings.raise(goneWarning, goneText(file, before), remedy);
      }
      this.#adopt(merged);
      const count = merged.changes.length;
      // A check of our own that finds nothing new is no news.
      if (count > 0 || wasWrong || why === "asked") {
        log.info(text !== null ? "settings file read" : gone ? "settings file gone" : "no settings file", {
          file,
          changes: count,
        });
        this.#agent.events.emit({ event: "reloaded", file, changes: count });
      }
      return { text, changes: merged.changes };
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
    if (known) return;
    for (const problem of fault.problems) log.error("settings file refused", { problem });
    const more = fault.problems.length === 1 ? "" : ` (and ${fault.problems.length - 1} more)`;
    const message = `settings file refused, the settings in force stay: ${fault.problems[0] ?? fault.message}${more}`;
    this.#agent.warnings.raise(fileWarning, message, `mem-agent config check ${file}`);
    this.#agent.events.emit({ event: "reload_failed", file, problems: fault.problems });
  }

  #now(): string {
    return new Date(this.#options.clock.wallMs()).toISOString();
  }

  /** One settings change after the other, from any client. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => null);
    return result;
  }

  #adopt(merged: Merged): void {
    const { control: before } = this.#agent.settings;
    const { log, control } = merged.live.settings;
    this.#claim("run with these settings", merged.live.settings);
    this.#agent.adopt(merged, true);
    this.#log.follow(log);
    if (!Bun.deepEquals(before, control)) this.#followControl(control);
  }

  run(what: "memcg" | "compact", options: { dryRun: boolean }): Promise<RunReport> {
    return this.#agent.run(what, options);
  }

  giveback(request: GivebackRequest): Promise<GivebackReport> {
    return this.#agent.giveback(request);
  }

  pause(secs: number): PauseAnswer {
    return this.#agent.pause(secs);
  }

  onEvent(listener: (event: TimedEvent) => void, choice: EventChoice = "all"): () => void {
    return this.#agent.onEvent(listener, choice);
  }
}

/** Who runs already, and what to do about it. */
function runningText(root: string): string {
  const pid = runningDaemon(root)?.pid ?? null;
  const service = pid === null ? null : serviceOf(root, pid);
  const who = pid === null ? "" : `, as process ${pid}${service === null ? "" : ` (${service})`}`;
  const stop = service === null ? `kill ${pid ?? "$(pidof mem-agent)"}` : `systemctl stop ${service}`;
  return (
    `mem-agent already runs on this machine${who}, and a second one would age the same cgroups: memory would count as cold ` +
    `in half the time; change that one's settings with mem-agent memcgset, or stop it first: ${stop}`
  );
}

/** As lru_gen/enabled writes it. */
function maskText(mask: number): string {
  return `0x${mask.toString(16).padStart(4, "0")}`;
}

function told(changes: readonly SettingChange[]): ChangeAnswer["changes"] {
  return changes.map(({ key, from, to }) => ({ key, from, to }));
}

const shownRulesMax = 5;

/** What is in force no longer with a file that is gone: rules above all, which protect what must not be evicted. */
function goneText(file: string, said: SettingsOverrides): string {
  const ids = (said.memcg?.cgroups ?? []).map((rule) => ruleId(rule));
  const more = ids.length > shownRulesMax ? ` and ${ids.length - shownRulesMax} more` : "";
  const which = `${ids.slice(0, shownRulesMax).join(" ")}${more}`;
  const rules =
    ids.length === 1 ? `, and neither does its rule: ${which}` : `, and neither do its ${ids.length} rules: ${which}`;
  return `the settings file ${file} is gone; what it said no longer applies${ids.length === 0 ? "" : rules}`;
}

function saysNothing(file: SettingsOverrides): boolean {
  return saidValues(file).size === 0 && (file.memcg?.cgroups ?? []).length === 0;
}
