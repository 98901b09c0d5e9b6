/** Memory that its owner protected: memory.min and memory.low of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst). */

/** A protection in bytes, `max` for all memory, null where the cgroup has none to set: the root, or cgroup v1. */
export type ProtectedBytes = number | "max" | null;

export interface ProtectionReading {
  readonly usageBytes: number | null;
  readonly minBytes: ProtectedBytes;
  readonly lowBytes: ProtectedBytes;
}

/**
 * Pages that may be evicted before a protection is touched: the least over the cgroup and its parents. Null where
 * nothing is protected. The kernel overshoots what it is asked to evict by a cluster or a large folio: a margin of
 * `overshootPages` stays.
 */
export function unprotectedPages(chain: readonly ProtectionReading[], pageBytes: number): number | null {
  let least: number | null = null;
  for (const { usageBytes, minBytes, lowBytes } of chain) {
    const protectedBytes = Math.max(amount(minBytes), amount(lowBytes));
    if (protectedBytes === 0 || usageBytes === null) continue;
    const above = Math.max(0, Math.floor((usageBytes - protectedBytes) / pageBytes) - overshootPages);
    least = least === null ? above : Math.min(least, above);
  }
  return least;
}

/** Seen: 455 pages more than asked for on 6.1, 256 on 7.2. */
export const overshootPages = 512;

function amount(bytes: ProtectedBytes): number {
  return bytes === "max" ? Number.POSITIVE_INFINITY : (bytes ?? 0);
}
