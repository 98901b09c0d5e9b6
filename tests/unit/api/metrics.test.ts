import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { shownTargetsMax } from "../../../src/api/metric-samples.ts";
import { metricList, metrics, metricsTable, MetricsText } from "../../../src/api/metrics.ts";
import type { TargetStatus } from "../../../src/agent/status.ts";
import { agentStatus, compactStatus, memcgStatus, target } from "./fake-control.ts";
import { scratchDir } from "./served.ts";

const mebi = 1024 * 1024;

const alertRulesText = readFileSync(join(import.meta.dir, "../../../src/api/alerts.yml"), "utf8");
const dashboardText = readFileSync(join(import.meta.dir, "../../../src/api/dashboard.json"), "utf8");
interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}
const alertRules = (Bun.YAML.parse(alertRulesText) as { groups: [{ rules: AlertRule[] }] }).groups[0].rules;
const dashboard = JSON.parse(dashboardText) as {
  panels: {
    id: number;
    title: string;
    gridPos: { x: number; y: number; w: number; h: number };
    targets: { expr: string }[];
  }[];
};
const dashboardQueries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

function textOf(targets: readonly TargetStatus[], exporter = new MetricsText(), evictedMiB = 64): string {
  const memcg = {
    ...memcgStatus(targets),
    evicted_bytes: { anon_bytes: 0, file_bytes: evictedMiB * mebi },
  };
  return exporter.of({ agent: agentStatus(), memcg, compact: compactStatus() });
}

function valueOf(text: string, series: string): number | null {
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  return line === undefined ? null : Number(line.slice(series.length + 1));
}

const evicted = (fileMiB: number, anonMiB = 0): Partial<TargetStatus> => ({
  evicted_bytes: { anon_bytes: anonMiB * mebi, file_bytes: fileMiB * mebi },
});

describe("values", () => {
  const text = textOf([target("/a", evicted(40, 3)), target("/b", { node: 1, ...evicted(20) })]);
  const rows: readonly [series: string, value: number][] = [
    ['mem_agent_build_info{version="1.2.3",kernel="6.12.0",backend="lru_gen"}', 1],
    ["mem_agent_start_time_seconds", Date.parse("2026-01-02T03:04:05Z") / 1000],
    ['mem_agent_evicted_bytes_total{cgroup="/a",node="0",type="file"}', 40 * mebi],
    ['mem_agent_evicted_bytes_total{cgroup="/a",node="0",type="anon"}', 3 * mebi],
    ['mem_agent_evicted_bytes_total{cgroup="/b",node="1",type="file"}', 20 * mebi],
    // 64 MiB were evicted in all: what is missing belonged to cgroups that are gone.
    ['mem_agent_evicted_bytes_total{cgroup="other",node="all",type="file"}', 4 * mebi],
    ['mem_agent_target_cold_bytes{cgroup="/a",node="0",type="file"}', 60 * mebi],
    ['mem_agent_target_pressure_ratio{cgroup="/a",node="0"}', 0.005],
    ['mem_agent_target_ends_total{reason="pressure"}', 1],
    // The oldest generation was left alone since the second was made, 700 s ago, the second since 30 s.
    ['mem_agent_idle_bytes{min_age_seconds="600",type="file"}', 2 * 60 * mebi],
    ['mem_agent_idle_bytes{min_age_seconds="3600",type="file"}', 0],
    ['mem_agent_feature_enabled{feature="memcg_evict"}', 1],
    ['mem_agent_compact_runs_total{decision="fragmented"}', 1],
    ['mem_agent_compactions_total{end="done"}', 1],
    ['mem_agent_free_bytes{blocks="reportable"}', 400 * mebi],
    ["mem_agent_config_last_reload_successful", 1],
    ['mem_agent_cpu_seconds_total{mode="user"}', 1.25],
    ['mem_agent_memory_bytes{kind="private"}', 4 * mebi],
    ["mem_agent_memcg_next_run_seconds", 120],
    ["mem_agent_warnings", 0],
  ];
  for (const [series, value] of rows) test(series, () => expect(valueOf(text, series)).toBe(value));

  test("what is not known gives no series", () => {
    const targets = [target("/a", { generations: null, id: null })];
    const memcg = { ...memcgStatus(targets), refaulted_bytes: null, next_run_secs: null, last_run: null };
    const compact = { ...compactStatus(), free: null, last_compaction: null };
    const agent = agentStatus({ own: { ...agentStatus().own, private_bytes: null } });
    const text = new MetricsText().of({ agent, memcg, compact });
    expect(text).not.toContain("mem_agent_free_bytes");
    expect(text).not.toMatch(/^mem_agent_idle_bytes/m);
    expect(text).not.toContain("last_duration");
    expect(text).not.toContain("memcg_next_run");
    expect(text).not.toContain('kind="private"');
    expect(text).not.toContain("NaN");
    expect(text).not.toContain("null");
  });

  test("a warning has a series of its own, and a bad file is told", () => {
    const agent = agentStatus({
      warnings: [{ key: "lru_gen_off", since: "", message: "", remedy: null }],
      config: { ...agentStatus().config, problems: ["bad"] },
    });
    const text = new MetricsText().of({ agent, memcg: memcgStatus(), compact: compactStatus() });
    expect(valueOf(text, 'mem_agent_warning{warning="lru_gen_off"}')).toBe(1);
    expect(valueOf(text, "mem_agent_config_last_reload_successful")).toBe(0);
  });
});

describe("form", () => {
  test("every metric of a working agent is there, with its help, type and declared labels", () => {
    const agent = agentStatus({ warnings: [{ key: "k", since: "", message: "", remedy: null }] });
    const text = new MetricsText().of({ agent, memcg: memcgStatus(), compact: compactStatus() });
    for (const { name, type, help, labels } of metricList) {
      expect(text).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`);
      const sample = new RegExp(`^${name}(?:\\{(.*)\\})? `, "m").exec(text);
      const given = [...(sample?.[1] ?? "").matchAll(/(\w+)="/g)].map((match) => match[1] ?? "");
      expect(given).toEqual([...labels]);
      expect(metricsTable()).toContain(name);
    }
  });
  test("names say their unit and counters end in _total", () => {
    for (const { name, type } of metricList) {
      expect(name).toMatch(/^mem_agent_[a-z_]+$/);
      expect(name.endsWith("_total")).toBe(type === "counter");
    }
    expect(new Set(metricList.map(({ name }) => name)).size).toBe(metricList.length);
  });
  test("odd names of cgroups are escaped", () => {
    const text = textOf([target('/a "b"\\\n\ud800')]);
    expect(text).toContain('mem_agent_target_size_bytes{cgroup="/a \\"b\\"\\\\\\\\n\\\\ud800",node="0"} ');
    expect(text.split("\n").filter((line) => !/^(#|mem_agent_|$)/.test(line))).toEqual([]);
  });
});

describe("bounds", () => {
  const many = Array.from({ length: 5000 }, (_, index) => target(`/c${index}`, evicted(index)));

  test("5,000 cgroups give no more series than a hundred, and lose nothing", () => {
    const all = (4999 * 5000) / 2;
    const text = textOf(many, new MetricsText(), all);
    expect(text.split("\n").filter((line) => !line.startsWith("#")).length).toBeLessThan(shownTargetsMax * 11 + 200);
    expect(text).toContain('{cgroup="/c4999",node="0"}');
    expect(text).not.toContain('{cgroup="/c4899",node="0"}');
    const sum = [...text.matchAll(/^mem_agent_evicted_bytes_total\{.*type="file"\} (\d+)$/gm)].reduce(
      (total, match) => total + Number(match[1]),
      0,
    );
    expect(sum).toBe(all * mebi);
    expect(valueOf(text, 'mem_agent_target_size_bytes{cgroup="other",node="all"}')).toBe(4900 * 91 * mebi);
    expect(valueOf(text, 'mem_agent_target_pressure_ratio{cgroup="other",node="all"}')).toBe(0.005);
  });

  test("no series is there twice, even for two cgroups of one name", () => {
    const text = textOf([target("/twin"), target("/twin"), target("/twin", { node: 1 })]);
    const series = text
      .split("\n")
      .filter((line) => line.startsWith("mem_"))
      .map((line) => line.slice(0, line.lastIndexOf(" ")));
    expect(new Set(series).size).toBe(series.length);
  });

  test("a counter of the others never falls, when one of them gets a series of its own", () => {
    const exporter = new MetricsText();
    const others = 'mem_agent_evicted_bytes_total{cgroup="other",node="all",type="file"}';
    const crowd = Array.from({ length: 100 }, (_, index) => target(`/c${index}`, evicted(10)));
    expect(valueOf(textOf([...crowd, target("/late", evicted(5))], exporter, 1005), others)).toBe(5 * mebi);
    expect(valueOf(textOf([...crowd, target("/late", evicted(50))], exporter, 1050), others)).toBe(10 * mebi);
    expect(valueOf(textOf([target("/late", evicted(1045))], exporter, 1050), others)).toBe(10 * mebi);
  });
});

/** Null where promtool is not installed; in CI it has to be. */
const promtool = Bun.which("promtool");
if (promtool === null && process.env["CI"] === "true") throw new Error("promtool is missing; install prometheus");

async function promtoolSays(args: readonly string[], stdin = ""): Promise<{ exitCode: number; text: string }> {
  const asked = Bun.spawn([promtool ?? "promtool", ...args], {
    stdin: new Blob([stdin]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, exitCode] = await Promise.all([
    new Response(asked.stdout).text(),
    new Response(asked.stderr).text(),
    asked.exited,
  ]);
  return { exitCode, text: out + err };
}

function series(name: string, values: string): object {
  return { series: name, values };
}

/** What promtool expects of one alert; it compares the annotations too, with what Prometheus fills in. */
function fires(alertname: string, labels: { readonly instance: string } | null): object {
  const rule = alertRules.find(({ alert }) => alert === alertname);
  const { summary: summaryText, description: descriptionText } = rule?.annotations ?? {};
  const [summary, description] = [summaryText, descriptionText].map((text) =>
    text?.replaceAll("{{ $labels.instance }}", labels?.instance ?? "").replaceAll("{{ $value }}", "2"),
  );
  const expected = {
    exp_labels: { severity: rule?.labels.severity, ...labels },
    exp_annotations: { summary, description },
  };
  return { eval_time: "3h", alertname, exp_alerts: labels === null ? [] : [expected] };
}

describe.if(promtool !== null)("promtool", () => {
  test("takes the metrics without a remark", async () => {
    const agent = agentStatus({ warnings: [{ key: "k", since: "", message: "", remedy: null }] });
    const memcg = memcgStatus([target('/a "b"\n'), target("/b")]);
    const text = new MetricsText().of({ agent, memcg, compact: compactStatus() });
    expect(await promtoolSays(["check", "metrics"], text)).toEqual({ exitCode: 0, text: "" });
  });

  test("takes the alert rules", async () => {
    using dir = scratchDir();
    const file = join(dir.path, "rules.yml");
    writeFileSync(file, alertRulesText);
    const said = await promtoolSays(["check", "rules", "--lint=all", "--lint-fatal", file]);
    expect(said.text).toContain(`SUCCESS: ${alertRules.length} rules found`);
    expect(said.exitCode).toBe(0);
  });

  test("finds that the rules fire when they should, and only then", async () => {
    using dir = scratchDir();
    writeFileSync(join(dir.path, "rules.yml"), alertRulesText);
    const bad = { instance: "bad" };
    const tests = {
      rule_files: ["rules.yml"],
      tests: [
        {
          interval: "1m",
          input_series: [
            series(`${metrics.buildInfo.name}{instance="bad"}`, "1x180"),
            series(`${metrics.buildInfo.name}{instance="good"}`, "1x180"),
            series(`${metrics.buildInfo.name}{instance="gone"}`, "1x100"),
            series(`${metrics.configGood.name}{instance="bad"}`, "0x180"),
            series(`${metrics.configGood.name}{instance="good"}`, "1x180"),
            series(`${metrics.warnings.name}{instance="bad"}`, "2x180"),
            series(`${metrics.warnings.name}{instance="good"}`, "0x180"),
            series(`${metrics.memcgNextRun.name}{instance="bad"}`, "0x180"),
            series(`${metrics.memcgRunning.name}{instance="bad"}`, "0x180"),
            series(`${metrics.memcgNextRun.name}{instance="good"}`, "5x180"),
            series(`${metrics.memcgRunning.name}{instance="good"}`, "0x180"),
            // A tenth of a gibibyte a minute is evicted; on one guest most of it comes back.
            ...["bad", "good"].flatMap((instance) => [
              series(
                `${metrics.evictedBytes.name}{instance="${instance}",cgroup="/a",node="0",type="file"}`,
                "0+100000000x180",
              ),
              series(
                `${metrics.refaultedBytes.name}{instance="${instance}",cgroup="/a",node="0"}`,
                instance === "bad" ? "0+80000000x180" : "0+10000000x180",
              ),
            ]),
            series(`${metrics.cpu.name}{instance="bad",mode="user"}`, "0+12x180"),
            series(`${metrics.cpu.name}{instance="good",mode="user"}`, "0+0.1x180"),
          ],
          alert_rule_test: [
            fires("MemAgentAbsent", { instance: "gone" }),
            fires("MemAgentConfigRefused", bad),
            fires("MemAgentWarning", bad),
            fires("MemAgentRunOverdue", bad),
            fires("MemAgentEvictedComesBack", bad),
            fires("MemAgentCostly", bad),
            fires("MemAgentErrors", null),
            fires("MemAgentCompactionFails", null),
          ],
        },
      ],
    };
    const file = join(dir.path, "test.yml");
    writeFileSync(file, JSON.stringify(tests));
    const said = await promtoolSays(["test", "rules", file]);
    expect(said.text).toContain("SUCCESS");
    expect(said.exitCode).toBe(0);
  });

  test("can read every query of the dashboard", async () => {
    using dir = scratchDir();
    const rules = dashboardQueries.map((expr, index) => ({
      record: `dashboard:query:${index}`,
      expr: expr.replaceAll("$__range", "6h").replaceAll("$__rate_interval", "5m").replaceAll("$instance", ".*"),
    }));
    const file = join(dir.path, "queries.yml");
    writeFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    const said = await promtoolSays(["check", "rules", file]);
    expect(said.text).toContain(`SUCCESS: ${dashboardQueries.length} rules found`);
  });
});

describe("the dashboard", () => {
  test("names only metrics that there are", () => {
    const names = new Set(metricList.map(({ name }) => name));
    const used = dashboardText.match(/mem_agent_[a-z_]+/g) ?? [];
    expect(used.length).toBeGreaterThan(dashboardQueries.length - 1);
    expect(used.filter((name) => !names.has(name))).toEqual([]);
  });
  test("lays its panels side by side, none over another", () => {
    const taken = new Set<string>();
    for (const { title, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect({ title, free: !taken.has(`${x} ${y}`) }).toEqual({ title, free: true });
          taken.add(`${x} ${y}`);
        }
      }
    }
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
  test("alert rules name only metrics that there are", () => {
    const names = new Set(metricList.map(({ name }) => name));
    for (const { expr } of alertRules) {
      const used = expr.match(/mem_agent_[a-z_]+/g) ?? [];
      expect(used.length).toBeGreaterThan(0);
      expect(used.filter((name) => !names.has(name))).toEqual([]);
    }
  });
});
