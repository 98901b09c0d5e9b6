/** A daemon that is not one: it answers on a real socket with made-up but believable numbers, and notes what is asked. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Events, type TimedEvent } from "../../src/agent/events.ts";
import type { GivebackRequest } from "../../src/agent/giveback.ts";
import type { ChangeAnswer, DaemonControl, PauseAnswer } from "../../src/agent/control.ts";
import type { SettingInForce } from "../../src/config/in-force.ts";
import type {
  AgentStatus,
  CompactStatus,
  HistoryStatus,
  GivebackReport,
  MemcgRunReport,
  MemcgStatus,
  RunReport,
  TargetStatus,
} from "../../src/agent/status.ts";
import { serveSocket } from "../../src/api/server.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Fault } from "../../src/base/fault.ts";
import { quietLog } from "../../src/base/log.ts";
import { version } from "../../src/cli/version.ts";
import { parseCompactChange, parseLogLevel, parseMemcgChange, type ParsedChange } from "../../src/config/change.ts";
import { problemsFault } from "../../src/config/problems.ts";
import { noEnds } from "../../src/core/reason.ts";
import {
  agentStatus,
  compactReport,
  compactStatus,
  givebackReport,
  historyStatus,
  memcgReport,
  memcgStatus,
  target,
} from "../unit/api/fake-control.ts";

const mebi = 1024 * 1024;

export const targets: readonly TargetStatus[] = [
  target("/system.slice/docker-4f9a1c.scope", {
    size_bytes: 3 * 1024 * mebi,
    cold_bytes: { anon_bytes: 100 * mebi, file_bytes: 900 * mebi },
    evicted_bytes: { anon_bytes: 0, file_bytes: 812 * mebi },
    last_end: "pressure",
    pressure_percent: 3.2,
    generations: [
      { seq: 11, age_secs: 86_400, anon_bytes: 100 * mebi, file_bytes: 900 * mebi },
      { seq: 12, age_secs: 3600, anon_bytes: 300 * mebi, file_bytes: 700 * mebi },
      { seq: 13, age_secs: 1200, anon_bytes: 500 * mebi, file_bytes: 300 * mebi },
      { seq: 14, age_secs: 5, anon_bytes: 200 * mebi, file_bytes: 72 * mebi },
    ],
  }),
  target("/user.slice/user-1000.slice/user@1000.service/app.slice/a quite long name, with blanks.scope", {
    size_bytes: 300 * mebi,
    cold_bytes: { anon_bytes: 0, file_bytes: 10 * mebi },
    evicted_bytes: { anon_bytes: 0, file_bytes: 20 * mebi },
  }),
  target("/weird/\u001b[31mred\n数据", {
    size_bytes: 40 * mebi,
    cold_bytes: { anon_bytes: 0, file_bytes: 0 },
    evicted_bytes: { anon_bytes: 0, file_bytes: 0 },
    generations: null,
    last_end: null,
    rule: "/weird/**",
  }),
  target("/init.scope", {
    node: 1,
    size_bytes: 8 * mebi,
    cold_bytes: { anon_bytes: 0, file_bytes: 1 * mebi },
    last_end: "error",
    last_error: "cannot write lru_gen: EIO",
  }),
];

/** What was asked of the daemon: the route's name, and what came with it. */
export interface Asked {
  readonly ask: string;
  readonly with: unknown;
}

export class FakeDaemon implements DaemonControl {
  readonly version: string = version;
  readonly asked: Asked[] = [];
  readonly events = new Events(() => Date.parse("2026-01-02T03:04:05Z"));
  /** The file has a problem, and a warning says so. */
  wrongFile = false;
  /** A run is under way: another is refused. */
  busy = false;

  health(): AgentStatus["health"] {
    return this.status().health;
  }

  status(): AgentStatus {
    if (!this.wrongFile) return agentStatus({ version });
    return agentStatus({
      version,
      health: "warning",
      warnings: [
        {
          key: "config_file",
          since: "2026-01-02T03:04:05.000Z",
          message: "settings file refused, the settings in force stay: memcg.swap: 3 is not true or false",
          remedy: "mem-agent config check /etc/mem-agent.toml",
        },
      ],
      config: {
        file: "/etc/mem-agent.toml",
        loaded: null,
        problems: ["/etc/mem-agent.toml:3:1: memcg.swap: 3 is not true or false"],
        addr: "unix:///run/mem-agent.sock",
      },
    });
  }

  memcgStatus(): MemcgStatus {
    return memcgStatus(targets);
  }

  compactStatus(): CompactStatus {
    return compactStatus();
  }

  history(): HistoryStatus {
    return historyStatus();
  }

  async #apply(ask: string, parsed: ParsedChange, save: boolean): Promise<ChangeAnswer> {
    if (parsed.problems.length > 0) throw problemsFault("change settings", parsed.problems);
    this.asked.push({ ask, with: { ...parsed.change, save } });
    return Promise.resolve({
      changes: [{ key: "a.key", from: 600, to: 7 }],
      saved: save ? "/etc/mem-agent.toml" : null,
    });
  }

  memcgSet(change: unknown, { save }: { save: boolean }): Promise<ChangeAnswer> {
    return this.#apply("memcgSet", parseMemcgChange(change), save);
  }

  compactSet(change: unknown, { save }: { save: boolean }): Promise<ChangeAnswer> {
    return this.#apply("compactSet", parseCompactChange(change), save);
  }

  logLevelSet(level: unknown, { save }: { save: boolean }): Promise<ChangeAnswer> {
    return this.#apply("logLevelSet", parseLogLevel(level), save);
  }

  async reload(): Promise<ChangeAnswer> {
    if (this.wrongFile) throw new Fault("invalid", "cannot use the file", { problems: this.status().config.problems });
    return Promise.resolve({ changes: [], saved: null });
  }

  configShow(): SettingInForce[] {
    return [
      { key: "memcg.swap", rule: null, value: false, origin: "default" },
      { key: "memcg.period_secs", rule: null, value: 7, origin: "socket" },
      { key: "memcg.disabled", rule: "/weird/**", value: true, origin: "file" },
    ];
  }

  async run(what: "memcg" | "compact", options: { dryRun: boolean }): Promise<RunReport> {
    if (this.busy) throw new Fault("busy", "cannot run memcg: a run is under way; wait for its end");
    this.asked.push({ ask: "run", with: { what, ...options } });
    return Promise.resolve(what === "memcg" ? runReport(options.dryRun) : compactReport);
  }

  async giveback(request: GivebackRequest): Promise<GivebackReport> {
    if (this.busy) throw new Fault("busy", "cannot give back: a giveback is already under way; wait for it");
    this.asked.push({ ask: "giveback", with: request });
    return Promise.resolve(givebackReport);
  }

  pause(secs: number): PauseAnswer {
    this.asked.push({ ask: "pause", with: secs });
    return { paused_until: secs === 0 ? null : "2026-01-02T05:04:05.000Z" };
  }
  onEvent(listener: (event: TimedEvent) => void): () => void {
    return this.events.on(listener);
  }
}

function runReport(dryRun: boolean): MemcgRunReport {
  const bytes = { anon_bytes: 0, file_bytes: 64 * mebi };
  const none = { anon_bytes: 0, file_bytes: 0 };
  return memcgReport({
    dry_run: dryRun,
    evicted_bytes: dryRun ? none : bytes,
    would_evict_bytes: dryRun ? bytes : null,
    ends: { ...noEnds(), nothing_cold: 3, pressure: 1 },
    top: [
      {
        path: "/system.slice/docker-4f9a1c.scope",
        node: 0,
        evicted_bytes: dryRun ? none : bytes,
        would_evict_bytes: dryRun ? bytes : null,
        end: "nothing_cold",
      },
    ],
    cold_by_age: dryRun
      ? [
          { age_secs: 3600, bytes: 16 * mebi },
          { age_secs: 600, bytes: 64 * mebi },
        ]
      : [],
  });
}

export interface ServedDaemon extends AsyncDisposable {
  readonly path: string;
  readonly daemon: FakeDaemon;
}

export async function serveFakeDaemon(daemon: FakeDaemon = new FakeDaemon()): Promise<ServedDaemon> {
  const directory = mkdtempSync(join(tmpdir(), "mem-agent-cli-"));
  const path = join(directory, "mem-agent.sock");
  const server = await serveSocket({ path, daemon, log: quietLog, clock: systemClock });
  return {
    path,
    daemon,
    async [Symbol.asyncDispose]() {
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
