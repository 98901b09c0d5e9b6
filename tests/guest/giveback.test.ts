/** Giving back by a deadline: what leaves, what the host can have, and how late it is. */
import { expect } from "bun:test";
import type { GivebackReport } from "../../src/agent/status.ts";
import { agentFiles, coldCache, GuestAgent, hotCache, usageBytes } from "./harness/agent.ts";
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

  // What happens to a process that does nothing but sleep is not ours.
  const tick = await guest.spawn("exec probe tick");
  let gaps = 0;
  const heldUpMs: number[] = [];
  const lateMs: number[] = [];
  for (let call = 0; call < calls; call++) {
    // There is more to do each time than the time allows.
    await guest.sh("cat /data/cold >/dev/null", { timeoutMs: 60_000 });
    const report = await agent.json<GivebackReport>("giveback --within 500ms --ignore-pressure");
    lateMs.push(Math.round((report.wall_secs - report.within_secs) * 1000));
    const seen = [...(await tick.stdout()).matchAll(/^gap (\d+)$/gm)].map((match) => Number(match[1]));
    heldUpMs.push(Math.max(0, ...seen.slice(gaps)));
    gaps = seen.length;
    if (call === 0) console.log(`${guest.kernel}: ${text(report)}`);
  }
  console.log(`${guest.kernel}: late by ${lateMs.join(", ")} ms over ${calls} calls of 500 ms`);
  console.log(
    `${guest.kernel}: a process that sleeps 5 ms at a time was held up by ${heldUpMs.join(", ")} ms meanwhile`,
  );
  const missed = lateMs.filter((ms) => ms > lateMsWanted).length;
  console.log(`${guest.kernel}: ${missed} of ${calls} calls missed the deadline by more than ${lateMsWanted} ms`);
  expect(Math.max(...lateMs)).toBeLessThanOrEqual(heldUpMsMax);
  expect(await agent.stop()).toBe(0);
}

/** What people run today; it takes the page cache of all, whoever uses it. */
const script = "sync; echo 3 >/proc/sys/vm/drop_caches; echo 1 >/proc/sys/vm/compact_memory";
const coldMiB = 600;
const hotMiB = 150;

for (const way of ["giveback", "script"] as const) {
  guestTest(
    `${coldMiB} MiB cold and ${hotMiB} MiB in use, before a snapshot: ${way}`,
    { memoryMiB: 1536, diskMiB: 1000, kernels: ["6.12", "7.2"] },
    (guest) => beforeSnapshot(guest, way),
    agentFiles,
  );
}

async function beforeSnapshot(guest: Guest, way: "giveback" | "script"): Promise<void> {
  await coldCache(guest, "cold", coldMiB);
  const hot = await hotCache(guest, "hot", hotMiB);
  await using agent = await GuestAgent.serve(guest, "--memcg-disabled true");
  await agent.json("status");
  await guest.until(async () => passes(await hot.stdout()).length >= 3, { deadlineMs: 60_000, what: "three reads" });
  await guest.sh("mem-agent memcgset --memcg-disabled false --memcg-period-secs 86400 --memcg-period-min-secs 86400");
  const before = guest.hostMiB();
  const passesBefore = passes(await hot.stdout());
  const readBefore = await readMiB(guest);
  const start = performance.now();
  let said = "";
  if (way === "giveback") said = text(await agent.json<GivebackReport>("giveback --within 2s"));
  else await guest.sh(script, { timeoutMs: 60_000 });
  const tookMs = performance.now() - start;
  await Bun.sleep(3000);
  const after = guest.hostMiB();
  await Bun.sleep(57_000);
  const passesAfter = passes(await hot.stdout()).slice(passesBefore.length);
  console.log(
    `${guest.kernel}: ${way} took ${(tookMs / 1000).toFixed(1)} s ${said === "" ? "" : `(${said}) `}` +
      `host ${before.toFixed(0)} to ${after.toFixed(0)} MiB after 3 s; ` +
      `cold left ${((await usageBytes(guest, "cold")) / mib).toFixed(0)} MiB; ` +
      `a pass of the file in use: median ${quantile(passesBefore, 0.5)} ms before, then median ${quantile(passesAfter, 0.5)}, ` +
      `p99 ${quantile(passesAfter, 0.99)}, longest ${quantile(passesAfter, 1)} ms of ${passesAfter.length}; ` +
      `read from the disk in the minute after: ${((await readMiB(guest)) - readBefore).toFixed(0)} MiB`,
  );
  // Alone on the machine more than 400 of 600 are with the host; beside another such guest stall ended it with 243.
  expect(before - after).toBeGreaterThan(coldMiB / 4);
  expect(await agent.stop()).toBe(0);
}

/** Milliseconds of each pass over the file. */
function passes(stdout: string): number[] {
  return [...stdout.matchAll(/^pass \d+ (\d+)$/gm)].map((match) => Number(match[1]) / 1000);
}

function quantile(values: readonly number[], share: number): string {
  const sorted = values.toSorted((left, right) => left - right);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(0);
}

/** Read from disks since the boot. */
async function readMiB(guest: Guest): Promise<number> {
  return Number(/^pgpgin (\d+)$/m.exec(await guest.read("/proc/vmstat"))?.[1]) / 1024;
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
