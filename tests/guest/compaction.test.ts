/**
 * Free memory that lies scattered reaches the host only after a compaction. A program of the guest fills memory with
 * file pages and anonymous pages in turn; the agent evicts the file pages, and what is left is every second page.
 */
import { expect } from "bun:test";

import type { CompactRunReport, CompactStatus } from "../../src/agent/status.ts";
import { agentFiles, GuestAgent } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import { workloadPath } from "./harness/workload.ts";
import type { Guest, GuestProcess } from "./harness/guest.ts";

const mib = 2 ** 20;
/** No run but those that a test asks for. */
const noRuns = "--memcg-disabled --compact-period-secs 86400";
const evictAtOnce =
  "--memcg-disabled false --memcg-period-secs 1 --memcg-spread-percent 0 " +
  "--memcg-period-psi-percent-limit 100 --memcg-eviction-psi-percent-limit 100";

/** Fills memory but for so much with file and anonymous pages in turn. Resolves with the size of either half. */
async function scatter(
  guest: Guest,
  leaveMib: number,
): Promise<{ readonly mib: number; readonly keeper: GuestProcess }> {
  // The kernel's own compaction, which begins where nine tenths of free memory are in small blocks, would blur what is shown.
  await guest.sh("echo 0 >/proc/sys/vm/compaction_proactiveness");
  const free = Number(await guest.sh("awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo"));
  const half = Math.floor((free - leaveMib) / 2);
  await guest.sh(`mkdir -p /sys/fs/cgroup/work && rm -f /run/keeper && truncate -s ${half}M /data/sparse`);
  const keeper = await guest.spawn(
    `echo $$ >/sys/fs/cgroup/work/cgroup.procs; exec ${workloadPath} scatter /data/sparse ${half} /run/keeper`,
  );
  await guest.until(async () => (await keeper.stdout()).includes("scattered"), {
    deadlineMs: 180_000,
    what: "memory scattered",
  });
  return { mib: half, keeper };
}

/** Has the agent evict the file pages, then nothing more. Resolves with the bytes. */
async function evictFilePages(agent: GuestAgent, halfMib: number): Promise<number> {
  await agent.guest.sh(`mem-agent memcgset ${evictAtOnce}`);
  const evicted = await agent.guest.until(
    async () => {
      const { file_bytes: bytes } = (await agent.target("/work")).evicted_bytes;
      return bytes > halfMib * mib * 0.95 && bytes;
    },
    { deadlineMs: 60_000, what: "the file pages evicted", intervalMs: 500 },
  );
  await agent.guest.sh("mem-agent memcgset --memcg-disabled");
  return evicted;
}

function compactStatus(agent: GuestAgent): Promise<CompactStatus> {
  return agent.json("compactstatus");
}

async function compactNow(agent: GuestAgent): Promise<CompactRunReport> {
  const report = await agent.run("compact");
  if (report.kind !== "compact") throw new Error(`run compact answered with a ${report.kind} run`);
  return report;
}

/** Free blocks of at least order 9, from the kernel itself. */
async function wholeBlocks(guest: Guest): Promise<number> {
  // In blocks of order 9: one of order 10 is two of them.
  return Number(await guest.sh("awk '{ sum += $14 + 2 * $15 } END { print sum }' /proc/buddyinfo"));
}

guestTest(
  "scattered free memory reaches the host after a compaction, and only then",
  { memoryMiB: 1536, diskMiB: 64, timeoutMs: 400_000 },
  compactionGivesBack,
  agentFiles,
);

async function compactionGivesBack(guest: Guest): Promise<void> {
  // The threshold is beyond what the commands of this test take and leave, and far below what is evicted. What the test
  // itself stalls, while it scatters memory and the agent starts, must not skip the run.
  await using agent = await GuestAgent.serve(
    guest,
    `${noRuns} --compact-threshold 16384 --compact-period-psi-percent-limit 100`,
  );
  const { mib: half, keeper } = await scatter(guest, 75);
  const scattered = { hostMib: guest.hostMiB(), blocks: await wholeBlocks(guest) };

  const evicted = await evictFilePages(agent, half);
  const { wanted, evicted_since_compaction_bytes: since } = await compactStatus(agent);
  expect(since).toBeGreaterThanOrEqual(evicted);
  expect(wanted).toMatch(/^free movable pages in blocks smaller than order 9 grew by .* can be reported to the host$/);

  // Reporting takes two seconds after a block came free: longer than that the host must get nothing.
  await guest.sh("sleep 6");
  const before = { hostMib: guest.hostMiB(), blocks: await wholeBlocks(guest) };
  expect(scattered.hostMib - before.hostMib).toBeLessThan((evicted / mib) * 0.1);

  const enough = (): boolean => before.hostMib - guest.hostMiB() > evicted / mib / 2;
  const reports = await compactThrice(agent);
  await guest.until(enough, { deadlineMs: reportingMs, what: "half of what was evicted back with the host" });
  const report = reports.at(-1);
  const [first] = reports;
  const blocks = await wholeBlocks(guest);
  await guest.sh("sleep 3");

  const free = (bytes: number | undefined): string => `${((bytes ?? 0) / mib).toFixed(0)} MiB`;
  console.table({
    [`${guest.kernel}: scattered`]: { host: `${scattered.hostMib.toFixed(0)} MiB`, "order >= 9": scattered.blocks },
    evicted: {
      host: `${before.hostMib.toFixed(0)} MiB`,
      "order >= 9": before.blocks,
      free: free(first?.before?.free_bytes),
      reportable: free(first?.before?.reportable_bytes ?? 0),
    },
    compacted: {
      host: `${guest.hostMiB().toFixed(0)} MiB`,
      "order >= 9": blocks,
      free: free(report?.after?.free_bytes),
      reportable: free(report?.after?.reportable_bytes ?? 0),
    },
  });
  const took = reports.map(({ wall_secs: secs }) => `${secs.toFixed(2)} s`).join(" and ");
  console.log(`${guest.kernel}: evicted ${free(evicted)}, compacted in ${took}`);
  expect(blocks).toBeGreaterThanOrEqual(before.blocks * 5);
  expect(report?.after?.reportable_bytes ?? 0).toBeGreaterThan((first?.before?.reportable_bytes ?? 0) * 5);
  expect((await compactStatus(agent)).wanted).toBeNull();

  await staysIdle(agent, reports.length);
  await keeper.kill("KILL");
  expect(await agent.stop()).toBe(0);
}

const passes = 3;
const reportingMs = 15_000;

/** Asks as a person would. Always three times: in one pass 6.1 now and then leaves up to half of what is scattered. */
async function compactThrice(agent: GuestAgent): Promise<readonly CompactRunReport[]> {
  const reports: CompactRunReport[] = [];
  for (let pass = 0; pass < passes; pass++) {
    const report = await compactNow(agent);
    expect(report).toMatchObject({ decision: "asked", compacted: true, end: "done", error: null });
    reports.push(report);
  }
  return reports;
}

/** Runs again and again without a reason. */
async function staysIdle(agent: GuestAgent, asked: number): Promise<void> {
  const { runs, compactions } = await compactStatus(agent);
  await agent.guest.sh("mem-agent compactset --compact-period-secs 1 --compact-period-psi-percent-limit 100");
  const later = await runsLater(agent, runs + 8);
  expect(later.decisions).toMatchObject({ asked, below_threshold: later.runs - asked });
  expect(later.compactions).toBe(compactions);
  expect(later.runs_since_compaction).toBe(later.runs - asked);
}

/** The status when so many runs were made. */
function runsLater(agent: GuestAgent, runs: number): Promise<CompactStatus> {
  return agent.guest.until(
    async () => {
      const status = await compactStatus(agent);
      return status.runs >= runs && status;
    },
    { deadlineMs: 60_000, what: `compaction run ${runs}` },
  );
}

/** The decisions of the next `count` runs and what was read after them. */
async function nextDecisions(agent: GuestAgent, count: number): Promise<Record<string, number>> {
  const before = await compactStatus(agent);
  const after = await runsLater(agent, before.runs + count);
  const changes = Object.entries(after.decisions).map(
    ([name, times]) => [name, times - (before.decisions[name as keyof typeof before.decisions] ?? 0)] as const,
  );
  return Object.fromEntries(changes.filter(([, times]) => times > 0));
}

guestTest(
  "threshold, order, force_times and disabled decide whether a run compacts",
  { memoryMiB: 768, diskMiB: 64, timeoutMs: 400_000, on: "6.12" },
  settingsDecide,
  agentFiles,
);

async function settingsDecide(guest: Guest): Promise<void> {
  // So high a threshold that only what a test does on purpose can pass it.
  const quiet = "--compact-period-psi-percent-limit 100 --compact-psi-percent-limit 100 --compact-threshold 100000000";
  await using agent = await GuestAgent.serve(guest, `${noRuns} ${quiet}`);
  const set = (flags: string): Promise<string> => guest.sh(`mem-agent compactset ${flags}`);
  const { mib: half, keeper } = await scatter(guest, 300);

  const whole = await compactNow(agent);
  expect(whole.decision).toBe("asked");
  await set("--compact-order 0");
  const single = await compactNow(agent);
  expect(single.after?.order_bytes).toBe(single.after?.free_bytes ?? -1);
  await set("--compact-order 10");
  const large = await compactNow(agent);
  expect(large.after?.order_bytes ?? 0).toBeLessThan(large.after?.reportable_bytes ?? 0);

  await guest.sh("echo 1 >/proc/sys/vm/drop_caches");
  await set("--compact-order 0 --compact-threshold 2048 --compact-period-secs 1");
  expect(await nextDecisions(agent, 2)).toEqual({ below_threshold: expect.any(Number) });
  await set("--compact-order 9 --compact-threshold 100000000");
  expect(await nextDecisions(agent, 2)).toEqual({ below_threshold: expect.any(Number) });
  await set("--compact-threshold 2048");
  expect((await runsLater(agent, (await compactStatus(agent)).runs + 2)).last_compaction).toMatchObject({
    decision: "fragmented",
    end: "done",
  });

  const taker = await guest.spawn(`exec ${workloadPath} hold ${Math.floor(half / 2)} /run/taker`);
  await guest.until(async () => (await compactStatus(agent)).decisions.free_fell > 0, {
    deadlineMs: 60_000,
    what: "a compaction because free memory fell",
  });
  await taker.kill("KILL");

  await set("--compact-threshold 100000000 --compact-force-times 0");
  expect(await nextDecisions(agent, 3)).toEqual({ forced: expect.any(Number) });
  await set("--compact-force-times 2");
  await nextDecisions(agent, 3);
  const { forced = 0, below_threshold: without = 0 } = await nextDecisions(agent, 6);
  expect(Math.abs(without - 2 * forced)).toBeLessThanOrEqual(2);
  expect(forced).toBeGreaterThan(0);
  await set("--compact-force-times never");
  expect(await nextDecisions(agent, 4)).toEqual({ below_threshold: expect.any(Number) });

  await set("--compact-disabled");
  const { runs } = await compactStatus(agent);
  expect((await guest.run("mem-agent run compact")).status).not.toBe(0);
  await guest.sh("sleep 3");
  expect(await compactStatus(agent)).toMatchObject({ runs, disabled: true, next_run_secs: null });
  await keeper.kill("KILL");
  expect(await agent.stop()).toBe(0);
}

/** Each with a guest of its own: what one compaction moved is nothing to move for the next. */
const stopping = { memoryMiB: 3072, diskMiB: 160, timeoutMs: 400_000, on: "6.12" } as const;

guestTest("a compaction ends with the agent", stopping, endsWithTheAgent, agentFiles);
guestTest("a compaction ends after sec_max", stopping, endsAfterSecMax, agentFiles);
guestTest("a compaction ends under pressure", stopping, endsUnderPressure, agentFiles);

/** Free memory in small pieces, a file that is not in the page cache, and both processors busy. */
async function muchToMove(guest: Guest): Promise<void> {
  await guest.sh("dd if=/dev/zero of=/data/slow bs=1M count=80 2>/dev/null; sync", { timeoutMs: 120_000 });
  await scatter(guest, 200);
  await guest.sh("echo 1 >/proc/sys/vm/drop_caches", { timeoutMs: 60_000 });
  for (let cpu = 0; cpu < 2; cpu++) await guest.spawn("while :; do :; done");
}

async function endsWithTheAgent(guest: Guest): Promise<void> {
  await muchToMove(guest);
  await using agent = await GuestAgent.serve(guest, unguarded);
  const asking = guest.sh("mem-agent run compact --json");
  await guest.until(() => childThere(guest), { deadlineMs: 20_000, what: "the compacting process", intervalMs: 10 });
  expect(await agent.stop()).toBe(0);
  expect(JSON.parse(await asking)).toMatchObject({ end: "stopped", compacted: true });
  await guest.until(async () => !(await childThere(guest)), { deadlineMs: 30_000, what: "the compacting process end" });
}

async function endsAfterSecMax(guest: Guest): Promise<void> {
  await muchToMove(guest);
  await using agent = await GuestAgent.serve(guest, `${unguarded} --compact-sec-max 1`);
  const cut = await compactSlowly(agent);
  expect(cut).toMatchObject({ end: "timeout", compacted: true });
  expect(cut.wall_secs).toBeLessThan(cutSecsMax);
  console.log(`${guest.kernel}: sec_max 1 ended it after ${cut.wall_secs.toFixed(2)} s`);
  expect(await compactStatus(agent)).toMatchObject({ running: false, ends: { timeout: 1 } });
  await expectNoChild(agent);
  expect(await agent.stop()).toBe(0);
}

async function endsUnderPressure(guest: Guest): Promise<void> {
  await muchToMove(guest);
  await using agent = await GuestAgent.serve(guest, unguarded);
  await stallOnReading(guest);
  await guest.sh("mem-agent compactset --compact-psi-percent-limit 5");
  const stopped = await compactSlowly(agent);
  expect(stopped).toMatchObject({ end: "pressure", compacted: true });
  console.log(`${guest.kernel}: pressure ended it after ${stopped.wall_secs.toFixed(2)} s`);
  expect(await compactStatus(agent)).toMatchObject({ running: false, ends: { pressure: 1 } });
  await expectNoChild(agent);
  const read = await slowlyReadBytes(guest);
  await guest.until(async () => (await slowlyReadBytes(guest)) > read, {
    deadlineMs: 30_000,
    what: "the system go on",
  });
  expect(await agent.stop()).toBe(0);
}

/** sec_max is 1, and the agent shares its processor with a loop. Uncut it would take minutes. */
const cutSecsMax = 6;

/**
 * A compaction that is sure to be under way when it is ended: once it has begun to move pages its process, at the lowest
 * priority, gets the seventieth part of a processor, since there is a loop on each.
 */
async function compactSlowly(agent: GuestAgent): Promise<CompactRunReport> {
  const { guest, process } = agent;
  const answer = await guest.sh(
    `moved() { grep -w compact_isolated /proc/vmstat; }
    before=$(moved)
    mem-agent run compact --json >/run/report & asked=$!
    while [ "$(moved)" = "$before" ] && kill -0 $asked; do usleep 1000; done
    for thread in /proc/$(cat /proc/${process.pid}/task/*/children | tr -d ' ')/task/*; do renice -n 19 -p \${thread##*/}; done 2>/dev/null
    wait $asked
    cat /run/report`,
    { timeoutMs: 120_000 },
  );
  return JSON.parse(answer) as CompactRunReport;
}

const unguarded = `${noRuns} --compact-period-psi-percent-limit 100 --compact-psi-percent-limit 100`;

const slow = "/sys/fs/cgroup/slow";

/** A program that waits for its disk nearly all the time, however fast the machine is: one MiB a second is let through. */
async function stallOnReading(guest: Guest): Promise<void> {
  await guest.sh(`mkdir ${slow} && echo "$(cat /sys/block/vdb/dev) rbps=1048576" >${slow}/io.max`);
  await guest.spawn(`echo $$ >${slow}/cgroup.procs; exec ${workloadPath} read /data/slow 0`);
  await guest.until(async () => Number(/total=(\d+)/.exec(await guest.read(`${slow}/io.pressure`))?.[1]) > 500_000, {
    deadlineMs: 60_000,
    what: "half a second of stall",
  });
}

async function slowlyReadBytes(guest: Guest): Promise<number> {
  const devices = (await guest.read(`${slow}/io.stat`)).matchAll(/rbytes=(\d+)/g);
  return [...devices].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
}

/** Whether a process of the guest compacts, from its list of processes. */
async function childThere(guest: Guest): Promise<boolean> {
  return (await guest.sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")).includes("mem-agent compact-child");
}

/**
 * A killed process may wait in the kernel for a page that is being read: the agent goes on and holds it in view
 * meanwhile.
 */
async function expectNoChild(agent: GuestAgent): Promise<void> {
  const deadline = { deadlineMs: 30_000, what: "the compacting process end" };
  await agent.guest.until(async () => (await compactStatus(agent)).child_pid === null, deadline);
  expect(await childThere(agent.guest)).toBe(false);
  expect((await agent.status()).warnings).toEqual([]);
}
