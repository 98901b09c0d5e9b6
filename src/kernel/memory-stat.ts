/**
 * A cgroup's `memory.stat`. Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 *
 *     anon 16125952
 *     file 176128
 *     workingset_refault_file 68
 *
 * Sizes in bytes, events in pages. Each number includes the cgroups below; v1 names those `total_…` and calls anonymous
 * memory `rss`, file memory `cache`. The kernel flushes the numbers lazily (up to 2 s).
 * Before 5.9 both kinds of refault are one count: `workingset_refault`. v1 has no pgsteal here.
 */
import { cgroupFile, type CgroupTree } from "./cgroup.ts";
import { numberOf, sumOverReclaimers } from "../system/key-values.ts";
import { malformed, readPath, readPathIfThere } from "../system/pseudo-file.ts";

export interface MemoryStat {
  readonly anonBytes: number;
  /** Page cache with shmem in it. */
  readonly fileBytes: number;
  readonly inactiveAnonBytes: number;
  readonly activeAnonBytes: number;
  readonly inactiveFileBytes: number;
  readonly activeFileBytes: number;
  /** Pages that reclaim took since the cgroup was made, by whatever asked for it. Null on v1. */
  readonly stealPages: number | null;
  /** Evicted pages that were read again. Null where the kernel does not count them. */
  readonly refaults: Refaults | null;
}

/** Pages since the cgroup was made. `apart` is false where the kernel counts both kinds as one: all are `filePages`. */
export interface Refaults {
  readonly filePages: number;
  readonly anonPages: number;
  readonly apart: boolean;
}

const place = "memory.stat";

/** Parses v1 and v2 alike. Fault `malformed`. */
export function parseMemoryStat(text: string): MemoryStat {
  const v1 = numberOf(text, "total_cache", place) !== null;
  const needed = (v2Name: string, v1Name = v2Name): number => {
    const name = v1 ? `total_${v1Name}` : v2Name;
    const number = numberOf(text, name, place);
    if (number === null) throw malformed(place, `no line ${name}`);
    return number;
  };
  return {
    anonBytes: needed("anon", "rss"),
    fileBytes: needed("file", "cache"),
    inactiveAnonBytes: needed("inactive_anon"),
    activeAnonBytes: needed("active_anon"),
    inactiveFileBytes: needed("inactive_file"),
    activeFileBytes: needed("active_file"),
    stealPages: numberOf(text, "pgsteal", place) ?? sumOverReclaimers(text, "pgsteal", place),
    refaults: parseRefaults(text),
  };
}

/** The refaults alone: four lines to look for instead of twenty. Fault `malformed`. */
export function parseRefaults(text: string): Refaults | null {
  for (const prefix of ["total_", ""]) {
    const filePages = numberOf(text, `${prefix}workingset_refault_file`, place);
    const anonPages = numberOf(text, `${prefix}workingset_refault_anon`, place);
    if (filePages !== null && anonPages !== null) return { filePages, anonPages, apart: true };
    const both = numberOf(text, `${prefix}workingset_refault`, place);
    if (both !== null) return { filePages: both, anonPages: 0, apart: false };
  }
  return null;
}

/** What evictions of user space are counted under. */
export interface ProactiveSteal {
  readonly pages: number;
  /** False before 6.15, where what the kernel's own direct reclaim took is in it. */
  readonly apart: boolean;
}

/** `pgsteal_proactive`; before Linux 6.15 such evictions count as `pgsteal_direct`. Null on v1. Fault `malformed`. */
export function parseProactiveSteal(text: string): ProactiveSteal | null {
  const proactive = numberOf(text, "pgsteal_proactive", place);
  if (proactive !== null) return { pages: proactive, apart: true };
  const pages = numberOf(text, "pgsteal_direct", place) ?? numberOf(text, "pgsteal", place);
  return pages === null ? null : { pages, apart: false };
}

/**
 * With `flush`, `cpu.stat` is read first: before 6.15 that makes the kernel add up what its CPUs hold back, so that the
 * count is exact. Later kernels add up for memory.stat itself once some 64 changes for each CPU have come together.
 * Faults: `vanished`, `denied`, `malformed`, `io`.
 */
export function readProactiveSteal(
  root: string,
  tree: CgroupTree,
  path: string,
  flush: boolean,
): ProactiveSteal | null {
  if (flush && tree.version === 2) readPathIfThere(cgroupFile(root, tree, path, "cpu.stat"));
  return parseProactiveSteal(readPath(cgroupFile(root, tree, path, "memory.stat"), "vanished"));
}

/** Faults: `vanished`, `denied`, `malformed`, `io`. */
export function readMemoryStat(root: string, tree: CgroupTree, path: string): MemoryStat {
  return parseMemoryStat(readPath(cgroupFile(root, tree, path, "memory.stat"), "vanished"));
}
