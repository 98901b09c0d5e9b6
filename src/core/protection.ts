/** Memory that its owner protected: memory.min and memory.low of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst). */

/** One cgroup's usage and protection in bytes; `null` protection means none is set, or cgroup v1. */
export interface ProtectionReading {
  readonly usageBytes: number | null;
  readonly minBytes: number | null;
  readonly lowBytes: number | null;
}

/**
 * Pages that may be evicted before a protection is touched: the least over the cgroup and its parents. Null where
 * nothing is protected. `"max"` protection is Infinity.
 */
export function unprotectedPages(chain: readonly ProtectionReading[], pageBytes: number): number | null {
  let least: number | null = null;
  for (const reading of chain) {
    const protectedBytes = Math.max(reading.minBytes ?? 0, reading.lowBytes ?? 0);
    if (protectedBytes === 0 || reading.usageBytes === null) continue;
    const above = Math.max(0, Math.floor((reading.usageBytes - protectedBytes) / pageBytes));
    least = least === null ? above : Math.min(least, above);
  }
  return least;
}
