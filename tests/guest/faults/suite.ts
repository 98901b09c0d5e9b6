/** A group of faults, done one after the other to a guest and its agent; the table of what was seen is the suite's own. */
import { expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentFiles } from "../harness/agent.ts";
import { guestTest } from "../harness/guest-test.ts";
import type { Guest } from "../harness/guest.ts";
import type { KernelNeeds } from "../harness/kernels.ts";
import { swarmFiles } from "../harness/workload.ts";
import { perform, Scene, tableOf, type Row, type Trial } from "./trial.ts";

/** Memory for 5,000 cgroups, some 60 KB each in the kernel, and what is evicted. */
const machine = { memoryMiB: 1664, swapMiB: 256, diskMiB: 768, timeoutMs: 600_000 };

/** Declares the test of a group. FAULTS in the environment limits it to those trials whose names hold this text. */
export function faultsTest(group: string, needs: KernelNeeds, trials: readonly Trial[]): void {
  const chosen = trials.filter(({ fault }) => fault.includes(process.env["FAULTS"] ?? ""));
  guestTest(
    `no fault ends the agent, and all is well after each: ${group}`,
    { ...machine, ...needs },
    (guest) => survive(guest, group, chosen),
    async () => ({ ...(await agentFiles()), ...(await swarmFiles()) }),
  );
}

async function survive(guest: Guest, group: string, trials: readonly Trial[]): Promise<void> {
  const scene = new Scene(guest);
  await scene.set();
  const rows: Row[] = [];
  for (const trial of trials) {
    const row = await perform(trial, scene);
    console.log(`${guest.kernel}: ${row.secs.toFixed(1)} s ${row.held ? "ok" : "FAILED"} ${row.fault}: ${row.seen}`);
    rows.push(row);
  }
  const folder = join(import.meta.dir, "../../../dist/faults");
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, `${group}-${guest.kernel}.md`),
    `${tableOf(rows, `${guest.kernel} (${guest.release})`)}\n`,
  );
  expect(rows.filter(({ held }) => !held).map(({ fault, seen }) => `${fault}: ${seen}`)).toEqual([]);
  expect(complaintsOf(await guest.dmesg())).toEqual([]);
}

/** What the kernel says when something of its own is wrong. The OOM killer's reports are what one fault asks for. */
function complaintsOf(dmesg: string): readonly string[] {
  const wrong =
    /\bBUG:|\bWARNING:|\bOops\b|blocked for more than|soft lockup|hard LOCKUP|Kernel panic|general protection/;
  return dmesg.split("\n").filter((line) => wrong.test(line));
}
