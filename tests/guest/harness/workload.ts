/**
 * The programs that fill a guest's memory and measure what happens to it, built from workload/*.c, which say what they do.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { checked } from "./commands.ts";
import { cacheFolder, moveIntoPlace } from "./kernels.ts";

/** Where a guest that was booted with `files: await workloadFiles()` has them. */
export const workloadPath = "/usr/bin/workload";
export const probePath = "/usr/bin/probe";
/** Cgroups by the thousand, for the faults. */
export const swarmPath = "/usr/bin/swarm";
/** The key-value server, and its client. */
export const storePath = "/usr/bin/store";

/** The server whose latency tells whether the agent does harm. */
export async function storeFiles(): Promise<Readonly<Record<string, string>>> {
  return { [storePath]: await built("store") };
}

export async function swarmFiles(): Promise<Readonly<Record<string, string>>> {
  return { [swarmPath]: await built("swarm") };
}

/** For `Guest.boot({ files })`: the programs, built unless the cache has them from the same sources. */
export async function workloadFiles(): Promise<Readonly<Record<string, string>>> {
  return { [workloadPath]: await built("workload"), [probePath]: await built("probe") };
}

async function built(name: string): Promise<string> {
  const source = join(import.meta.dir, `../workload/${name}.c`);
  const key = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(cacheFolder(), "workload");
  const program = join(folder, `${name}-${key}`);
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    const draft = `${program}.${process.pid}`;
    await checked(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", draft, source], folder);
    moveIntoPlace(draft, program);
  }
  return program;
}
