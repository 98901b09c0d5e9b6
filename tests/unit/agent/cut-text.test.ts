/** Kernel texts that end anywhere: a run ends with a Fault or without its targets, and the next one is as before. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemAgent } from "../../../src/agent/mem-agent.ts";
import { isFault } from "../../../src/base/fault.ts";
import { MemcgKernel } from "./memcg-kernel.ts";

const generations = [3, 4, 5, 6].map((seq) => ` ${seq} ${(7 - seq) * 600_000} 100 ${seq === 3 ? 10_000 : 0} \n`);
const block = (id: number, path: string): string => `memcg     ${id} ${path}\n node 0\n${generations.join("")}`;
/** Writes go to the beginning, into room that no reader takes for a cgroup. */
const room = "\n".repeat(4096);
const lruGenText = `${block(1, "/")}${block(2, "/a")}${block(3, "/a/b c")}`;

const cut: readonly [path: string, text: (kernel: MemcgKernel) => string][] = [
  ["sys/kernel/debug/lru_gen", () => lruGenText],
  ...[
    "sys/fs/cgroup/a/memory.pressure",
    "sys/fs/cgroup/a/memory.current",
    "sys/fs/cgroup/a/memory.stat",
    "proc/pressure/memory",
    "proc/meminfo",
    "sys/kernel/mm/lru_gen/enabled",
  ].map((path): [string, (kernel: MemcgKernel) => string] => [path, (kernel) => textAt(kernel, path)]),
];

function textAt(kernel: MemcgKernel, path: string): string {
  return readFileSync(join(kernel.root, path), "utf8");
}

async function runs(agent: MemAgent, kernel: MemcgKernel): Promise<string> {
  kernel.clock.advance(60_000);
  writeFileSync(join(kernel.root, "sys/kernel/debug/lru_gen"), room + lruGenText);
  // An armed trigger is text in these ordinary files.
  for (const path of ["system", "/a", "/a/b c"]) kernel.stall(path, {});
  try {
    const report = await agent.run("memcg");
    return report.kind === "memcg" ? `${report.targets} targets, ${report.ends.error} errors` : report.kind;
  } catch (error) {
    if (!isFault(error)) throw error;
    return error.kind;
  }
}

describe("a text cut at each of its bytes", () => {
  test.each(cut)("%s", async (path, textOf) => {
    using kernel = new MemcgKernel();
    for (const name of ["/a", "/a/b c"]) kernel.add(name, { anonPages: 100, filePages: 10_000 });
    writeFileSync(join(kernel.root, "sys/kernel/debug/lru_gen"), room + lruGenText);
    const memcg = { period_secs: 60, spread_percent: 0, swap: true, backend: "lru_gen" } as const;
    const settings = { memcg, compact: { disabled: true } };
    const { root, clock } = kernel;
    const agent = new MemAgent({ kernelRoot: root, clock, settings });
    agent.start();
    const whole = textOf(kernel);
    expect(await runs(agent, kernel)).toBe("3 targets, 0 errors");
    const isLruGen = path.endsWith("debug/lru_gen");
    for (let length = 0; length < whole.length; length++) {
      kernel.clock.advance(60_000);
      writeFileSync(join(root, path), (isLruGen ? room : "") + whole.slice(0, length));
      // What it comes to may be anything but an exception that is no Fault.
      await agent.run("memcg").catch((error: unknown) => {
        if (!isFault(error)) throw error;
      });
      if (length % 16 !== 0) continue;
      if (!isLruGen) writeFileSync(join(root, path), whole);
      expect(await runs(agent, kernel)).toBe("3 targets, 0 errors");
    }
    if (!isLruGen) writeFileSync(join(root, path), whole);
    expect(await runs(agent, kernel)).toBe("3 targets, 0 errors");
    expect(agent.warningList).toEqual([]);
    await agent.stop();
  });
});
