/** Whose pressure files stand for a cgroup, as they come and go. */
import { expect, test } from "bun:test";
import { rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { MemcgKernel } from "./memcg-kernel.ts";
import { Serving } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };

function pressureFile(kernel: MemcgKernel, path: string, resource: string): string {
  return join(kernel.root, `sys/fs/cgroup${path}/${resource}.pressure`);
}

test("a cgroup whose files are hidden is judged by its parent, and by its own when they are back", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", cold);
  kernel.add("/a/b", cold);
  const serving = new Serving(kernel);
  kernel.stall("/a/b", { memoryMs: 60_000 });
  kernel.stall("/a", { memoryMs: 600_000 });
  await serving.run();
  expect(serving.target("/a/b").pressure_source).toBe("/a/b");

  for (const resource of ["memory", "io"]) rmSync(pressureFile(kernel, "/a/b", resource));
  await serving.next();
  // Other totals: they begin a new waiting period, and are not held against the old one.
  expect(serving.target("/a/b")).toMatchObject({ pressure_source: "/a", pressure_percent: null, skips: 0 });
  kernel.stall("/a", { memoryMs: 6000 });
  await serving.next();
  expect(serving.target("/a/b")).toMatchObject({ pressure_source: "/a", last_end: "pressure" });

  kernel.stall("/a/b", {});
  await serving.next();
  expect(serving.target("/a/b")).toMatchObject({ pressure_source: "/a/b", pressure_percent: null });
});

test("pressure that cannot be read for want of descriptors ends the run: nothing is evicted unguarded", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", cold);
  const serving = new Serving(kernel);
  await serving.ripen();
  const file = pressureFile(kernel, "/a", "memory");
  rmSync(file);
  // Opening it fails as with too many open files: not because it is not there.
  symlinkSync(file, file);
  const failure = await serving.run().catch((error: unknown) => error);
  expect(failure).toMatchObject({ kind: "io" });
  expect(serving.commands("-")).toEqual([]);
  expect(serving.warnings.list).toMatchObject([{ key: "memcg" }]);
  rmSync(file);
  kernel.stall("/a", {});
  await serving.next();
  expect(serving.warnings.list).toEqual([]);
  expect(serving.target("/a").evicted_bytes.file_bytes).toBeGreaterThan(0);
});

test("a failure is told in one line, and once", async () => {
  using kernel = new MemcgKernel();
  const serving = new Serving(kernel, { backend: "lru_gen" });
  await serving.run();
  kernel.switchLruGen(0);
  for (let attempt = 0; attempt < 3; attempt++) await serving.next().catch(() => null);
  const [warning] = serving.warnings.list;
  expect(warning?.message.match(/lru_gen was switched off/g)).toHaveLength(1);
  expect(serving.log.entries.filter(({ level }) => level === "warn")).toHaveLength(1);
});
