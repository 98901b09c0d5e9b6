/**
 * What each way to start the program loads: packages and modules of the runtime cost time and memory (a terminal's module
 * 3 ms of a command, compression 0.8 MiB of the daemon), so each of them is written down here.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";

const root = join(import.meta.dir, "../../..");
const transpiler = new Bun.Transpiler({ loader: "ts" });

/** Everything that loads with these modules, without what they load later: ours by path, the rest by name. */
function loadedWith(entries: readonly string[]): {
  readonly ours: ReadonlySet<string>;
  readonly others: readonly string[];
} {
  const ours = new Set<string>();
  const others = new Set<string>();
  const wanted = entries.map((entry) => join(root, entry));
  for (let path = wanted.pop(); path !== undefined; path = wanted.pop()) {
    if (ours.has(path)) continue;
    ours.add(path);
    if (!path.endsWith(".ts")) continue;
    for (const { kind, path: specifier } of transpiler.scanImports(readFileSync(path, "utf8"))) {
      if (kind !== "import-statement") continue;
      if (specifier.startsWith(".")) wanted.push(join(path, "..", specifier));
      else others.add(specifier);
    }
  }
  return { ours: new Set([...ours].map((path) => relative(root, path))), others: [...others].toSorted() };
}

const starts = [
  {
    name: "serve, its second stage",
    entries: ["src/main.ts", "src/cli/verbs/serve-here.ts"],
    others: ["bun:ffi", "consola/core", "node:fs", "node:path", "valibot"],
    modulesMax: 133,
  },
  {
    name: "the child that compacts",
    entries: ["src/main.ts", "src/agent/compact/child.ts"],
    others: ["node:fs", "node:path"],
    modulesMax: 12,
  },
  {
    name: "memcgset",
    entries: ["src/main.ts", "src/cli/command.ts", "src/cli/verbs/set.ts", "src/cli/setting-arguments.ts"],
    others: ["citty", "node:fs", "valibot"],
    modulesMax: 38,
  },
  {
    name: "memcgstatus",
    entries: ["src/main.ts", "src/cli/command.ts", "src/cli/verbs/memcgstatus.ts"],
    others: ["citty", "node:fs"],
    modulesMax: 38,
  },
] as const;

for (const { name, entries, others, modulesMax } of starts) {
  test(`${name} loads what it needs and no more`, () => {
    const loaded = loadedWith(entries);
    expect(loaded.others).toEqual([...others]);
    expect(loaded.ours.size).toBeGreaterThan(entries.length);
    expect(loaded.ours.size).toBeLessThanOrEqual(modulesMax);
  });
}
