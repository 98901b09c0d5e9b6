/** Giving back by a deadline: what leaves, what the host can have, and how late it is. */
import { expect } from "bun:test";
import type { GivebackReport } from "../../src/agent/status.ts";
import { agentFiles, coldCache, GuestAgent, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
/** What is wanted is 50 ms (SPEC 5a): the test prints how far it is from that. An emulated guest is held up for longer. */
const lateMsWanted = 50;
const heldUpMsMax = 1500;
const calls = 20;

guestTest(
  "600 MiB that nobody reads are given back within the deadline, and each call ends in time",
  { memoryMiB: 1536, diskMiB: 900, on: "7.2" },
  givesBackInTime,
  agentFiles,
);

async function givesBackInTime(guest: Guest): Promise<void> {
  await coldCache(guest, "kept", 32);
  await guest.sh(`echo 64M >/sys/fs/cgroup/kept/memory.low`);
  await coldCache(guest, "cold", 600);
  await using agent = await GuestAgent.serve(guest, "");
  const kept = await usageBytes(guest, "kept");

  const first = await agent.json<GivebackReport>("giveback --within 1m");
  console.log(`${guest.kernel}: ${text(first)}`);
  expect(first.problems).toEqual([]);
  expect(first.freed_bytes.file_bytes).toBeGreaterThan(600 * 0.9 * mib);
  expect(await usageBytes(guest, "cold")).toBeLessThan(600 * 0.1 * mib);
  expect(await usageBytes(guest, "kept")).toBeGreaterThan(kept * 0.9);
  expect(first.left.map(({ why }) => why)).toContain("protected");
  const [before, after] = [first.before?.reportable_bytes ?? 0, first.after?.reportable_bytes ?? 0];
  expect(after - before).toBeGreaterThan(600 * 0.7 * mib);

  const lateMs: number[] = [];
  for (let call = 0; call < calls; call++) {
    // There is more to do each time than the time allows.
    await guest.sh("cat /data/cold >/dev/null", { timeoutMs: 60_000 });
    const report = await agent.json<GivebackReport>("giveback --within 500ms --ignore-pressure");
    lateMs.push(Math.round((report.wall_secs - report.within_secs) * 1000));
    if (call === 0) console.log(`${guest.kernel}: ${text(report)}`);
  }
  console.log(`${guest.kernel}: late by ${lateMs.join(", ")} ms over ${calls} calls of 500 ms`);
  const missed = lateMs.filter((ms) => ms > lateMsWanted).length;
  console.log(`${guest.kernel}: ${missed} of ${calls} calls missed the deadline by more than ${lateMsWanted} ms`);
  expect(Math.max(...lateMs)).toBeLessThanOrEqual(heldUpMsMax);
  expect(await agent.stop()).toBe(0);
}

function text(report: GivebackReport): string {
  const left = report.left.map(({ why, bytes }) => `${why} ${amount(bytes)}`).join(", ");
  return (
    `freed ${amount(report.freed_bytes.file_bytes)} MiB in ${report.wall_secs.toFixed(2)} s, ` +
    `reportable ${amount(report.before?.reportable_bytes)} to ${amount(report.after?.reportable_bytes)}, ` +
    `left ${left}; ${report.batches} batches, ${report.agings} agings, compaction ${report.compaction.end ?? report.compaction.why}`
  );
}

function amount(bytes: number | null | undefined): string {
  return ((bytes ?? 0) / mib).toFixed(0);
}
