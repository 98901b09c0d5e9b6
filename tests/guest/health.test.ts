/** An agent that runs and does harm says so: what it evicted is read again as a whole. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent, joining } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";

const cacheMiB = 160;
const mib = 2 ** 20;

guestTest(
  "most of what was evicted comes back: a warning, and health says so",
  // 6.1 hardly counts what comes back.
  { memoryMiB: 768, diskMiB: 300, on: "6.12" },
  async (guest) => {
    await coldCache(guest, "job", cacheMiB);
    await using agent = await GuestAgent.serve(
      guest,
      "--memcg-period-secs 2 --memcg-spread-percent 0 --compact-disabled true " +
        "--memcg-period-psi-percent-limit 100 --memcg-eviction-psi-percent-limit 100",
    );
    await agent.untilTarget("/job", ({ evicted_bytes: evicted }) => evicted.file_bytes > cacheMiB * 0.9 * mib, {
      deadlineMs: 120_000,
      what: "the cold cache leave",
    });
    await guest.sh(`sh -c '${joining("job")} && exec cat /data/job >/dev/null'`, { timeoutMs: 60_000 });
    const warning = await guest.until(
      async () => (await agent.status()).warnings.find(({ key }) => key === "comes_back") ?? null,
      { deadlineMs: 60_000, what: "the warning" },
    );
    expect(warning.message).toContain("more than half of what was evicted");
    const { health, memcg } = await agent.status();
    expect(health).toBe("warning");
    console.log(
      `evicted ${memcg.evicted_bytes.file_bytes / mib} MiB, came back ${(memcg.refaulted_bytes ?? 0) / mib} MiB`,
    );
    expect(await agent.stop()).toBe(0);
  },
  agentFiles,
);
