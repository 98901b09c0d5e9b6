/** Pages that are in an old generation and are not old: read just now with read(2), or moved from a child that was removed. */
import { expect, test } from "bun:test";
import { MemcgKernel, pageBytes } from "./memcg-kernel.ts";
import { Serving } from "./memcg-serving.ts";

const old = 20_000;
const fresh = 10_000;

const comings: readonly [how: string, come: (kernel: MemcgKernel) => void, evicted: readonly number[]][] = [
  ["nothing came: what is old goes", () => {}, [old, 0, 0, 0]],
  [
    "read with read(2): they wait, and what is old with them",
    (kernel) => kernel.readOld("/p", fresh),
    [0, 0, old + fresh, 0],
  ],
  ["moved from a removed child: the same", (kernel) => kernel.reparent("/p/c"), [0, 0, old + fresh, 0]],
];

test.each(comings)("%s", async (_, come, expected) => {
  using kernel = new MemcgKernel();
  kernel.add("/p", { anonPages: 0, filePages: old });
  kernel.add("/p/c", { anonPages: 0, filePages: fresh });
  const serving = new Serving(kernel, { cgroups: [{ path: "/p/c", no_subdir: true, disabled: true }] });
  await serving.ripen();
  come(kernel);
  const evicted: number[] = [];
  while (evicted.length < expected.length) {
    const { evicted_bytes: bytes } = await serving.next();
    evicted.push(bytes.file_bytes / pageBytes);
  }
  expect(evicted).toEqual([...expected]);
});
