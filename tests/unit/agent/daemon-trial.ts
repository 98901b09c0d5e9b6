/** A daemon with a real file, a clock that the test moves, and no feature that would need a kernel. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readBootSettings, readSettings } from "../../../src/agent/daemon/config-file.ts";
import { Daemon } from "../../../src/agent/daemon/daemon.ts";
import type { TimedEvent } from "../../../src/agent/events.ts";
import { isFault } from "../../../src/base/fault.ts";
import { Log } from "../../../src/base/log.ts";
import type { ControlSettings, SettingsOverrides } from "../../../src/config/schema.ts";
import { SteppedClock } from "./stepped-clock.ts";

const quietFlags: SettingsOverrides = { memcg: { disabled: true }, compact: { disabled: true } };
/** The kernel tells of a change well before. */
const toldMsMax = 2000;

export class DaemonTrial implements AsyncDisposable {
  readonly top = mkdtempSync(join(tmpdir(), "mem-agent-daemon-"));
  readonly path = join(this.top, "etc", "agent.toml");
  readonly logPath = join(this.top, "first.log");
  readonly clock = new SteppedClock();
  readonly events: TimedEvent[] = [];
  readonly followed: ControlSettings[] = [];
  #daemon: Daemon | null = null;

  constructor() {
    mkdirSync(join(this.top, "etc"));
  }

  /** @param meanwhile what happens to the file between its first reading and the start */
  async serve(text: string | null, flags: SettingsOverrides = {}, meanwhile: () => void = () => {}): Promise<Daemon> {
    if (text !== null) writeFileSync(this.path, text);
    const { clock, logPath } = this;
    const said = { ...quietFlags, ...flags, log: { file: logPath, ...flags.log } };
    const live = await readSettings(this.path, said, readBootSettings(this.top));
    meanwhile();
    const log = new Log({ ...live.settings.log, descriptor: 2, journal: false, clock });
    const options = { version: "1.0.0", file: this.path, dryRun: false, kernelRoot: this.top, clock, log };
    const daemon = new Daemon(options, live);
    this.#daemon = daemon;
    daemon.onEvent((event) => this.events.push(event));
    daemon.start((control) => this.followed.push(control));
    await clock.pass(0);
    return daemon;
  }

  /** Waits until the kernel has told of a change, then lets time pass. */
  async settled(ms = 1000): Promise<void> {
    const { clock } = this;
    const deadlineMs = performance.now() + toldMsMax;
    while (clock.nextMs === null && performance.now() < deadlineMs) await Bun.sleep(1);
    await Bun.sleep(5);
    await clock.pass(150);
    if (ms > 150) await clock.pass(ms - 150);
    await clock.pass(150);
  }

  /** Lines of the log like this one. */
  logged(pattern: RegExp): number {
    return readFileSync(this.logPath, "utf8")
      .split("\n")
      .filter((line) => pattern.test(line)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon?.stop();
    rmSync(this.top, { recursive: true });
  }
}

/** Value and origin of a setting in force. */
export function inForce(daemon: Daemon, key: string, rule: string | null = null): readonly [unknown, string] | null {
  const found = daemon.configShow().find((one) => one.key === key && one.rule === rule);
  return found === undefined ? null : [found.value, found.origin];
}

export async function problemsOf(work: Promise<unknown>): Promise<readonly string[]> {
  try {
    await work;
  } catch (error) {
    if (isFault(error)) return error.problems;
    throw error;
  }
  return [];
}

export const good = "[memcg]\nperiod_secs = 300\n";
export const bad = '[memcg]\nperiod_secs = 0\nswapp = true\n\n[compact]\norder = "x"\n';

export function problemsOfBad(path: string): string[] {
  return [
    `${path}:2:1: memcg.period_secs: 0 is too small; allowed: a whole number from 1 to 86400; files and flags take "10m" too`,
    `${path}:3:1: memcg.swapp: `,
    `${path}:6:1: compact.order: `,
  ];
}
