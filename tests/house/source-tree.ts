/** The project's own sources as the house checks see them. */

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface SourceFile {
  /** From the project's root, such as `src/core/eviction.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  readonly specifier: string;
  /** The whole declaration is `import type` or `export type`: nothing of it is there at run time. */
  readonly typeOnly: boolean;
}

const root = join(import.meta.dir, "../..");

export function sourceFiles(...patterns: readonly string[]): readonly SourceFile[] {
  const paths = patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).toSorted();
  return paths.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

/** Every import, export-from and dynamic import of a module. */
export function importsOf(text: string): readonly Import[] {
  const declarations = text.matchAll(/^\s*(?:import|export)\s+(type\s)?(?:[^;"']*?\sfrom\s+)?["']([^"']+)["']/gm);
  const dynamic = text.matchAll(/\bimport\(\s*["']([^"']+)["']\s*[,)]/g);
  return [
    ...[...declarations].map(([, type, specifier = ""]) => ({ specifier, typeOnly: type !== undefined })),
    ...[...dynamic].map(([, specifier = ""]) => ({ specifier, typeOnly: false })),
  ];
}

/** `src/core/eviction.ts` is in `core`; `src/main.ts`, which may use everything, in none. */
export function folderOf(path: string): string | null {
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? null;
}
