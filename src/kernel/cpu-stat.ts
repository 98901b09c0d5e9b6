/**
 * A cgroup's `cpu.stat`. Linux 4.15, Documentation/admin-guide/cgroup-v2.rst; in every v2 cgroup,
 * with or without the cpu controller.
 *
 *     usage_usec 48213
 *     user_usec 31002
 *     system_usec 17211
 *
 * Microseconds since the cgroup was made, those of the cgroups below it included. v1 has no such line.
 */
import { numberOf } from "../system/key-values.ts";
import { readPath } from "../system/pseudo-file.ts";
import { cgroupFile, type CgroupTree } from "./cgroup.ts";

const place = "cpu.stat";

/** Microseconds of CPU time; null where the kernel does not say. Fault `malformed`. */
export function parseCpuUsageUs(text: string): number | null {
  return numberOf(text, "usage_usec", place);
}

/** Null on v1. Faults: `vanished`, `denied`, `malformed`, `io`. */
export function readCpuUsageUs(root: string, tree: CgroupTree, path: string): number | null {
  if (tree.version === 1) return null;
  return parseCpuUsageUs(readPath(cgroupFile(root, tree, path, place), "vanished"));
}
