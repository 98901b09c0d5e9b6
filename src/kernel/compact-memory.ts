/**
 * Starting a compaction: `/proc/sys/vm/compact_memory` (all nodes, Linux 2.6.35) and
 * `/sys/devices/system/node/nodeN/compact` (one). Documentation/admin-guide/sysctl/vm.rst.
 *
 * Writing 1 compacts inside the write, which may take minutes, and only a fatal signal ends it: write from a process
 * that can be killed.
 */
import { existsSync, readdirSync } from "node:fs";
import { under, writePath } from "../system/pseudo-file.ts";

const wholePath = "/proc/sys/vm/compact_memory";
const nodesPath = "/sys/devices/system/node";

/** The file to write to, for one node or (null) for all. Always absolute; it need not be there. */
export function compactPath(root: string, node: number | null): string {
  return under(root, node === null ? wholePath : `${nodesPath}/node${node}/compact`);
}

/** True when this kernel was built with compaction. */
export function canCompact(root: string): boolean {
  return existsSync(compactPath(root, null));
}

/** Nodes that can be compacted alone, in order; empty where the kernel has no NUMA. */
export function compactNodes(root: string): number[] {
  if (!existsSync(under(root, nodesPath))) return [];
  return readdirSync(under(root, nodesPath))
    .map((name) => /^node(\d{1,6})$/.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .filter((node) => existsSync(compactPath(root, node)))
    .toSorted((left, right) => left - right);
}

/** Compacts all nodes or one, and returns when it is done. Faults: `missing` (no compaction here), `denied`, `io`. */
export function compactMemory(root: string, node: number | null = null): void {
  writePath(compactPath(root, node), "1");
}
