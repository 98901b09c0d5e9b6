/** A Grafana dashboard over the names of the metrics table, to be imported as JSON. */
import type { Metric } from "./metric-samples.ts";
import { metrics } from "./metrics.ts";

interface Query {
  readonly expr: string;
  /** The legend of each line; Grafana fills in labels. */
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  readonly text: string;
  readonly type: "timeseries" | "stat" | "table";
  readonly unit: "bytes" | "Bps" | "percentunit" | "s" | "short" | "cores";
  /** Width of 24 columns. */
  readonly width: number;
  readonly stacked?: boolean;
  readonly queries: readonly Query[];
}

const scope = 'instance=~"$instance"';

function series(key: keyof typeof metrics, ...matchers: string[]): string {
  const metric: Metric = metrics[key];
  return `${metric.name}{${[scope, ...matchers].join(",")}}`;
}

const panels: readonly Panel[] = [
  {
    title: "Given back",
    text: "Bytes evicted over the chosen time.",
    type: "stat",
    unit: "bytes",
    width: 6,
    queries: [{ expr: `sum(increase(${series("evictedBytes")}[$__range]))`, legend: "evicted" }],
  },
  {
    title: "Came back",
    text: "Share of the evicted bytes that were read again over the chosen time.",
    type: "stat",
    unit: "percentunit",
    width: 6,
    queries: [
      {
        expr: `sum(increase(${series("refaultedBytes")}[$__range])) / sum(increase(${series("evictedBytes")}[$__range]))`,
        legend: "refaulted",
      },
    ],
  },
  {
    title: "Warnings",
    text: "Warnings that stand; mem-agent status shows them with what to do.",
    type: "stat",
    unit: "short",
    width: 6,
    queries: [{ expr: `sum(${series("warnings")})`, legend: "warnings" }],
  },
  {
    title: "Reportable to the host",
    text: "Free memory in blocks that free page reporting can hand over.",
    type: "stat",
    unit: "bytes",
    width: 6,
    queries: [{ expr: `sum(${series("freeBytes", 'blocks="reportable"')})`, legend: "reportable" }],
  },
  {
    title: "Evicted",
    text: "Bytes evicted a second, by type of page.",
    type: "timeseries",
    unit: "Bps",
    width: 12,
    stacked: true,
    queries: [{ expr: `sum by (type) (rate(${series("evictedBytes")}[$__rate_interval]))`, legend: "{{type}}" }],
  },
  {
    title: "Refaulted",
    text: "Bytes read back a second by the cgroups they were evicted from.",
    type: "timeseries",
    unit: "Bps",
    width: 12,
    queries: [
      {
        expr: `topk(10, sum by (instance, cgroup) (rate(${series("refaultedBytes")}[$__rate_interval])))`,
        legend: "{{instance}} {{cgroup}}",
      },
    ],
  },
  {
    title: "Cold by cgroup",
    text: "What the next runs may evict.",
    type: "timeseries",
    unit: "bytes",
    width: 12,
    queries: [
      {
        expr: `topk(10, sum by (instance, cgroup) (${series("coldBytes")}))`,
        legend: "{{instance}} {{cgroup}}",
      },
    ],
  },
  {
    title: "Idle memory by age",
    text: "Bytes that nobody touched for at least so many seconds.",
    type: "timeseries",
    unit: "bytes",
    width: 12,
    queries: [{ expr: `sum by (min_age_seconds) (${series("idleBytes")})`, legend: "{{min_age_seconds}} s" }],
  },
  {
    title: "Pressure",
    text: "Share of the waiting period in which cgroups stalled.",
    type: "timeseries",
    unit: "percentunit",
    width: 12,
    queries: [{ expr: `topk(10, ${series("pressureRatio")})`, legend: "{{instance}} {{cgroup}} {{node}}" }],
  },
  {
    title: "Why targets ended",
    text: "Ends of targets a second by reason.",
    type: "timeseries",
    unit: "short",
    width: 12,
    stacked: true,
    queries: [{ expr: `sum by (reason) (rate(${series("targetEnds")}[$__rate_interval]))`, legend: "{{reason}}" }],
  },
  {
    title: "Free memory by block size",
    text: "All that is free, what is free in wanted blocks, and what can be reported to the host.",
    type: "timeseries",
    unit: "bytes",
    width: 12,
    queries: [{ expr: `sum by (blocks) (${series("freeBytes")})`, legend: "{{blocks}}" }],
  },
  {
    title: "Compactions",
    text: "Compactions over each interval by how they ended.",
    type: "timeseries",
    unit: "short",
    width: 12,
    stacked: true,
    queries: [{ expr: `sum by (end) (increase(${series("compactions")}[$__rate_interval]))`, legend: "{{end}}" }],
  },
  {
    title: "The agent's CPU",
    text: "CPU that the agent itself uses.",
    type: "timeseries",
    unit: "cores",
    width: 12,
    queries: [{ expr: `sum by (instance) (rate(${series("cpu")}[$__rate_interval]))`, legend: "{{instance}}" }],
  },
  {
    title: "The agent's memory",
    text: "Private memory of the agent itself.",
    type: "timeseries",
    unit: "bytes",
    width: 12,
    queries: [{ expr: series("memory", 'kind="private"'), legend: "{{instance}}" }],
  },
];

/** Every query of the dashboard, with its variables, for tests. */
export const dashboardQueries: readonly string[] = panels.flatMap(({ queries }) => queries.map(({ expr }) => expr));

const datasource = { type: "prometheus", uid: "${datasource}" } as const;
const columns = 24;
const statRows = 4;
const chartRows = 8;

function panelJson(panel: Panel, id: number, place: { x: number; y: number; w: number; h: number }): object {
  return {
    id,
    title: panel.title,
    description: panel.text,
    type: panel.type,
    datasource,
    gridPos: place,
    fieldConfig: {
      defaults: {
        unit: panel.unit === "cores" ? "short" : panel.unit,
        min: 0,
        ...(panel.type === "timeseries"
          ? {
              custom: {
                fillOpacity: 10,
                showPoints: "never",
                stacking: { mode: panel.stacked === true ? "normal" : "none" },
              },
            }
          : {}),
      },
      overrides: [],
    },
    targets: panel.queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      expr,
      legendFormat: legend,
      datasource,
    })),
  };
}

function placed(): object[] {
  let [x, y, rowHeight] = [0, 0, 0];
  return panels.map((panel, index) => {
    const h = panel.type === "stat" ? statRows : chartRows;
    if (x + panel.width > columns) [x, y, rowHeight] = [0, y + rowHeight, 0];
    const place = { x, y, w: panel.width, h };
    x += panel.width;
    rowHeight = Math.max(rowHeight, h);
    return panelJson(panel, index + 1, place);
  });
}

/** The dashboard as Grafana imports it. */
export function dashboardText(): string {
  const dashboard = {
    title: "mem-agent",
    uid: "mem-agent",
    description: "What mem-agent gives back, what came back, and what it costs.",
    tags: ["memory"],
    schemaVersion: 39,
    version: 1,
    editable: true,
    time: { from: "now-6h", to: "now" },
    refresh: "1m",
    templating: {
      list: [
        { name: "datasource", label: "Data source", type: "datasource", query: "prometheus" },
        {
          name: "instance",
          label: "Guest",
          type: "query",
          datasource,
          query: `label_values(${metrics.buildInfo.name}, instance)`,
          refresh: 2,
          multi: true,
          includeAll: true,
          allValue: ".*",
          current: { text: ["All"], value: ["$__all"] },
        },
      ],
    },
    panels: placed(),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}
