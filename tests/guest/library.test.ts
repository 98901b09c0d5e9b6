/** The agent inside another program, which is compiled here as its author would do it. */
import { afterAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { coldCache, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";

const mib = 2 ** 20;
const coldMiB = 128;
const folder = mkdtempSync(join(tmpdir(), "mem-agent-program-"));

afterAll(() => rmSync(folder, { recursive: true }));

guestTest(
  "another compiled program gives memory back with the library",
  { memoryMiB: 640, diskMiB: 200, on: "6.12" },
  async (guest) => {
    await coldCache(guest, "cold", coldMiB);
    const { evictedBytes, ...rest } = JSON.parse(await guest.sh("program /cold")) as { readonly evictedBytes: number };
    expect(rest).toEqual({ changes: 1, agings: 3, end: "evicted" });
    expect(evictedBytes).toBeGreaterThan(coldMiB * 0.9 * mib);
    expect(await usageBytes(guest, "cold")).toBeLessThan(coldMiB * 0.1 * mib);
  },
  async () => {
    const outfile = join(folder, "program");
    await Bun.build({ entrypoints: [join(import.meta.dir, "workload/program.ts")], compile: { outfile } });
    return { "/usr/bin/program": outfile };
  },
);
