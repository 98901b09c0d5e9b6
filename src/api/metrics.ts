/**
 * Metrics for Prometheus, each declared once: the text, the reference, the dashboard and the alert rules derive from
 * this table. Names follow https://prometheus.io/docs/practices/naming/: base units, `_total` for counters, ratios.
 *
 * The number of series is bounded: the largest targets have series of their own, all others are summed under
 * `cgroup="other"`, and so is what cgroups evicted that are gone. About ten series a target.
 */
import type { TargetStatus } from "../agent/status.ts";
import { escapeControls } from "../base/log-line.ts";
import {
  alone,
  byKey,
  byTarget,
  flag,
  freeBytes,
  idleBytes,
  type Labels,
  type Metric,
  type MetricSources,
  other,
  ratio,
  shownTargetsMax,
  unixSecs,
  type View,
} from "./metric-samples.ts";

const perTarget = ["cgroup", "node"] as const;

export const metrics = {
  buildInfo: {
    name: "mem_agent_build_info",
    type: "gauge",
    help: "Always 1, with the version of the agent, the kernel and how cold memory is found.",
    labels: ["version", "kernel", "backend"],
    collect: ({ agent, memcg }) => [
      [{ version: agent.version, kernel: agent.kernel.release, backend: memcg.backend ?? "none" }, 1],
    ],
  },
  machineInfo: {
    name: "mem_agent_machine_info",
    type: "gauge",
    help: "Always 1, with the name of the machine, its host name and its machine id.",
    labels: ["name", "hostname", "machine_id"],
    collect: ({ agent: { machine } }) => [
      [{ name: machine.name, hostname: machine.hostname ?? "", machine_id: machine.machine_id ?? "" }, 1],
    ],
  },
  startTime: {
    name: "mem_agent_start_time_seconds",
    type: "gauge",
    help: "When the agent started, in seconds since the epoch.",
    labels: [],
    collect: ({ agent }) => alone(unixSecs(agent.started)),
  },
  evictedBytes: {
    name: "mem_agent_evicted_bytes_total",
    type: "counter",
    help: "Bytes evicted since the start, by cgroup, node and type of page.",
    labels: [...perTarget, "type"],
    collect: (view) =>
      byTarget(view, {
        of: ({ evicted_bytes: { anon_bytes, file_bytes } }) => ({ anon: anon_bytes, file: file_bytes }),
        all: ({ memcg: { evicted_bytes } }) => ({ anon: evicted_bytes.anon_bytes, file: evicted_bytes.file_bytes }),
      }),
  },
  savedBytes: {
    name: "mem_agent_saved_bytes",
    type: "gauge",
    help: "Bytes that are away now: evicted, and not read back by the cgroup they were taken from.",
    labels: [],
    collect: ({ memcg }) => alone(memcg.saved_bytes),
  },
  savedByteSeconds: {
    name: "mem_agent_saved_byte_seconds_total",
    type: "counter",
    help: "The integral of mem_agent_saved_bytes over time, in bytes times seconds.",
    labels: [],
    collect: ({ memcg }) => alone(memcg.saved_byte_seconds),
  },
  refaultedBytes: {
    name: "mem_agent_refaulted_bytes_total",
    type: "counter",
    help: "Bytes that were read back by the cgroup they had been evicted from.",
    labels: perTarget,
    collect: (view) =>
      byTarget(view, {
        of: ({ refaulted_bytes }) => ({ "": refaulted_bytes }),
        all: ({ memcg }) => ({ "": memcg.refaulted_bytes }),
      }),
  },
  sizeBytes: {
    name: "mem_agent_target_size_bytes",
    type: "gauge",
    help: "Bytes of a cgroup on a node that the kernel may reclaim.",
    labels: perTarget,
    collect: (view) => byTarget(view, { of: ({ size_bytes }) => ({ "": size_bytes }) }),
  },
  coldBytes: {
    name: "mem_agent_target_cold_bytes",
    type: "gauge",
    help: "Bytes in the oldest of four generations, or inactive with memory_reclaim: what the next run may evict.",
    labels: [...perTarget, "type"],
    collect: (view) =>
      byTarget(view, { of: ({ cold_bytes }) => ({ anon: cold_bytes.anon_bytes, file: cold_bytes.file_bytes }) }),
  },
  pressureRatio: {
    name: "mem_agent_target_pressure_ratio",
    type: "gauge",
    help: "Share of the last waiting period in which a cgroup stalled, 0 to 1; under other, the largest of the rest.",
    labels: perTarget,
    collect: (view) =>
      byTarget(view, { of: ({ pressure_percent }) => ({ "": ratio(pressure_percent) }), together: "largest" }),
  },
  targetRuns: {
    name: "mem_agent_target_runs_total",
    type: "counter",
    help: "Runs that examined a cgroup on a node.",
    labels: perTarget,
    collect: (view) => byTarget(view, { of: ({ runs }) => ({ "": runs }) }),
  },
  targetSkips: {
    name: "mem_agent_target_skips_total",
    type: "counter",
    help: "Runs that were skipped because of the pressure of the waiting period.",
    labels: perTarget,
    collect: (view) => byTarget(view, { of: ({ skips }) => ({ "": skips }) }),
  },
  targetAgings: {
    name: "mem_agent_target_agings_total",
    type: "counter",
    help: "Agings of a cgroup on a node.",
    labels: perTarget,
    collect: (view) => byTarget(view, { of: ({ agings }) => ({ "": agings }) }),
  },
  targetEnds: {
    name: "mem_agent_target_ends_total",
    type: "counter",
    help: "Targets of runs by the reason for which they ended.",
    labels: ["reason"],
    collect: ({ memcg }) => byKey("reason", memcg.ends),
  },
  endedBytes: {
    name: "mem_agent_ended_bytes",
    type: "gauge",
    help: "Page cache that removed cgroups left behind, by the living cgroup that it can be evicted through.",
    labels: ["cgroup"],
    collect: ({ memcg: { ended } }) => ended.map(({ path, file_bytes }) => [{ cgroup: path }, file_bytes]),
  },
  endedEvictedBytes: {
    name: "mem_agent_ended_evicted_bytes_total",
    type: "counter",
    help: "Bytes of it that were evicted; part of mem_agent_evicted_bytes_total under other.",
    labels: ["cgroup"],
    collect: ({ memcg: { ended } }) => ended.map(({ path, evicted_bytes }) => [{ cgroup: path }, evicted_bytes]),
  },
  idleBytes: {
    name: "mem_agent_idle_bytes",
    type: "gauge",
    help: "Bytes that have been untouched for at least this long, over all cgroups; longer ages are within the shorter ones.",
    labels: ["min_age_seconds", "type"],
    collect: idleBytes,
  },
  targets: {
    name: "mem_agent_targets",
    type: "gauge",
    help: "Cgroups that are followed, each node counted by itself.",
    labels: [],
    collect: ({ memcg }) => alone(memcg.targets_count),
  },
  paused: {
    name: "mem_agent_paused",
    type: "gauge",
    help: "1 while the agent is paused and runs nothing by itself.",
    labels: [],
    collect: ({ agent }) => alone(flag(agent.paused_until !== null)),
  },
  candidateBytes: {
    name: "mem_agent_candidate_bytes",
    type: "gauge",
    help: "Bytes untouched since the last aging, which may be evicted once they are old enough.",
    labels: [],
    collect: ({ memcg }) => alone(memcg.candidates.bytes),
  },
  heldBack: {
    name: "mem_agent_targets_held_back",
    type: "gauge",
    help: "Targets by what keeps them from giving more now.",
    labels: ["reason"],
    collect: ({ memcg }) => byKey("reason", memcg.why_not),
  },
  memcgRuns: {
    name: "mem_agent_memcg_runs_total",
    type: "counter",
    help: "Runs that aged and evicted.",
    labels: [],
    collect: ({ memcg }) => alone(memcg.runs),
  },
  memcgRunning: {
    name: "mem_agent_memcg_running",
    type: "gauge",
    help: "1 while a run is under way.",
    labels: [],
    collect: ({ memcg }) => alone(flag(memcg.running)),
  },
  memcgLastRun: {
    name: "mem_agent_memcg_last_run_duration_seconds",
    type: "gauge",
    help: "How long the last run took.",
    labels: [],
    collect: ({ memcg }) => alone(memcg.last_run?.wall_secs ?? null),
  },
  memcgNextRun: {
    name: "mem_agent_memcg_next_run_seconds",
    type: "gauge",
    help: "Seconds until the next run is due, 0 when it is overdue; absent while no run is planned.",
    labels: [],
    collect: ({ memcg }) => alone(memcg.next_run_secs),
  },
  memcgNextEviction: {
    name: "mem_agent_memcg_next_eviction_seconds",
    type: "gauge",
    help: "Seconds until a run may evict something, if the pages that are untouched now stay untouched; absent while there are none.",
    labels: [],
    collect: ({ memcg }) => alone(memcg.next_eviction_secs),
  },
  enabled: {
    name: "mem_agent_feature_enabled",
    type: "gauge",
    help: "1 for each feature that is enabled.",
    labels: ["feature"],
    collect: ({ memcg, compact }) => [
      [{ feature: "memcg" }, flag(!memcg.disabled)],
      [{ feature: "memcg_evict" }, flag(!memcg.disabled && !memcg.dry_run)],
      [{ feature: "compact" }, flag(!compact.disabled)],
    ],
  },
  compactRuns: {
    name: "mem_agent_compact_runs_total",
    type: "counter",
    help: "Compaction runs by what was decided.",
    labels: ["decision"],
    collect: ({ compact }) => byKey("decision", compact.decisions),
  },
  compactions: {
    name: "mem_agent_compactions_total",
    type: "counter",
    help: "Compactions by how they ended.",
    labels: ["end"],
    collect: ({ compact }) => byKey("end", compact.ends),
  },
  compactLast: {
    name: "mem_agent_compact_last_duration_seconds",
    type: "gauge",
    help: "How long the last compaction took.",
    labels: [],
    collect: ({ compact }) => alone(compact.last_compaction?.wall_secs ?? null),
  },
  compactNextRun: {
    name: "mem_agent_compact_next_run_seconds",
    type: "gauge",
    help: "Seconds until the next compaction run is due, 0 when it is overdue; absent while no run is planned.",
    labels: [],
    collect: ({ compact }) => alone(compact.next_run_secs),
  },
  freeBytes: {
    name: "mem_agent_free_bytes",
    type: "gauge",
    help: "Free bytes in blocks of any size, of at least the wanted order, and of the order that is reported to the host.",
    labels: ["blocks"],
    collect: freeBytes,
  },
  warnings: {
    name: "mem_agent_warnings",
    type: "gauge",
    help: "Active warnings.",
    labels: [],
    collect: ({ agent }) => alone(agent.warnings.length),
  },
  warning: {
    name: "mem_agent_warning",
    type: "gauge",
    help: "1 for each active warning; its text is in mem-agent status.",
    labels: ["warning"],
    collect: ({ agent }) => agent.warnings.map(({ key }) => [{ warning: key }, 1] as const),
  },
  configGood: {
    name: "mem_agent_config_last_reload_successful",
    type: "gauge",
    help: "1 when the configuration file was good when it was last read.",
    labels: [],
    collect: ({ agent }) => alone(flag(agent.config.problems.length === 0)),
  },
  configLoaded: {
    name: "mem_agent_config_last_reload_success_timestamp_seconds",
    type: "gauge",
    help: "When the configuration file was last applied, in seconds since the epoch.",
    labels: [],
    collect: ({ agent }) => alone(unixSecs(agent.config.loaded)),
  },
  vsockConnections: {
    name: "mem_agent_vsock_connections_total",
    type: "counter",
    help: "Connections over vsock: accepted, or closed because their context id is not in vsock_peers.",
    labels: ["outcome"],
    collect: ({ agent: { vsock } }) =>
      vsock.address === null
        ? []
        : [
            [{ outcome: "accepted" }, vsock.accepted],
            [{ outcome: "refused" }, vsock.refused],
          ],
  },
  cpu: {
    name: "mem_agent_cpu_seconds_total",
    type: "counter",
    help: "CPU time of the agent itself.",
    labels: ["mode"],
    collect: ({ agent: { own } }) => [
      [{ mode: "user" }, own.cpu_user_secs],
      [{ mode: "system" }, own.cpu_system_secs],
    ],
  },
  memory: {
    name: "mem_agent_memory_bytes",
    type: "gauge",
    help: "Memory of the agent itself: charged for it by the guest's kernel, private to it, and resident with what the kernel can drop.",
    labels: ["kind"],
    collect: ({ agent: { own } }) => [
      [{ kind: "charged" }, own.charged_bytes],
      [{ kind: "private" }, own.private_bytes],
      [{ kind: "resident" }, own.resident_bytes],
    ],
  },
  threads: {
    name: "mem_agent_threads",
    type: "gauge",
    help: "Threads of the agent itself.",
    labels: [],
    collect: ({ agent }) => alone(agent.own.threads),
  },
} as const satisfies Record<string, Metric>;

export const metricList: readonly Metric[] = Object.values(metrics);

/** The table of the reference, in Markdown. */
export function metricsTable(): string {
  const rows = metricList.map(({ name, type, labels, help }) => {
    const withLabels = labels.length === 0 ? name : `${name}{${labels.join(",")}}`;
    return `| \`${withLabels}\` | ${type} | ${help} |`;
  });
  return ["| metric | type | meaning |", "|---|---|---|", ...rows, ""].join("\n");
}

function weight({ evicted_bytes, size_bytes }: TargetStatus): number {
  return evicted_bytes.anon_bytes + evicted_bytes.file_bytes + size_bytes;
}

/** The largest targets, and the others. Two of one name and node would make one series twice: the second is an other. */
function split(targets: readonly TargetStatus[]): Pick<View, "shown" | "rest"> {
  const shown = new Map<string, TargetStatus>();
  const rest: TargetStatus[] = [];
  for (const target of targets.toSorted((left, right) => weight(right) - weight(left))) {
    const key = `${target.node} ${target.path}`;
    if (shown.size < shownTargetsMax && !shown.has(key)) shown.set(key, target);
    else rest.push(target);
  }
  return { shown: [...shown.values()], rest };
}

function labelValue(value: string): string {
  return escapeControls(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"');
}

/** `{cgroup="/a",node="0"}`, or nothing without labels. */
function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${labelValue(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/**
 * Makes the text. It remembers one thing from scrape to scrape: a counter never falls. What is summed under "other"
 * would, when a cgroup grows into a series of its own, and Prometheus would take that for a restart and count all again.
 */
export class MetricsText {
  readonly #highest = new Map<string, number>();

  of(sources: MetricSources): string {
    const view: View = { ...sources, ...split(sources.memcg.targets) };
    let text = "";
    for (const metric of metricList) text += this.#metricText(metric, view);
    return text;
  }

  #metricText(metric: Metric, view: View): string {
    let text = "";
    for (const [labels, value] of metric.collect(view)) {
      if (value === null || !Number.isFinite(value)) continue;
      const series = metric.name + labelsText(labels);
      const settled =
        metric.type === "counter" && labels["cgroup"] === other ? this.#neverFalling(series, value) : value;
      text += `${series} ${settled}\n`;
    }
    return text === "" ? "" : `# HELP ${metric.name} ${metric.help}\n# TYPE ${metric.name} ${metric.type}\n${text}`;
  }

  #neverFalling(series: string, value: number): number {
    const highest = Math.max(value, this.#highest.get(series) ?? 0);
    this.#highest.set(series, highest);
    return highest;
  }
}
