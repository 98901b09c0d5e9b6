/** A dry run ages and decides like a real one, leaves memory as it is, and its forecast is what the real run evicts. */
import { expect } from "bun:test";
import type { MemcgRunReport } from "../../src/agent/status.ts";
import { agentFiles, coldCache, GuestAgent, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const coldMiB = 200;

guestTest(
  "a dry run forecasts what the real run evicts",
  { memoryMiB: 1024, diskMiB: 400, on: "6.1" },
  forecastHolds,
  agentFiles,
);

async function forecastHolds(guest: Guest): Promise<void> {
  await coldCache(guest, "cold", coldMiB);
  const before = await usageBytes(guest, "cold");
  const forecast = await forecastOf(guest);
  expect(await usageBytes(guest, "cold")).toBeGreaterThan(before * 0.98);
  const evicted = await evictedAfterwards(guest);
  const error = Math.abs(forecast - evicted) / evicted;
  console.log(
    `${guest.kernel}: forecast ${(forecast / mib).toFixed(1)} MiB, evicted ${(evicted / mib).toFixed(1)} MiB, ` +
      `off by ${(error * 100).toFixed(1)} %`,
  );
  expect(evicted).toBeGreaterThan(coldMiB * 0.9 * mib);
  expect(error).toBeLessThan(0.1);
}

/** Serves dry until everything cold is seen as such; the events say the same as the answers. */
async function forecastOf(guest: Guest): Promise<number> {
  await using agent = await GuestAgent.serve(guest, "--dry-run --memcg-period-secs 4 --memcg-spread-percent 0");
  const events = await guest.spawn("exec mem-agent events");
  const forecast = await guest.until(
    async () => {
      const { last_run: run } = (await agent.status()).memcg;
      const cold = run?.top.find((target) => target.path === "/cold")?.would_evict_bytes;
      return cold !== null && cold !== undefined && cold.file_bytes > coldMiB * 0.9 * mib ? cold.file_bytes : null;
    },
    { deadlineMs: 90_000, what: "a forecast of all that is cold", intervalMs: 500 },
  );
  const asked = (await agent.run("memcg", "--dry-run")) as MemcgRunReport;
  expect(asked.dry_run).toBe(true);
  expect(asked.evicted_bytes).toEqual({ anon_bytes: 0, file_bytes: 0 });
  const ages = (asked.cold_by_age ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
  expect(ages).toBeGreaterThan(forecast * 0.9);
  const said = (await events.stdout()).split("\n").filter((line) => line.startsWith("{"));
  const runs = said.map((line) => JSON.parse(line) as { event: string }).filter(({ event }) => event === "memcg_run");
  expect(runs.length).toBeGreaterThan(0);
  await events.kill();
  expect((await agent.status()).memcg.evicted_bytes.file_bytes).toBe(0);
  expect(await agent.stop()).toBe(0);
  return forecast;
}

/**
 * The generations are there already, and without a price there is no sample. A new agent has not seen yet what stayed, so
 * its first run may find nothing cold: what counts is the first that evicts.
 */
async function evictedAfterwards(guest: Guest): Promise<number> {
  await using agent = await GuestAgent.serve(
    guest,
    "--memcg-period-secs 4 --memcg-period-min-secs 4 --memcg-spread-percent 0 --memcg-eviction-run-aging-count-min 0 " +
      "--memcg-refault-percent-limit 0 --memcg-eviction-psi-percent-limit 100 --memcg-period-psi-percent-limit 100",
  );
  const evicted = await guest.until(
    async () => {
      const target = await agent.target("/cold");
      return target.last_end === "evicted" ? target.evicted_bytes.file_bytes : null;
    },
    { deadlineMs: 60_000, what: "the run that evicts end" },
  );
  expect(await agent.stop()).toBe(0);
  return evicted;
}
