/**
 * `/proc/sys/vm/drop_caches`: 2 drops reclaimable slab objects (dentries and inodes) of all cgroups. Linux 2.6.16,
 * Documentation/admin-guide/sysctl/vm.rst. The write returns when the kernel has gone through all of them: it takes no
 * amount, and a signal ends it only between two passes.
 */
import { closeSync, constants, openSync } from "node:fs";
import { fileFault, under, writeOnPool } from "../system/pseudo-file.ts";

const place = "/proc/sys/vm/drop_caches";
const slabObjects = "2";

/** Resolves when the kernel is done, off the event loop. Faults: `missing`, `denied`, `io`. */
export async function dropSlab(root: string): Promise<void> {
  const file = under(root, place);
  try {
    const fd = openSync(file, constants.O_WRONLY);
    try {
      await writeOnPool(fd, Buffer.from(slabObjects));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw fileFault(error, "write to", file, "missing");
  }
}
