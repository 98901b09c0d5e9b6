/**
 * `/proc/vmstat`: the machine's counters of events, one a line. Documentation/admin-guide/mm (no list is complete).
 *
 *     compact_isolated 12
 *     pgsteal_file 3400
 *
 * All count pages or events since boot. Which lines there are depends on how the kernel was built.
 */
import { numberOf } from "../system/key-values.ts";
import { readText } from "../system/pseudo-file.ts";

export interface Vmstat {
  /** Null where the kernel was built without compaction. */
  readonly compaction: CompactionCounters | null;
  /** What reclaim took, by type, for any reason and from any cgroup. */
  readonly stealAnonPages: number;
  readonly stealFilePages: number;
}

export interface CompactionCounters {
  readonly migrateScannedPages: number;
  readonly freeScannedPages: number;
  readonly isolatedPages: number;
}

const place = "/proc/vmstat";

/** Fault `malformed`. */
export function parseVmstat(text: string): Vmstat {
  return {
    compaction: parseCompaction(text),
    stealAnonPages: numberOf(text, "pgsteal_anon", place) ?? 0,
    stealFilePages: numberOf(text, "pgsteal_file", place) ?? 0,
  };
}

/** Faults: `missing`, `malformed`, `io`. */
export function readVmstat(root: string): Vmstat {
  return parseVmstat(readText(root, place));
}

function parseCompaction(text: string): CompactionCounters | null {
  const migrateScannedPages = numberOf(text, "compact_migrate_scanned", place);
  if (migrateScannedPages === null) return null;
  const counter = (name: string): number => numberOf(text, name, place) ?? 0;
  return {
    migrateScannedPages,
    freeScannedPages: counter("compact_free_scanned"),
    isolatedPages: counter("compact_isolated"),
  };
}
