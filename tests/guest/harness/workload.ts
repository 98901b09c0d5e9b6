/** The program that fills a guest's memory, built from workload/workload.c, which says what it does. */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { checked } from "./commands.ts";
import { cacheFolder, moveIntoPlace } from "./kernels.ts";

/** Where a guest that was booted with `files: await workloadFiles()` has it. */
export const workloadPath = "/usr/bin/workload";

/** For `Guest.boot({ files })`: the program, built unless the cache has it from the same source. */
export async function workloadFiles(): Promise<Readonly<Record<string, string>>> {
  const source = join(import.meta.dir, "../workload/workload.c");
  const key = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(cacheFolder(), "workload");
  const program = join(folder, `workload-${key}`);
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    const draft = `${program}.${process.pid}`;
    await checked(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", draft, source], folder);
    moveIntoPlace(draft, program);
  }
  return { [workloadPath]: program };
}
