/**
 * What a cgroup uses, what of it is protected, and what it may swap. Linux, Documentation/admin-guide/cgroup-v2.rst.
 *
 * v2: memory.current, memory.min, memory.low, memory.swap.max, memory.swap.current: bytes, or `max`. The root cgroup has
 * none of these files.
 */
import { cgroupFile, type CgroupTree } from "./cgroup.ts";
import { decimalOrNull, malformed, readPathIfThere } from "../system/pseudo-file.ts";

/** Bytes, or `max`: no limit; of a protection: everything is protected. */
export type ByteLimit = number | "max";

/** What is null, this cgroup has no file for: the root, or v1. */
export interface MemoryProtection {
  readonly currentBytes: number | null;
  readonly minBytes: ByteLimit | null;
  readonly lowBytes: ByteLimit | null;
}

/** `max` or bytes. Fault `malformed`. */
export function parseByteLimit(text: string, place = "a cgroup's limit"): ByteLimit {
  const trimmed = text.trim();
  if (trimmed === "max") return "max";
  const bytes = decimalOrNull(trimmed);
  if (bytes === null) throw malformed(place, "neither bytes nor max", text);
  return bytes;
}

/**
 * What the kernel leaves a cgroup under pressure, beside what it uses: v2 only, all null on v1 and for a cgroup that is
 * gone. Faults: `denied`, `malformed`, `io`.
 */
export function readMemoryProtection(root: string, tree: CgroupTree, path: string): MemoryProtection {
  if (tree.version === 1) return { currentBytes: null, minBytes: null, lowBytes: null };
  return {
    currentBytes: amount(readLimit(root, tree, path, "memory.current")),
    minBytes: readLimit(root, tree, path, "memory.min"),
    lowBytes: readLimit(root, tree, path, "memory.low"),
  };
}

function readLimit(root: string, tree: CgroupTree, path: string, file: string): ByteLimit | null {
  const text = readPathIfThere(cgroupFile(root, tree, path, file));
  return text === null ? null : parseByteLimit(text, file);
}

function amount(limit: ByteLimit | null): number | null {
  return limit === "max" ? null : limit;
}

/** Bytes that the cgroup may still swap out by its own limit; null where it has none, or no such file (the root, v1). Faults as above. */
export function readSwapRoomBytes(root: string, tree: CgroupTree, path: string): number | null {
  if (tree.version === 1) return null;
  const max = readLimit(root, tree, path, "memory.swap.max");
  if (max === null || max === "max") return null;
  return Math.max(0, max - (amount(readLimit(root, tree, path, "memory.swap.current")) ?? 0));
}
