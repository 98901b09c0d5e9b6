/** Cgroups that go while they are evicted, and leave their name to another. */
import { expect, test } from "bun:test";
import { batchPagesAtStart } from "../../../src/core/eviction.ts";
import { MemcgKernel, pageBytes, refusal } from "./memcg-kernel.ts";
import { Serving } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };
/** The root has no pages, and is a target as well. */
const nothingInRoot = 1;

/** `/a` is cold, and the commands that evict it begin with `start`. */
async function ripe(kernel: MemcgKernel): Promise<{ readonly serving: Serving; readonly start: string }> {
  kernel.add("/a", cold);
  const serving = new Serving(kernel);
  await serving.ripen();
  return { serving, start: `- ${kernel.id("/a")} ` };
}

test("one that is replaced by another of its name while it is evicted has vanished", async () => {
  using kernel = new MemcgKernel();
  const { serving, start } = await ripe(kernel);
  let replaced = false;
  kernel.meets = (command) => {
    if (!command.startsWith(start)) return null;
    if (!replaced) kernel.replace("/a");
    replaced = true;
    return refusal();
  };
  const { ends } = await serving.run();
  expect(replaced).toBe(true);
  expect(ends).toMatchObject({ vanished: 1, error: 0 });
  expect(serving.log.entries.filter(({ level }) => level === "warn")).toEqual([]);
});

test("one that is still listed after its removal, without its pages, has vanished, and they were not evicted", async () => {
  using kernel = new MemcgKernel();
  const { serving, start } = await ripe(kernel);
  let batches = 0;
  kernel.meets = (command) => {
    if (command.startsWith(start) && ++batches === 2) kernel.reparent("/a");
    return null;
  };
  const { ends, evicted_bytes } = await serving.run();
  expect(ends).toMatchObject({ vanished: 1, nothing_cold: nothingInRoot });
  expect(evicted_bytes.file_bytes).toBeLessThanOrEqual(batchPagesAtStart * pageBytes);
});
