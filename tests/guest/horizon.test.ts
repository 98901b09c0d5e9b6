/** Old is what stayed: a file that was read a moment ago is not evicted as old, whatever generation the kernel put it into. */
import { expect } from "bun:test";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { agentFiles, GuestAgent, joining } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const fileMiB = 60;
const periodSecs = 10;
/** Two periods, less the tolerance of each. */
const horizonSecs = 2 * 0.95 * periodSecs;

guestTest(
  "a file read once is not evicted before the horizon, alone and beside older cache",
  { memoryMiB: 768, diskMiB: 400, timeoutMs: 300_000 },
  async (guest) => {
    for (const name of ["old", "beside", "alone"]) {
      await guest.sh(`dd if=/dev/zero of=/data/${name} bs=1M count=${fileMiB} 2>/dev/null`);
    }
    await guest.sh("sync; echo 1 >/proc/sys/vm/drop_caches");
    await readBy(guest, "beside", "old");
    // Nothing is priced, so that all that is cold goes at once.
    const pace = `--memcg-period-secs ${periodSecs} --memcg-period-min-secs ${periodSecs} --memcg-spread-percent 0`;
    await using agent = await GuestAgent.serve(guest, `${pace} --memcg-refault-percent-limit 0 --compact-disabled`);
    await guest.sh(joining("alone"));
    await agent.untilTarget("/beside", ({ agings }) => agings >= 2, { deadlineMs: 60_000, what: "two agings" });
    const readMs = systemClock.monotonicMs();
    const since = (): number => (systemClock.monotonicMs() - readMs) / 1000;
    for (const name of ["beside", "alone"]) await readBy(guest, name, name);
    // When each file was first seen to have lost a page, and most of them.
    const lost = new Map<string, number>();
    const gone = new Map<string, number>();
    while (gone.size < 2 && since() < 120) {
      for (const name of ["beside", "alone"]) {
        const left = await resident(guest, name);
        if (left < fileMiB * mib && !lost.has(name)) lost.set(name, since());
        if (left < 0.1 * fileMiB * mib && !gone.has(name)) gone.set(name, since());
      }
      await sleep(systemClock, 500);
    }
    console.log(
      `${guest.kernel}: read once, period ${periodSecs} s: first page lost ${secs(lost)}; nine tenths ${secs(gone)}`,
    );
    for (const name of ["beside", "alone"]) {
      expect(lost.get(name) ?? Infinity).toBeGreaterThanOrEqual(horizonSecs);
      expect(gone.has(name)).toBe(true);
    }
    expect(await agent.stop()).toBe(0);
  },
  agentFiles,
);

function secs(times: ReadonlyMap<string, number>): string {
  return ["alone", "beside"].map((name) => `${name} ${times.get(name)?.toFixed(0) ?? "never"} s`).join(", ");
}

async function readBy(guest: Guest, cgroup: string, file: string): Promise<void> {
  await guest.sh(`sh -c '${joining(cgroup)} && exec dd if=/data/${file} of=/dev/null bs=1M 2>/dev/null'`);
}

async function resident(guest: Guest, file: string): Promise<number> {
  return Number(await guest.sh(`workload resident /data/${file}`));
}
