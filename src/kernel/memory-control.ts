/**
 * A cgroup's amounts and limits. Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 *
 * v2: memory.current, .min, .low, .high, .max, memory.swap.current, .max: bytes, or `max`.
 * v1: memory.usage_in_bytes, .limit_in_bytes, and memory.memsw.* for memory and swap together; no limit is
 * 9223372036854771712. The root cgroup of v2 has none of these files.
 */
import { cgroupFile, type CgroupTree } from "./cgroup.ts";
import { decimalOrNull, malformed, readPathIfThere } from "./pseudo-file.ts";

/** Bytes, or `max`: no limit; of a protection: everything is protected. */
export type ByteLimit = number | "max";

/** What is null, this cgroup has no file for: the root, v1, or a kernel without swap accounting. */
export interface MemoryControl {
  readonly currentBytes: number | null;
  readonly minBytes: ByteLimit | null;
  readonly lowBytes: ByteLimit | null;
  readonly highBytes: ByteLimit | null;
  readonly maxBytes: ByteLimit | null;
  readonly swapCurrentBytes: number | null;
  readonly swapMaxBytes: ByteLimit | null;
}

export interface MemoryProtection {
  readonly currentBytes: number | null;
  readonly minBytes: ByteLimit | null;
  readonly lowBytes: ByteLimit | null;
}

/** v1 writes the largest number of whole pages for no limit: with 4 KiB pages 2^63 - 4096, which no memory reaches. */
const unlimitedBytesMin = 2 ** 62;

/** `max` or bytes. Fault `malformed`. */
export function parseByteLimit(text: string, place = "a cgroup's limit"): ByteLimit {
  const trimmed = text.trim();
  if (trimmed === "max") return "max";
  const bytes = decimalOrNull(trimmed);
  if (bytes === null) throw malformed(place, "neither bytes nor max", text);
  return bytes >= unlimitedBytesMin ? "max" : bytes;
}

/** Faults: `denied`, `malformed`, `io`. A cgroup that is gone has all null. */
export function readMemoryControl(root: string, tree: CgroupTree, path: string): MemoryControl {
  const limit = (file: string): ByteLimit | null => readLimit(root, tree, path, file);
  if (tree.version === 1) {
    return {
      currentBytes: amount(limit("memory.usage_in_bytes")),
      minBytes: null,
      lowBytes: null,
      highBytes: null,
      maxBytes: limit("memory.limit_in_bytes"),
      swapCurrentBytes: null,
      swapMaxBytes: null,
    };
  }
  return {
    ...readMemoryProtection(root, tree, path),
    highBytes: limit("memory.high"),
    maxBytes: limit("memory.max"),
    swapCurrentBytes: amount(limit("memory.swap.current")),
    swapMaxBytes: limit("memory.swap.max"),
  };
}

/** What the kernel leaves a cgroup under pressure, beside what it uses: v2 only, all null on v1. Faults as above. */
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

/** What the cgroup and its children use, made to be read often. Null where the cgroup has no such file, or is gone. */
export function readUsageBytes(root: string, tree: CgroupTree, path: string): number | null {
  return amount(readLimit(root, tree, path, tree.version === 1 ? "memory.usage_in_bytes" : "memory.current"));
}
