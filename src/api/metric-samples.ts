/** What metrics are collected from, and the samples that several of them are made of. */
import type { AgentStatus, CompactStatus, MemcgStatus, TargetStatus } from "../agent/status.ts";
import { amountsByAge } from "../core/aging.ts";

export interface MetricSources {
  readonly agent: AgentStatus;
  readonly memcg: MemcgStatus;
  readonly compact: CompactStatus;
}

export type Labels = Readonly<Record<string, string>>;
/** A null value is not known, and gives no series. */
export type Sample = readonly [labels: Labels, value: number | null];

/** The sources, and which targets have series of their own. */
export interface View extends MetricSources {
  readonly shown: readonly TargetStatus[];
  readonly rest: readonly TargetStatus[];
}

export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  /** Names of its labels, for the reference. */
  readonly labels: readonly string[];
  collect(view: View): Iterable<Sample>;
}

export const shownTargetsMax = 100;
export const other = "other";
/** Lower ends of the classes of age of cold memory, in seconds. */
export const idleAgesSecs = [60, 600, 3600, 21_600, 86_400] as const;

export const flag = (condition: boolean): number => (condition ? 1 : 0);
export const alone = (value: number | null): Sample[] => [[{}, value]];
export const ratio = (percent: number | null): number | null => (percent === null ? null : percent / 100);
export const unixSecs = (iso: string | null): number | null => (iso === null ? null : Date.parse(iso) / 1000);

export function* byKey(label: string, counts: Readonly<Record<string, number>>): Generator<Sample> {
  for (const [key, count] of Object.entries(counts)) yield [{ [label]: key }, count];
}

export interface TargetAmounts {
  /** What one target has, by the value of the label `type`, or under "" without that label. */
  readonly of: (target: TargetStatus) => Readonly<Record<string, number | null>>;
  /** The same for all targets that ever were; without it, the targets that are there are summed. */
  readonly all?: (sources: MetricSources) => Readonly<Record<string, number | null>>;
  /** How the rest goes together; a share cannot be summed. */
  readonly together?: "sum" | "largest";
}

/** A sample for each target with series of its own, and one for all others. */
export function* byTarget(
  { shown, rest, ...sources }: View,
  { of, all, together = "sum" }: TargetAmounts,
): Generator<Sample> {
  const left: Record<string, number> = {};
  for (const [type, value] of Object.entries(all?.(sources) ?? {})) if (value !== null) left[type] = value;
  for (const target of shown) {
    for (const [type, value] of Object.entries(of(target))) {
      yield [{ cgroup: target.path, node: String(target.node), ...typeLabel(type) }, value];
      if (all !== undefined && left[type] !== undefined) left[type] -= value ?? 0;
    }
  }
  if (all === undefined) {
    for (const target of rest) {
      for (const [type, value] of Object.entries(of(target))) {
        if (value === null) continue;
        left[type] = together === "sum" ? (left[type] ?? 0) + value : Math.max(left[type] ?? 0, value);
      }
    }
  }
  for (const [type, value] of Object.entries(left)) {
    yield [{ cgroup: other, node: "all", ...typeLabel(type) }, Math.max(0, value)];
  }
}

export function typeLabel(type: string): Labels {
  return type === "" ? {} : { type };
}

/** Bytes by how long they were untouched at least. Nothing where the backend knows no ages. */
export function* idleBytes({ memcg }: View): Generator<Sample> {
  if (memcg.targets.length > 0 && memcg.targets.every(({ generations }) => generations === null)) return;
  for (const type of ["anon", "file"] as const) {
    const lists = memcg.targets.map(({ generations }) =>
      (generations ?? []).map((one) => ({ age: one.age_secs, amount: one[`${type}_bytes`] })),
    );
    const bytes = amountsByAge(lists, idleAgesSecs);
    for (const [index, ageSecs] of idleAgesSecs.entries()) {
      const older = bytes.slice(index).reduce((sum, one) => sum + one, 0);
      yield [{ min_age_seconds: String(ageSecs), type }, older];
    }
  }
}

export function* freeBytes({ compact: { free } }: View): Generator<Sample> {
  if (free === null) return;
  yield [{ blocks: "any" }, free.free_bytes];
  yield [{ blocks: "order" }, free.order_bytes];
  yield [{ blocks: "reportable" }, free.reportable_bytes];
}
