/** A daemon that only remembers: enough for the socket to be tried without a kernel. */
import { Events, type AgentEvent } from "../../../src/agent/events.ts";
import type { GivebackRequest } from "../../../src/agent/giveback.ts";
import type { ChangeAnswer, DaemonControl, PauseAnswer } from "../../../src/agent/control.ts";
import type {
  AgentStatus,
  CompactRunReport,
  CompactStatus,
  HistoryStatus,
  GivebackReport,
  MemcgRunReport,
  MemcgStatus,
  TargetStatus,
} from "../../../src/agent/status.ts";
import { Fault } from "../../../src/base/fault.ts";
import { defaultSettings } from "../../../src/config/schema.ts";
import { noEnds } from "../../../src/core/reason.ts";

const mebi = 1024 * 1024;

export function memcgReport(report: Partial<MemcgRunReport> = {}): MemcgRunReport {
  return {
    kind: "memcg",
    run: 3,
    dry_run: false,
    started: "2026-01-02T03:04:05.000Z",
    wall_secs: 1.5,
    cpu_secs: 0.25,
    targets: 2,
    aged: 2,
    aged_before: { targets: 0, within_secs: null },
    skipped: 0,
    evicted_bytes: { anon_bytes: 0, file_bytes: 64 * mebi },
    would_evict_bytes: null,
    saved_bytes: 62 * mebi,
    batches: 4,
    ends: { ...noEnds(), nothing_cold: 2 },
    top: [],
    cold_by_age: [],
    ...report,
  };
}

export function target(path: string, changes: Partial<TargetStatus> = {}): TargetStatus {
  const { cgroups: _, ...settings } = defaultSettings.memcg;
  return {
    path,
    node: 0,
    id: "7",
    generations: [
      { seq: 1, age_secs: 2000, anon_bytes: 4 * mebi, file_bytes: 60 * mebi },
      { seq: 2, age_secs: 700, anon_bytes: 1 * mebi, file_bytes: 8 * mebi },
      { seq: 3, age_secs: 30, anon_bytes: 2 * mebi, file_bytes: 16 * mebi },
      { seq: 4, age_secs: 0.5, anon_bytes: 0, file_bytes: 0 },
    ],
    size_bytes: 91 * mebi,
    cold_bytes: { anon_bytes: 4 * mebi, file_bytes: 60 * mebi },
    candidate_bytes: 60 * mebi,
    candidate_age_secs: 700,
    why_not: null,
    next_eviction_secs: 120,
    settings,
    rule: null,
    pressure_source: path,
    pressure_percent: 0.5,
    runs: 3,
    skips: 1,
    agings: 5,
    evictions: 2,
    evicted_bytes: { anon_bytes: 0, file_bytes: 64 * mebi },
    last_evicted_bytes: { anon_bytes: 0, file_bytes: 32 * mebi },
    refaulted_bytes: 2 * mebi,
    saved_bytes: 62 * mebi,
    sit_out: 0,
    pace: { period_secs: 40, idle: false, proofs: 1, on_trial: true, rhythm_secs: null },
    last_end: "nothing_cold",
    ends: { ...noEnds(), nothing_cold: 3, pressure: 1 },
    last_error: null,
    next_run_secs: 120,
    ...changes,
  };
}

export function memcgStatus(targets: readonly TargetStatus[] = [target("/a")]): MemcgStatus {
  return {
    disabled: false,
    dry_run: false,
    backend: "lru_gen",
    backend_why: "lru_gen is there",
    running: false,
    runs: 3,
    targets_count: targets.length,
    evicted_bytes: { anon_bytes: 0, file_bytes: 64 * mebi },
    refaulted_bytes: 2 * mebi,
    saved_bytes: 62 * mebi,
    saved_byte_seconds: 620 * mebi,
    cold_bytes: { anon_bytes: 4 * mebi, file_bytes: 60 * mebi },
    pressure_percent: 0.5,
    ends: { ...noEnds(), nothing_cold: 3, pressure: 1 },
    ended: [
      {
        path: "/a.slice",
        cgroups: 3,
        file_bytes: 12 * mebi,
        evicted_bytes: 40 * mebi,
        lost_bytes: 0,
        refaulted_bytes: 0,
        evictions: 2,
        sit_out: 0,
        last_end: "fresh",
        why: "too much of it ended only a moment ago",
        last_error: null,
      },
    ],
    last_run: memcgReport(),
    next_run_secs: 120,
    next_eviction_secs: 120,
    candidates: { bytes: 60 * mebi, targets: 1, youngest_age_secs: 700 },
    why_not: { ...noEnds(), nothing_cold: 1, pressure: 1 },
    refault_source: "refaults",
    free: { free_bytes: 512 * mebi, order_bytes: 100 * mebi, reportable_bytes: 100 * mebi },
    targets,
  };
}

export const compactReport: CompactRunReport = {
  kind: "compact",
  run: 2,
  started: "2026-01-02T03:04:05.000Z",
  decision: "fragmented",
  why: "2,048 more pages lie in small blocks",
  compacted: true,
  end: "done",
  wall_secs: 0.75,
  work: { scanned_bytes: 900 * mebi, isolated_bytes: 310 * mebi },
  before: { free_bytes: 512 * mebi, order_bytes: 100 * mebi, reportable_bytes: 100 * mebi },
  after: { free_bytes: 512 * mebi, order_bytes: 400 * mebi, reportable_bytes: 400 * mebi },
  pressure_percent: 0.1,
  stall: null,
  error: null,
};

export function historyStatus(): HistoryStatus {
  const minute = {
    start: "2026-01-02T03:04:00.000Z",
    runs: 3,
    evicted_bytes: 64 * mebi,
    refaulted_bytes: 2 * mebi,
    saved_bytes: 62 * mebi,
    stall_percent: 0.3,
    compactions: 0,
    held_back: "refaults",
  } as const;
  return { minutes: [minute, { ...minute, start: "2026-01-02T03:59:00.000Z", compactions: 1, held_back: null }] };
}
export const givebackReport: GivebackReport = {
  kind: "giveback",
  started: "2026-01-02T03:04:05.000Z",
  within_secs: 2,
  wall_secs: 1.25,
  freed_bytes: { anon_bytes: 0, file_bytes: 640 * mebi, slab_bytes: 12 * mebi },
  before: { free_bytes: 512 * mebi, order_bytes: 100 * mebi, reportable_bytes: 100 * mebi },
  after: { free_bytes: 1160 * mebi, order_bytes: 1000 * mebi, reportable_bytes: 1000 * mebi },
  left: [
    { why: "in_use", bytes: 150 * mebi, targets: 4 },
    { why: "protected", bytes: 64 * mebi, targets: 1 },
  ],
  took_over_run: true,
  agings: 6,
  batches: 31,
  slab: "done",
  compaction: { end: "done", why: "somebody asked for it" },
  problems: [],
};

export function compactStatus(): CompactStatus {
  return {
    disabled: false,
    dry_run: false,
    running: false,
    settings: defaultSettings.compact,
    runs: 2,
    compactions: 1,
    runs_since_compaction: 0,
    decisions: {
      forced: 0,
      fragmented: 1,
      free_fell: 0,
      asked: 0,
      below_threshold: 1,
      pressure: 0,
      disabled: 0,
      busy: 0,
    },
    ends: { done: 1, pressure: 0, timeout: 0, stopped: 0, failed: 0 },
    last_run: compactReport,
    last_compaction: compactReport,
    free: compactReport.after,
    evicted_since_compaction_bytes: 8 * mebi,
    wanted: null,
    child_pid: null,
    reporting_order: 9,
    next_run_secs: 300,
  };
}

export function agentStatus(changes: Partial<AgentStatus> = {}): AgentStatus {
  const { free: _free, targets: _targets, ...memcg } = memcgStatus();
  return {
    version: "1.2.3",
    pid: 42,
    started: "2026-01-02T03:04:05.000Z",
    health: "ok",
    warnings: [],
    paused_until: null,
    memcg,
    compact: compactStatus(),
    config: {
      file: "/etc/mem-agent.toml",
      loaded: "2026-01-02T03:04:05.000Z",
      problems: [],
      addr: "unix:///run/mem-agent.sock",
    },
    machine: { name: "web-1", hostname: "guest", machine_id: "0123456789abcdef0123456789abcdef" },
    vsock: { address: "vsock://:9469", peers: [2], write: false, listening: true, accepted: 3, refused: 1 },
    log_level: "info",
    own: {
      cpu_user_secs: 1.25,
      cpu_system_secs: 0.75,
      charged_bytes: 11 * mebi,
      private_bytes: 4 * mebi,
      resident_bytes: 16 * mebi,
      threads: 5,
      uptime_secs: 3600,
    },
    kernel: { release: "6.12.0", cgroup_version: 2, pressure: true, page_bytes: 4096, lru_gen_mask: "0x0007" },
    ...changes,
  };
}

export interface Ask {
  readonly ask: string;
  readonly with: unknown;
}

export class FakeControl implements DaemonControl {
  readonly version = "1.2.3";
  /** Everything that was asked of it, in order. */
  readonly asks: Ask[] = [];
  readonly events = new Events(() => Date.parse("2026-01-02T03:04:05Z"));
  /** Thrown by the next request that changes or runs something. */
  fault: unknown = null;
  runSecs = 0;

  #do(ask: string, value: unknown): void {
    const { fault } = this;
    this.fault = null;
    if (fault !== null) throw fault;
    if (this.asks.length < 100_000) this.asks.push({ ask, with: value });
  }
  async #change(ask: string, change: unknown, options: unknown): Promise<ChangeAnswer> {
    if (typeof change !== "object" || change === null || !("period_secs" in change)) {
      throw new Fault("invalid", "cannot change settings: 2 problems", { problems: ["period_secs: missing", "more"] });
    }
    this.#do(ask, { change, options });
    await Promise.resolve();
    return { changes: [{ key: "memcg.period_secs", from: 600, to: change.period_secs }], saved: null };
  }

  health(): AgentStatus["health"] {
    return this.status().health;
  }
  status(): AgentStatus {
    return agentStatus();
  }
  memcgStatus(): MemcgStatus {
    return memcgStatus();
  }
  compactStatus(): CompactStatus {
    return compactStatus();
  }

  history(): HistoryStatus {
    return historyStatus();
  }
  memcgSet(change: unknown, options: { save: boolean }): Promise<ChangeAnswer> {
    return this.#change("memcgSet", change, options);
  }
  compactSet(change: unknown, options: { save: boolean }): Promise<ChangeAnswer> {
    return this.#change("compactSet", change, options);
  }
  async logLevelSet(level: unknown, options: { save: boolean }): Promise<ChangeAnswer> {
    if (level !== "debug") throw new Fault("invalid", "cannot change the log level: it must be debug");
    this.#do("logLevelSet", { level, options });
    return { changes: [{ key: "log.level", from: "info", to: level }], saved: options.save ? "/etc/x.toml" : null };
  }
  configShow() {
    return [{ key: "memcg.swap", rule: null, value: false, origin: "default" as const }];
  }
  async reload(): Promise<ChangeAnswer> {
    this.#do("reload", null);
    return { changes: [], saved: null };
  }
  async run(what: "memcg" | "compact", options: { dryRun: boolean }): Promise<MemcgRunReport | CompactRunReport> {
    this.#do("run", { what, options });
    if (this.runSecs > 0) await Bun.sleep(this.runSecs * 1000);
    return what === "memcg" ? memcgReport({ dry_run: options.dryRun }) : compactReport;
  }
  async giveback(request: GivebackRequest): Promise<GivebackReport> {
    this.#do("giveback", request);
    await Promise.resolve();
    return givebackReport;
  }
  pause(secs: number): PauseAnswer {
    this.#do("pause", secs);
    return { paused_until: secs === 0 ? null : "2026-01-02T05:04:05.000Z" };
  }
  onEvent(listener: Parameters<Events["on"]>[0]): () => void {
    return this.events.on(listener);
  }
  emit(event: AgentEvent): void {
    this.events.emit(event);
  }
}
