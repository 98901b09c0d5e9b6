/** What a machine does to the agent, one fault after the other; the table of what was seen is the suite's own. */
import { expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupTrials } from "./faults/cgroup-trials.ts";
import { endTrials } from "./faults/end-trials.ts";
import { kernelTrials } from "./faults/kernel-trials.ts";
import { machineTrials } from "./faults/machine-trials.ts";
import { socketTrials } from "./faults/socket-trials.ts";
import { perform, Scene, tableOf, type Row } from "./faults/trial.ts";
import { agentFiles } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";
import { swarmFiles } from "./harness/workload.ts";

/** Memory for 5,000 cgroups, some 60 KB each in the kernel, and what is evicted. */
const guest = { memoryMiB: 1664, swapMiB: 256, diskMiB: 768 };

guestTest(
  "no fault ends the agent, and all is well after each",
  { ...guest, kernels: ["6.1", "7.2"], timeoutMs: 900_000 },
  survive,
  async () => ({ ...(await agentFiles()), ...(await swarmFiles()) }),
);

const only = process.env["FAULTS"] ?? "";
const trials = [...cgroupTrials, ...kernelTrials, ...socketTrials, ...machineTrials, ...endTrials].filter(({ fault }) =>
  fault.includes(only),
);

async function survive(guest: Guest): Promise<void> {
  const scene = new Scene(guest);
  await scene.set();
  const rows: Row[] = [];
  for (const trial of trials) {
    const row = await perform(trial, scene);
    console.log(`${guest.kernel}: ${row.secs.toFixed(1)} s ${row.held ? "ok" : "FAILED"} ${row.fault}: ${row.seen}`);
    rows.push(row);
  }
  const table = tableOf(rows, `${guest.kernel} (${guest.release})`);
  const folder = join(import.meta.dir, "../../dist/faults");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${guest.kernel}.md`), `${table}\n`);
  console.log(table);
  expect(rows.filter(({ held }) => !held).map(({ fault, seen }) => `${fault}: ${seen}`)).toEqual([]);
  expect(complaintsOf(await guest.dmesg())).toEqual([]);
}

/** What the kernel says when something of its own is wrong. The OOM killer's reports are what one fault asks for. */
function complaintsOf(dmesg: string): readonly string[] {
  const wrong =
    /\bBUG:|\bWARNING:|\bOops\b|blocked for more than|soft lockup|hard LOCKUP|Kernel panic|general protection/;
  return dmesg.split("\n").filter((line) => wrong.test(line));
}
