/** What stalls is left alone, an eviction that stalls somebody stops at once, and protected memory stays. */
import { expect } from "bun:test";
import type { EventLine } from "../../src/api/routes.ts";
import { agentFiles, coldCache, GuestAgent, HeldMemory, joining, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest, GuestProcess } from "./harness/guest.ts";

const mib = 2 ** 20;
const lowMiB = 64;
const heldMiB = 192;
const touchedMiB = 48;
const residentMiB = 32;
/** What the kernel may take beyond what it is asked for. */
const overshootMiB = 2;
const limitPercent = 30;

guestTest(
  "pressure holds back aging and eviction, and memory.low is respected",
  { memoryMiB: 1024, swapMiB: 320, diskMiB: 200 },
  underPressure,
  agentFiles,
);

async function underPressure(guest: Guest): Promise<void> {
  await guest.sh(`mkdir /sys/fs/cgroup/low && echo ${lowMiB}M >/sys/fs/cgroup/low/memory.low`);
  await coldCache(guest, "low", 96);
  const flags =
    `--memcg-period-secs 2 --memcg-period-psi-percent-limit ${limitPercent} --memcg-swap true ` +
    "--memcg-spread-percent 0 --memcg-refault-percent-limit 0 --compact-disabled true";
  await heedsThrashing(guest, flags);
}

async function heedsThrashing(guest: Guest, flags: string): Promise<void> {
  await using agent = await GuestAgent.serve(guest, flags);
  // Switched on while a cgroup is at its limit, the multi-gen LRU of 6.1 lets it run out of memory: the agent goes first.
  await guest.sh(`mkdir /sys/fs/cgroup/thrash && echo ${residentMiB}M >/sys/fs/cgroup/thrash/memory.max`);
  const thrashing = await guest.spawn(`${joining("thrash")} && exec workload touch ${touchedMiB} 0 >/dev/null`);

  const first = await agent.untilTarget("/thrash", ({ skips }) => skips > 0, {
    deadlineMs: 60_000,
    what: "a run of the thrashing cgroup skipped",
  });
  const stalled = await agent.untilTarget("/thrash", ({ skips }) => skips >= first.skips + 2, {
    deadlineMs: 30_000,
    what: "two more runs skipped",
  });
  expect(stalled.agings).toBe(first.agings);
  expect(stalled.evictions).toBe(first.evictions);
  expect(stalled.last_end).toBe("pressure");
  expect(stalled.pressure_source).toBe("/thrash");
  expect(stalled.pressure_percent).toBeGreaterThan(limitPercent);

  await thrashing.kill("STOP");
  const half = (residentMiB / 2) * mib;
  const calm = await agent.untilTarget("/thrash", ({ evicted_bytes }) => evicted_bytes.anon_bytes > half, {
    deadlineMs: 120_000,
    what: "half of the cgroup evicted once its stall is below the limit",
  });
  expect(calm.agings).toBeGreaterThan(stalled.agings);
  console.log(`${guest.kernel}: ${calm.skips} runs skipped after ${stalled.pressure_percent?.toFixed(0)} % of stall`);

  await respectedLow(guest, agent);
  await stoppedByTrigger(guest, agent);
  expect(await agent.stop()).toBe(0);
}

async function respectedLow(guest: Guest, agent: GuestAgent): Promise<void> {
  const low = await agent.untilTarget("/low", ({ evictions }) => evictions > 0, {
    deadlineMs: 30_000,
    what: "an eviction above memory.low",
  });
  expect(low.last_end).toBe("protected");
  const left = await usageBytes(guest, "low");
  expect(left).toBeGreaterThanOrEqual(lowMiB * mib);
  expect(left).toBeLessThan((lowMiB + 2 * overshootMiB) * mib);
}

async function stoppedByTrigger(guest: Guest, agent: GuestAgent): Promise<void> {
  const held = await HeldMemory.hold(guest, "held", heldMiB);
  const events = await guest.spawn("exec mem-agent events");
  const probe = await guest.spawn(`${joining("held")} && exec probe stop /sys/fs/cgroup/held /data/low`);
  const { status, stdout, stderr } = await within(guest, probe);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const [, firedMs = "", stoppedMs = ""] = /fired (\S+) stopped (\S+)/.exec(stdout) ?? [];
  console.log(
    `${guest.kernel}: stalling at 0 ms, the trigger fired at ${firedMs}, eviction went on until ${stoppedMs}`,
  );
  expect(Number(stoppedMs) - Number(firedMs)).toBeLessThan(200);

  const end = await guest.until(async () => endOf(await events.stdout(), "/held"), {
    deadlineMs: 10_000,
    what: "the end of the eviction told",
  });
  expect(end.end).toBe("pressure");
  expect(end.evicted_bytes).toBeGreaterThan(4 * mib);
  expect(end.evicted_bytes).toBeLessThan(heldMiB * 0.9 * mib);
  expect((await agent.target("/held")).ends.pressure).toBeGreaterThan(0);
  await events.kill("KILL");
  expect(await held.verify()).toBe("verified");
}

async function within(guest: Guest, probe: GuestProcess): Promise<Awaited<GuestProcess["exited"]>> {
  let answer: Awaited<GuestProcess["exited"]> | null = null;
  void probe.exited.then((exited) => (answer = exited));
  return await guest.until(() => answer, { deadlineMs: 60_000, what: "the end of the probe" });
}

/** The end of the first eviction of a cgroup that the events tell. */
function endOf(lines: string, path: string): Extract<EventLine, { event: "target_end" }> | null {
  for (const line of lines.split("\n").slice(0, -1)) {
    if (line === "") continue;
    const event = JSON.parse(line) as EventLine;
    if (event.event === "target_end" && event.path === path && event.evicted_bytes > 0) return event;
  }
  return null;
}
