/** Cgroups that go while they are evicted, and leave their name to another. */
import { expect, test } from "bun:test";
import { MemcgKernel, refusal } from "./memcg-kernel.ts";
import { Serving } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };

test("one that is replaced by another of its name while it is evicted has vanished", async () => {
  using kernel = new MemcgKernel();
  kernel.add("/a", cold);
  const serving = new Serving(kernel);
  await serving.ripen();
  const start = `- ${kernel.id("/a")} `;
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
