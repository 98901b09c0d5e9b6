import { expect, test } from "bun:test";
import { posix } from "node:path";

import { circles, forbiddenImport } from "./import-rules.ts";
import { importsOf, sourceFiles } from "./source-tree.ts";

test("every module of src imports only what its place allows", () => {
  const files = sourceFiles("src/**/*.ts");
  expect(files.length).toBeGreaterThan(0);
  const violations = files.flatMap(({ path, text }) =>
    importsOf(text).flatMap((wanted) => {
      const why = forbiddenImport(path, wanted);
      return why === null ? [] : [`${path} imports ${wanted.specifier}: ${why}`];
    }),
  );
  expect(violations).toEqual([]);
});

test("no modules of src import each other in a circle", () => {
  const imports = sourceFiles("src/**/*.ts").map(({ path, text }) => {
    const own = importsOf(text).filter(({ specifier }) => specifier.startsWith("."));
    return [path, own.map(({ specifier }) => posix.join(posix.dirname(path), specifier))] as const;
  });
  expect(circles(new Map(imports))).toEqual([]);
});

test("a circle is found, however long, and once", () => {
  const imports = { a: ["b"], b: ["c"], c: ["a", "d"], d: [] };
  expect(circles(new Map(Object.entries(imports)))).toEqual(["a > b > c > a"]);
});

test.each([
  ["src/core/a.ts", `import { x } from "../base/units.ts";`, null],
  ["src/core/a.ts", `import type { X } from "../kernel/lru-gen.ts";`, null],
  ["src/core/a.ts", `import { x } from "../kernel/lru-gen.ts";`, "core takes only types from kernel"],
  ["src/core/a.ts", `import {\n  x,\n  y,\n} from "../agent/memcg/run.ts";`, "core comes before agent"],
  ["src/base/a.ts", `export { x } from "../config/schema.ts";`, "base comes before config"],
  ["src/config/a.ts", `import { x } from "../kernel/psi.ts";`, "config comes before kernel"],
  ["src/kernel/a.ts", `import { x } from "../config/schema.ts";`, "config and kernel do not see each other"],
  ["src/agent/a.ts", `const x = await import("../cli/verbs.ts");`, "agent comes before cli"],
  ["src/agent/a.ts", `import "../main.ts";`, "nothing imports src/main.ts"],
  ["src/main.ts", `import { x } from "./cli/verbs.ts";`, null],
  ["src/agent/a.ts", `import { x } from "../utils/x.ts";`, "a folder that has no place"],
  ["src/agent/a.ts", `import { x } from "./b";`, "end with .ts"],
  ["src/agent/a.ts", `import { x } from "../../tests/guest/harness/guest.ts";`, "nothing from outside src"],
  ["src/agent/a.ts", `import { dlopen } from "bun:ffi";`, "bun:ffi is for src/system"],
  ["src/system/libc.ts", `import { dlopen } from "bun:ffi";`, null],
  ["src/system/a.ts", `import { x } from "../config/schema.ts";`, "system comes before config"],
  ["src/agent/mem-agent.ts", `import { x } from "./memcg/service.ts";`, null],
  ["src/agent/mem-agent.ts", `import { x } from "./memcg/run.ts";`, "agent/memcg is entered through service"],
  ["src/agent/compact/run.ts", `import { x } from "../memcg/registry.ts";`, "agent/memcg is entered through service"],
  ["src/api/a.ts", `const x = await import("../agent/daemon/live-log.ts");`, "agent/daemon is entered through daemon"],
  ["src/agent/memcg/run.ts", `import { x } from "./evict.ts";`, null],
  ["src/core/a.ts", `import { readFileSync } from "node:fs";`, "node:fs is for src/system"],
  ["src/core/a.ts", `import { readFile } from "node:fs/promises";`, "node:fs is for src/system"],
])("%s with %s", (path, text, why) => {
  const found = importsOf(text).map((wanted) => forbiddenImport(path, wanted));
  expect(found).toHaveLength(1);
  if (why === null) expect(found[0]).toBeNull();
  else expect(found[0]).toContain(why);
});
