/**
 * A cgroup's `memory.reclaim`: reclaim by amount. Linux 5.19, Documentation/admin-guide/cgroup-v2.rst. cgroup v2 only.
 *
 *     1048576 swappiness=0
 *
 * Bytes; `swappiness=` (0 file pages only, to 200) since 6.10: older kernels refuse it with EINVAL. The write returns
 * when the kernel is done; EAGAIN says that it found less than was asked for.
 */
import { closeSync, constants, existsSync, openSync, writeSync } from "node:fs";
import { errnoOf } from "../base/fault.ts";
import { cgroupFile, type CgroupTree } from "./cgroup.ts";
import type { FsPath } from "../system/path-name.ts";
import { writeOnPool, fileFault } from "../system/pseudo-file.ts";

export interface ReclaimRequest {
  readonly bytes: number;
  /** Null leaves it to the kernel's own, and is all that kernels before 6.10 take. */
  readonly swappiness: number | null;
}

/** `partial`: less was there than was asked for. `interrupted`: a signal cut the work short, part of it is done. */
export type ReclaimEnd = "done" | "partial" | "interrupted";

/** The line for `memory.reclaim`. */
export function formatReclaim(request: ReclaimRequest): string {
  return request.swappiness === null ? `${request.bytes}` : `${request.bytes} swappiness=${request.swappiness}`;
}

/**
 * Asks the kernel to reclaim from a cgroup and those below it, off the event loop; one at a time, please: the pool has
 * two threads. Faults: `vanished` (or no such file), `unsupported` (swappiness on an old kernel), `denied`, `io`.
 */
export async function reclaim(
  root: string,
  tree: CgroupTree,
  path: string,
  request: ReclaimRequest,
): Promise<ReclaimEnd> {
  const file = cgroupFile(root, tree, path, "memory.reclaim");
  const doing = `write ${JSON.stringify(formatReclaim(request))} to`;
  const fd = openToWrite(file, doing);
  try {
    await writeOnPool(fd, Buffer.from(formatReclaim(request)));
    return "done";
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EAGAIN") return "partial";
    if (errno === "EINTR") return "interrupted";
    throw fileFault(error, doing, file, "vanished");
  } finally {
    closeSync(fd);
  }
}

/** False for the root cgroup, on cgroup v1, and before Linux 5.19. */
export function hasReclaim(root: string, tree: CgroupTree, path: string): boolean {
  return tree.version === 2 && existsSync(cgroupFile(root, tree, path, "memory.reclaim"));
}

/**
 * True when `memory.reclaim` takes `swappiness=`: tried with 0 bytes, which reclaims nothing.
 * Faults: `vanished`, `denied`, `io`.
 */
export function acceptsSwappiness(root: string, tree: CgroupTree, path: string): boolean {
  const file = cgroupFile(root, tree, path, "memory.reclaim");
  const doing = "try swappiness= with";
  const fd = openToWrite(file, doing);
  try {
    writeSync(fd, formatReclaim({ bytes: 0, swappiness: 0 }));
    return true;
  } catch (error) {
    if (errnoOf(error) === "EINVAL") return false;
    throw fileFault(error, doing, file, "vanished");
  } finally {
    closeSync(fd);
  }
}

function openToWrite(file: FsPath, doing: string): number {
  try {
    return openSync(file, constants.O_WRONLY);
  } catch (error) {
    throw fileFault(error, doing, file, "vanished");
  }
}
