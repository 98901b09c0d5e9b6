/** What the kernel's counters of compaction say about a span of time: all nodes, no matter who asked. */
import { nullIfFault } from "../../base/fault.ts";
import { pagesToBytes } from "../../base/units.ts";
import { pageBytes } from "../../system/page-size.ts";
import { readVmstat, type CompactionCounters } from "../../kernel/vmstat.ts";
import type { CompactRunReport } from "../status.ts";

export class KernelWork {
  readonly #root: string;
  readonly #before: CompactionCounters | null;

  constructor(root: string) {
    this.#root = root;
    this.#before = this.#read();
  }

  /** The work since this was made; null where the kernel does not tell. */
  done(): CompactRunReport["work"] {
    const before = this.#before;
    const after = this.#read();
    if (before === null || after === null) return null;
    return {
      scanned_bytes: pagesToBytes(scannedPages(after) - scannedPages(before), pageBytes()),
      isolated_bytes: pagesToBytes(after.isolatedPages - before.isolatedPages, pageBytes()),
    };
  }

  #read(): CompactionCounters | null {
    return nullIfFault(() => readVmstat(this.#root).compaction);
  }
}

function scannedPages(counters: CompactionCounters): number {
  return counters.migrateScannedPages + counters.freeScannedPages;
}
