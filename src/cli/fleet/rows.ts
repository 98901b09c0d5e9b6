/** What `fleet` says of each guest and of all together; also the form of `--json`. Pure. */
import type { AgentStatus } from "../../agent/status.ts";
import { evictedSum } from "../screens/memcg.ts";
import type { Gathered } from "./gather.ts";

/** One guest. All but the first three are null where it does not answer, or does not know. */
export interface FleetRow {
  readonly address: string;
  /** As the list of guests names it, else as it names itself, else its address. */
  readonly name: string;
  /** Why it does not answer; null where it does. */
  readonly error: string | null;
  readonly hostname: string | null;
  readonly machine_id: string | null;
  readonly version: string | null;
  readonly health: "ok" | "warning" | null;
  readonly warnings: number | null;
  readonly saved_bytes: number | null;
  readonly refaulted_bytes: number | null;
  readonly cold_bytes: number | null;
  readonly free_bytes: number | null;
  readonly reportable_bytes: number | null;
  readonly pressure_percent: number | null;
  /** ISO 8601 */
  readonly last_run: string | null;
  /** What the host pays: the proportional set size of the guest's VMM; null where it was not found. */
  readonly host_bytes: number | null;
}

/** All guests together; sums are of those that know. */
export interface FleetSum {
  readonly guests: number;
  readonly unreachable: number;
  readonly with_warnings: number;
  readonly saved_bytes: number;
  readonly refaulted_bytes: number;
  readonly cold_bytes: number;
  readonly free_bytes: number;
  readonly reportable_bytes: number;
  readonly host_bytes: number | null;
}

export interface FleetReport {
  readonly guests: readonly FleetRow[];
  readonly sum: FleetSum;
}

/** A guest's answer as a row. An older agent leaves fields out. */
export function fleetRow({ guest, answer, error }: Gathered<AgentStatus>, hostBytes: number | null): FleetRow {
  const memcg: Partial<AgentStatus["memcg"]> = answer?.memcg ?? {};
  const machine: Partial<AgentStatus["machine"]> = (answer as Partial<AgentStatus> | null)?.machine ?? {};
  const free = answer?.compact.free ?? null;
  return {
    address: guest.address,
    name: guest.label ?? machine.name ?? guest.address,
    error,
    hostname: machine.hostname ?? null,
    machine_id: machine.machine_id ?? null,
    version: answer?.version ?? null,
    health: answer?.health ?? null,
    warnings: answer?.warnings.length ?? null,
    saved_bytes: memcg.saved_bytes ?? null,
    refaulted_bytes: memcg.refaulted_bytes ?? null,
    cold_bytes: memcg.cold_bytes === undefined ? null : evictedSum(memcg.cold_bytes),
    free_bytes: free?.free_bytes ?? null,
    reportable_bytes: free?.reportable_bytes ?? null,
    pressure_percent: memcg.pressure_percent ?? null,
    last_run: memcg.last_run?.started ?? null,
    host_bytes: hostBytes,
  };
}

export function fleetSum(rows: readonly FleetRow[]): FleetSum {
  const total = (of: (row: FleetRow) => number | null): number => rows.reduce((sum, row) => sum + (of(row) ?? 0), 0);
  return {
    guests: rows.length,
    unreachable: rows.filter(({ error }) => error !== null).length,
    with_warnings: rows.filter(({ health }) => health === "warning").length,
    saved_bytes: total((row) => row.saved_bytes),
    refaulted_bytes: total((row) => row.refaulted_bytes),
    cold_bytes: total((row) => row.cold_bytes),
    free_bytes: total((row) => row.free_bytes),
    reportable_bytes: total((row) => row.reportable_bytes),
    host_bytes: rows.every((row) => row.host_bytes === null) ? null : total((row) => row.host_bytes),
  };
}

export const fleetSorts = ["name", "host", "saved", "back", "cold", "free", "reportable", "pressure"] as const;
export type FleetSort = (typeof fleetSorts)[number];

const sortKeys: Readonly<Record<Exclude<FleetSort, "name">, (row: FleetRow) => number | null>> = {
  host: (row) => row.host_bytes,
  saved: (row) => row.saved_bytes,
  back: (row) => row.refaulted_bytes,
  cold: (row) => row.cold_bytes,
  free: (row) => row.free_bytes,
  reportable: (row) => row.reportable_bytes,
  pressure: (row) => row.pressure_percent,
};

/** By name as people count (web-2 before web-10), else largest first; who does not answer is last. */
export function sortRows(rows: readonly FleetRow[], sort: FleetSort): FleetRow[] {
  const key = sort === "name" ? () => 0 : sortKeys[sort];
  const names = new Intl.Collator("en", { numeric: true });
  return rows.toSorted(
    (left, right) =>
      Number(left.error !== null) - Number(right.error !== null) ||
      (key(right) ?? -1) - (key(left) ?? -1) ||
      names.compare(left.name, right.name) ||
      names.compare(left.address, right.address),
  );
}
