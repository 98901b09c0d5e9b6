/**
 * `/proc/self/ns/cgroup`: the cgroup namespace of this process. Linux 4.6, cgroup_namespaces(7), namespaces(7).
 *
 *     cgroup:[4026531835]           what the link says: the namespace's inode
 *
 * Inside a namespace that is not the first, cgroupfs shows the tree from that namespace's own root, and lru_gen still
 * names cgroups from the machine's.
 */
import { readlinkSync } from "node:fs";
import { errnoOf, faultFrom } from "../base/fault.ts";
import { malformed, under } from "../system/pseudo-file.ts";

const place = "/proc/self/ns/cgroup";

/** The kernel gives the machine's first namespace this inode in every version (PROC_CGROUP_INIT_INO). */
const firstInode = 0xef_ff_ff_fb;

/** The inode of a namespace. Fault `malformed`. */
export function parseCgroupNamespace(link: string): number {
  const inode = /^cgroup:\[(\d{1,15})\]$/.exec(link)?.[1];
  if (inode === undefined) throw malformed(place, "not a namespace", link);
  return Number(inode);
}

/** Whether this process sees the machine's own tree; null where the kernel does not say. Faults: `malformed`, `denied`, `io`. */
export function isInFirstCgroupNamespace(root: string): boolean | null {
  try {
    return parseCgroupNamespace(readlinkSync(under(root, place))) === firstInode;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return null;
    throw errno === null ? error : faultFrom(error, `read ${place}`);
  }
}
