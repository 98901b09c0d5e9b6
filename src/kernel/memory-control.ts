/**
 * What a cgroup uses, and what of it is protected. Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 *
 * v2: memory.current, memory.min, memory.low: bytes, or `max`. The root cgroup has none of these files.
 * v1: memory.usage_in_bytes.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { cgroupFile, type CgroupTree } from "./cgroup.ts";
import type { FsPath } from "../system/path-name.ts";
import { decimalOrNull, fileFault, malformed, readPathIfThere } from "../system/pseudo-file.ts";

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

/** What the cgroup and its children use. Null where the cgroup has no such file, or is gone. Faults: `denied`, `malformed`, `io`. */
export function readUsageBytes(root: string, tree: CgroupTree, path: string): number | null {
  return amount(readLimit(root, tree, path, usageName(tree)));
}

/** A number ends long before it. */
const head = Buffer.allocUnsafeSlow(64);

/** One cgroup's usage, kept open to be read around each step of an eviction. It never tells another cgroup of the name. */
export class UsageFile implements Disposable {
  readonly #path: FsPath;
  readonly #fd: number;

  /** Null where the cgroup has no such file, or is gone. Faults: `denied`, `io`. */
  static open(root: string, tree: CgroupTree, path: string): UsageFile | null {
    const file = cgroupFile(root, tree, path, usageName(tree));
    try {
      return new UsageFile(file, openSync(file, "r"));
    } catch (error) {
      const fault = fileFault(error, "open", file, "vanished");
      if (fault.kind === "vanished") return null;
      throw fault;
    }
  }

  private constructor(path: FsPath, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /** Null when the cgroup is gone. Faults: `malformed`, `io`. */
  readBytes(): number | null {
    let length: number;
    try {
      length = readSync(this.#fd, head, 0, head.length, 0);
    } catch (error) {
      const fault = fileFault(error, "read", this.#path, "vanished");
      if (fault.kind === "vanished") return null;
      throw fault;
    }
    return amount(parseByteLimit(head.toString("latin1", 0, length), "a cgroup's usage"));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function usageName(tree: CgroupTree): string {
  return tree.version === 1 ? "memory.usage_in_bytes" : "memory.current";
}
