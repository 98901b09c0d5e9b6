/**
 * `/proc/vmstat`: the machine's counters of events, one a line. Documentation/admin-guide/mm (no list is complete).
 *
 *     compact_success 12
 *     pgsteal_kswapd 3400
 *
 * All count pages or events since boot. Which lines there are depends on how the kernel was built.
 */
import { numberOf, sumOverReclaimers } from "../system/key-values.ts";
import { readText } from "../system/pseudo-file.ts";

export interface Vmstat {
  /** Null where the kernel was built without compaction. */
  readonly compaction: CompactionCounters | null;
  /** Pages that reclaim took and looked at, by whatever asked for it. */
  readonly stealPages: number;
  readonly scanPages: number;
  /** What reclaim took, by type, whoever asked for it and of whichever cgroup. */
  readonly stealAnonPages: number;
  readonly stealFilePages: number;
}

export interface CompactionCounters {
  /** Times that somebody who wanted memory waited for compaction, and how those ended. */
  readonly stalls: number;
  readonly failures: number;
  readonly successes: number;
  readonly migrateScannedPages: number;
  readonly freeScannedPages: number;
  readonly isolatedPages: number;
}

const place = "/proc/vmstat";

/** Fault `malformed`. */
export function parseVmstat(text: string): Vmstat {
  return {
    compaction: parseCompaction(text),
    stealPages: sumOverReclaimers(text, "pgsteal", place) ?? 0,
    scanPages: sumOverReclaimers(text, "pgscan", place) ?? 0,
    stealAnonPages: numberOf(text, "pgsteal_anon", place) ?? 0,
    stealFilePages: numberOf(text, "pgsteal_file", place) ?? 0,
  };
}

/** Faults: `missing`, `malformed`, `io`. */
export function readVmstat(root: string): Vmstat {
  return parseVmstat(readText(root, place));
}

function parseCompaction(text: string): CompactionCounters | null {
  const stalls = numberOf(text, "compact_stall", place);
  if (stalls === null) return null;
  const counter = (name: string): number => numberOf(text, name, place) ?? 0;
  return {
    stalls,
    failures: counter("compact_fail"),
    successes: counter("compact_success"),
    migrateScannedPages: counter("compact_migrate_scanned"),
    freeScannedPages: counter("compact_free_scanned"),
    isolatedPages: counter("compact_isolated"),
  };
}
