/** The daemon as a process: settings, log, agent, socket, signals, service manager, and a clean end. */
import { statSync } from "node:fs";
import { readBootSettings, readSettings } from "../agent/daemon/config-file.ts";
import { Daemon } from "../agent/daemon/daemon.ts";
import type { MemcgSummary } from "../agent/status.ts";
import { Trimmer } from "../agent/daemon/trim.ts";
import { systemClock, type Timer } from "../base/clock.ts";
import { Fault, messageOf } from "../base/fault.ts";
import { Log } from "../base/log.ts";
import { bytesText } from "../base/units.ts";
import type { ControlSettings, Settings, SettingsOverrides } from "../config/schema.ts";
import { firstEvictionMs, paceLimits } from "../core/pace.ts";
import { logsToJournal, ServiceManager, watchdogPeriodMs } from "../system/notify.ts";
import { endSwiftly } from "../system/executable-pages.ts";
import { ControlSocket } from "./control-socket.ts";
import type { VsockDoor, VsockDoorOptions } from "./vsock-door.ts";

export interface RunDaemonOptions {
  readonly version: string;
  /** The settings file; when it was `asked` for by name it must be there. */
  readonly config: { readonly file: string; readonly asked: boolean };
  readonly flags: SettingsOverrides;
  readonly dryRun: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** SIGTERM ends the process within this time, whatever the kernel is doing for it. */
const stopMsMax = 900;
/** How often to check what nothing reports: the socket's file, a mount over a watched folder, a full disk. */
const housekeepingMs = 60_000;
const standardError = 2;

/**
 * Runs until a signal ends it, and resolves with the exit status. Faults: `invalid` (settings), `missing` (prerequisites,
 * each a problem), `busy` (another daemon), `denied`, `io`; then nothing is left behind.
 */
export async function runDaemon(options: RunDaemonOptions): Promise<number> {
  const { config, flags, environment, version, dryRun } = options;
  if (config.asked && statSync(config.file, { throwIfNoEntry: false }) === undefined) {
    throw new Fault("missing", `cannot read ${config.file}: there is no such file; create it, or omit --config`);
  }
  // Before there is anything that the end of the process would leave behind.
  const end = endSignal();
  using hangUps = new HangUps();
  const live = await readSettings(config.file, flags, readBootSettings("/"));
  const { log: logSettings, control } = live.settings;
  const log = new Log({
    ...logSettings,
    descriptor: standardError,
    journal: logsToJournal(environment),
    clock: systemClock,
  });
  const daemon = new Daemon({ version, file: config.file, dryRun, kernelRoot: "/", clock: systemClock, log }, live);
  const trimmer = new Trimmer(systemClock);
  const door = new DoorWhenWanted({
    daemon,
    log,
    clock: systemClock,
    asked: () => trimmer.touched(),
    news: (news) => daemon.noteDoor(news),
  });
  const socket = await begin(daemon, control.addr, door, trimmer, log);
  const there = statSync(config.file, { throwIfNoEntry: false }) !== undefined;
  const shown = there ? config.file : "none";
  log.info("started", { version, pid: process.pid, addr: control.addr, config: shown, dry_run: dryRun });
  logFirstEviction(log, live.settings.memcg, dryRun);
  const keepHouse = (): void => {
    daemon.lookAround();
    void socket.look();
    void door.follow(daemon.settings.control);
  };
  const signal = await serveUntil(end, hangUps, keepHouse, daemon, log, environment);
  log.info("stopping", { signal });
  trimmer.stop();
  await endWithin(stopMsMax, [daemon.stop(), socket.stop(), door.stop()]);
  log.flush();
  return 0;
}

/** People who start it wonder why nothing happens: what is cold must be shown to be so first. */
function logFirstEviction(log: Log, memcg: Settings["memcg"], dryRun: boolean): void {
  if (memcg.disabled) {
    log.info("nothing is evicted: memcg is disabled", { rules: memcg.cgroups.length });
    return;
  }
  const limits = paceLimits(memcg.period_min_secs, memcg.period_secs);
  const { sampleMs, restMs } = firstEvictionMs(limits, memcg.eviction_run_aging_count_min);
  log.info(dryRun ? "first eviction, if this were not a dry run" : "first eviction", {
    sample_in_secs: sampleMs / 1000,
    idle_in_secs: restMs / 1000,
    period_min_secs: memcg.period_min_secs,
    period_secs: memcg.period_secs,
    see: "mem-agent status",
  });
}

/** Starts the daemon and its socket. Before that it makes sure to be the only one; where it may not start, nothing is left. */
async function begin(
  daemon: Daemon,
  addr: string,
  door: DoorWhenWanted,
  trimmer: Trimmer,
  log: Log,
): Promise<ControlSocket> {
  let socket: ControlSocket | null = null;
  try {
    daemon.claim();
    const opened = await ControlSocket.open(addr, {
      daemon,
      log,
      clock: systemClock,
      asked: () => trimmer.touched(),
      trouble: (why) => daemon.noteSocket(why),
    });
    socket = opened;
    daemon.onEvent(() => trimmer.touched(), "but_targets");
    daemon.start((changed) => {
      void opened.follow(changed.addr);
      void door.follow(changed);
    });
    void door.follow(daemon.settings.control);
    return opened;
  } catch (error) {
    await Promise.all([daemon.stop(), socket?.stop()]);
    throw error;
  }
}

/** The door on vsock, loaded once the settings want one: a daemon without it does not pay for it. */
class DoorWhenWanted {
  readonly #options: VsockDoorOptions;
  #door: Promise<VsockDoor> | null = null;

  constructor(options: VsockDoorOptions) {
    this.#options = options;
  }

  /** To be called with each change of these settings, and when the process is awake anyway. */
  async follow(settings: ControlSettings): Promise<void> {
    if (settings.vsock === null && this.#door === null) return;
    this.#door ??= import("./vsock-door.ts").then(({ VsockDoor: Door }) => new Door(this.#options));
    (await this.#door).follow(settings);
  }

  async stop(): Promise<void> {
    await (await this.#door)?.stop();
  }
}

/** Resolves with the name of the signal that asks for the end. From here on none ends the process by itself. */
function endSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const)
      process.once(name, () => {
        endSwiftly();
        resolve(name);
      });
  });
}

/** SIGHUP from the first moment: one that comes before the daemon can answer is answered once it can. */
class HangUps implements Disposable {
  #early = false;
  #answer = (): void => {
    this.#early = true;
  };
  readonly #heard = (): void => this.#answer();

  constructor() {
    process.on("SIGHUP", this.#heard);
  }

  answer(act: () => void): void {
    this.#answer = act;
    if (this.#early) act();
  }

  [Symbol.dispose](): void {
    process.off("SIGHUP", this.#heard);
  }
}

async function serveUntil(
  end: Promise<string>,
  hangUps: HangUps,
  keepHouse: () => void,
  daemon: Daemon,
  log: Log,
  environment: RunDaemonOptions["environment"],
): Promise<string> {
  const manager = serviceManager(environment, log);
  const timers = [every(housekeepingMs, keepHouse)];
  const watchdogMs = manager === null ? null : watchdogPeriodMs(environment, process.pid);
  if (watchdogMs !== null) timers.push(every(watchdogMs, () => manager?.notify("WATCHDOG=1")));
  hangUps.answer(() => {
    keepHouse();
    void daemon.hangUp();
  });
  const standing = (): string => `STATUS=${standingText(daemon.memcgSummary(), systemClock.wallMs())}`;
  manager?.notify("READY=1", standing());
  if (manager !== null) {
    daemon.onEvent(({ event }) => {
      if (restating.has(event)) manager.notify(standing());
    }, "but_targets");
  }
  const signal = await end;
  for (const timer of timers) timer.cancel();
  manager?.notify("STOPPING=1");
  manager?.[Symbol.dispose]();
  return signal;
}

/** Events after which the service manager's line says something else. */
const restating: ReadonlySet<string> = new Set(["memcg_run", "giveback", "paused", "resumed"]);

/** For `systemctl status`: `saved 62.0 MiB, next eviction about 14:02:10`. Local time. */
export function standingText(memcg: MemcgSummary, wallMs: number): string {
  if (memcg.disabled) return "eviction is disabled";
  const saved = memcg.dry_run ? "dry run" : `saved ${bytesText(memcg.saved_bytes)}`;
  const secs = memcg.next_eviction_secs;
  if (secs === null) return `${saved}, nothing to evict yet`;
  return `${saved}, next eviction about ${new Date(wallMs + secs * 1000).toTimeString().slice(0, 8)}`;
}

function serviceManager(environment: RunDaemonOptions["environment"], log: Log): ServiceManager | null {
  try {
    return ServiceManager.fromEnvironment(environment);
  } catch (error) {
    log.warn(messageOf(error));
    return null;
  }
}

/** Calls `act` again and again; one timer at a time. */
function every(periodMs: number, act: () => void): Timer {
  let timer = systemClock.after(periodMs, again);
  function again(): void {
    act();
    timer = systemClock.after(periodMs, again);
  }
  return { cancel: () => timer.cancel() };
}

/** Waits for all of them, but not longer: the kernel may hold a thread, and the end of the process frees it. */
async function endWithin(delayMs: number, ends: readonly Promise<unknown>[]): Promise<void> {
  const late = Promise.withResolvers<null>();
  const timer = systemClock.after(delayMs, () => late.resolve(null));
  await Promise.race([Promise.allSettled(ends), late.promise]);
  timer.cancel();
}
