/** Alert rules for Prometheus, over the names of the metrics table. */
import { metrics } from "./metrics.ts";

interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  /** How long it must hold, as Prometheus writes durations. */
  readonly for: string;
  readonly severity: "warning" | "critical";
  readonly summary: string;
  readonly description: string;
}

const name = (key: keyof typeof metrics): string => metrics[key].name;

export const alertRules: readonly AlertRule[] = [
  {
    alert: "MemAgentAbsent",
    expr: `absent(${name("buildInfo")})`,
    for: "10m",
    severity: "critical",
    summary: "No mem-agent is scraped.",
    description: "No guest reports metrics of mem-agent. Look at the scrape targets and at the service.",
  },
  {
    alert: "MemAgentWarning",
    expr: `${name("warnings")} > 0`,
    for: "30m",
    severity: "warning",
    summary: "mem-agent has {{ $value }} warnings on {{ $labels.instance }}.",
    description: "A warning stands for half an hour. mem-agent status shows it with what to do about it.",
  },
  {
    alert: "MemAgentConfigRefused",
    expr: `${name("configGood")} == 0`,
    for: "10m",
    severity: "warning",
    summary: "The configuration file on {{ $labels.instance }} is refused.",
    description: "The agent goes on with the settings it had. mem-agent status names each problem of the file.",
  },
  {
    alert: "MemAgentRunOverdue",
    expr: `${name("memcgNextRun")} == 0 and ${name("memcgRunning")} == 0`,
    for: "30m",
    severity: "warning",
    summary: "A run on {{ $labels.instance }} is overdue for half an hour.",
    description: "Nothing runs although it is due. Look at the agent's log.",
  },
  {
    alert: "MemAgentErrors",
    expr: `increase(${name("targetEnds")}{reason="error"}[1h]) > 0`,
    for: "10m",
    severity: "warning",
    summary: "The kernel refused evictions on {{ $labels.instance }}.",
    description: "Targets ended with an error within the last hour. mem-agent memcgstatus shows each one's last error.",
  },
  {
    alert: "MemAgentEvictedComesBack",
    expr:
      `sum without (cgroup, node) (increase(${name("refaultedBytes")}[1h]))` +
      ` > 0.5 * sum without (cgroup, node, type) (increase(${name("evictedBytes")}[1h])) > 100 * 1024 * 1024`,
    for: "1h",
    severity: "warning",
    summary: "Much of what is evicted on {{ $labels.instance }} is read again.",
    description:
      "More than half of the evicted bytes came back within the hour. Raise period_secs, or add a rule for the cgroups.",
  },
  {
    alert: "MemAgentCompactionFails",
    expr: `sum without (end) (increase(${name("compactions")}{end=~"failed|timeout"}[6h])) > 2`,
    for: "10m",
    severity: "warning",
    summary: "Compactions on {{ $labels.instance }} fail or take too long.",
    description: "Three or more within six hours. mem-agent compactstatus shows the last one.",
  },
  {
    alert: "MemAgentCostly",
    expr: `sum without (mode) (rate(${name("cpu")}[10m])) > 0.1`,
    for: "30m",
    severity: "warning",
    summary: "mem-agent on {{ $labels.instance }} uses a tenth of a CPU.",
    description: "Raise period_secs, or look at how many cgroups come and go.",
  },
];

/** A string of JSON is one of YAML too. */
const quoted = (text: string): string => JSON.stringify(text);

/** The rules as a file for `rule_files`, in YAML. */
export function alertRulesText(): string {
  const lines = ["groups:", "  - name: mem-agent", "    rules:"];
  for (const rule of alertRules) {
    lines.push(
      `      - alert: ${rule.alert}`,
      `        expr: ${quoted(rule.expr)}`,
      `        for: ${rule.for}`,
      "        labels:",
      `          severity: ${rule.severity}`,
      "        annotations:",
      `          summary: ${quoted(rule.summary)}`,
      `          description: ${quoted(rule.description)}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
