/**
 * The agent for a long time among workloads that come and go, settings that change, and commands without end; then the
 * account: what leaked, whether every counter adds up, what was logged.
 *
 *     npm run soak -- --minutes 60 [--kernel 6.1]
 */
import type { AgentStatus } from "../../src/agent/status.ts";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { agentFiles, GuestAgent } from "./harness/agent.ts";
import { Guest, type GuestOptions, type GuestProcess } from "./harness/guest.ts";
import { chosenKernels, kernelNames, type KernelName } from "./harness/kernels.ts";
import { commands, configPath, edits, seeded, settings, workloads, type Activity } from "./soak/activities.ts";
import { addUp, mean, slopePerHour, stolenPages, unexplainedLines, type Heard, type Sample } from "./soak/ledger.ts";

export const soakGuest: Omit<GuestOptions, "kernel" | "files"> = { memoryMiB: 1280, swapMiB: 256, diskMiB: 700 };

const logPath = "/run/soak.log";
const eventsPath = "/run/soak.events";
const sampleMs = 3000;
const seed = 20_260_725;
const flags =
  `--config ${configPath} --log-file ${logPath} --log-level info --memcg-disabled --memcg-period-secs 1 --memcg-spread-percent 0 ` +
  "--memcg-swap true --memcg-eviction-run-aging-count-min 1 --memcg-period-psi-percent-limit 50 " +
  "--memcg-eviction-psi-percent-limit 50 --memcg-refault-percent-limit 0 --compact-period-secs 5 --compact-psi-percent-limit 50";

/** Tolerances: what a soak allows. */
export const allowed = {
  descriptors: 4,
  threads: 2,
  /** Growth of private memory from the first third of the samples to the last. */
  privateMiB: 4,
  /** The same of its address space, and of what the kernel counts as committed for it. */
  virtualMiB: 64,
  committedMiB: 16,
  /** Between the pages that the agent counts and those that the kernel says it reclaimed. */
  stolenPercent: 10,
} as const;

export interface SoakResult {
  readonly table: string;
  /** Empty when all is as it should be. */
  readonly problems: readonly string[];
}

/** Soaks for so many minutes. The guest is as `soakGuest` says, with the agent's files. */
export async function soak(guest: Guest, minutes: number): Promise<SoakResult> {
  await guest.sh(`printf '[memcg]\\nswappiness_max = 50\\n' >${configPath}`);
  const dmesgBefore = (await guest.dmesg()).length;
  const vmstatBefore = await guest.read("/proc/vmstat");
  await using agent = await GuestAgent.serve(guest, flags);
  const events = await listening(guest);
  // Nothing has run yet: what is counted from here on is also told.
  const first = await agent.status();
  await guest.sh("mem-agent memcgset --memcg-disabled false");
  const samples: Sample[] = [];
  const turns = await work(guest, minutes * 60_000, async (secs) => {
    samples.push(await sampled(guest, first.pid, secs));
  });
  // At rest nothing more is counted, and all that was counted can be compared.
  await guest.sh(`mem-agent memcgset --memcg-disabled true && mem-agent compactset --compact-disabled true`);
  const rests = async (): Promise<AgentStatus | null> => {
    const now = await agent.status();
    return now.memcg.running ? null : now;
  };
  const status = await guest.until(rests, { deadlineMs: 30_000, what: "the last run end" });
  samples.push(await sampled(guest, first.pid, minutes * 60));
  const stolen = stolenPages(await guest.read("/proc/vmstat")) - stolenPages(vmstatBefore);
  const heard = await guest.until(
    async () => {
      const now = addUp(await guest.read(eventsPath));
      return now.memcgRuns >= status.memcg.runs && now;
    },
    { deadlineMs: 30_000, what: `${status.memcg.runs} runs told as events` },
  );
  await events.kill("TERM");
  await events.exited;
  const exit = await agent.stop();
  const dmesg = ownLines((await guest.dmesg()).slice(dmesgBefore));
  const log = await guest.read(logPath);
  return account({ first, status, samples, heard, stolen, dmesg, log, exit, turns, minutes });
}

/** A listener to the events that is known to be heard: a harmless setting changes until that was told. */
async function listening(guest: Guest): Promise<GuestProcess> {
  const events = await guest.spawn(`exec mem-agent events >${eventsPath}`);
  await guest.until(
    async () => {
      await guest.sh("mem-agent loglevelset debug && mem-agent loglevelset info");
      return (await guest.read(eventsPath)).includes("setting_changed");
    },
    { deadlineMs: 60_000, what: "an event" },
  );
  return events;
}

/** What the kernel says of an emulated machine that its host held up for a moment is no news of the agent. */
const ofTheHost = /hrtimer: interrupt took|clocksource: |sched: RT throttling|rcu: INFO/;

function ownLines(dmesg: string): string {
  const lines = dmesg.split("\n").filter((line) => !ofTheHost.test(line));
  return lines.join("\n").trim();
}

/** Everything at once, and a sample now and then, until the time is over. */
async function work(
  guest: Guest,
  forMs: number,
  sample: (secs: number) => Promise<void>,
): Promise<ReadonlyMap<string, number>> {
  const startMs = systemClock.monotonicMs();
  const turns = new Map<string, number>();
  const random = seeded(seed);
  const until = async (pauseMs: number, turn: () => Promise<void>): Promise<void> => {
    while (systemClock.monotonicMs() - startMs < forMs) {
      await turn();
      await sleep(systemClock, pauseMs);
    }
  };
  const perform = async ({ name, pauseMs, turn, end }: Activity): Promise<void> => {
    await until(pauseMs, async () => {
      await turn(guest, random);
      turns.set(name, (turns.get(name) ?? 0) + 1);
    });
    await end?.(guest);
  };
  await Promise.all([
    ...[workloads(), settings, edits, commands, commands].map(perform),
    until(sampleMs, () => sample((systemClock.monotonicMs() - startMs) / 1000)),
  ]);
  return turns;
}

async function sampled(guest: Guest, pid: number, secs: number): Promise<Sample> {
  const text = await guest.sh(`ls /proc/${pid}/fd | wc -l; cat /proc/${pid}/status`);
  const number = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(text)?.[1]);
  return {
    secs,
    descriptors: Number.parseInt(text, 10),
    threads: number("Threads"),
    privateMiB: number("RssAnon") / 1024,
    residentMiB: number("VmRSS") / 1024,
    virtualMiB: number("VmSize") / 1024,
    // Private and writable: what the kernel counts as committed for it.
    committedMiB: number("VmData") / 1024,
  };
}

interface Account {
  readonly first: AgentStatus;
  readonly status: AgentStatus;
  readonly samples: readonly Sample[];
  readonly heard: Heard;
  readonly stolen: number;
  readonly dmesg: string;
  readonly log: string;
  readonly exit: number;
  readonly turns: ReadonlyMap<string, number>;
  readonly minutes: number;
}

function account(sums: Account): SoakResult {
  const { first, status, samples, heard, stolen, dmesg, log, exit, turns, minutes } = sums;
  const third = Math.max(1, Math.floor(samples.length / 3));
  const early = samples.slice(0, third);
  const late = samples.slice(-third);
  const last = samples.at(-1) ?? early[0];
  const problems: string[] = [];
  const rows: string[][] = [];
  const row = (what: string, seen: string, holds = true): void => {
    rows.push([what, seen, holds ? "" : "NO"]);
    if (!holds) problems.push(`${what}: ${seen}`);
  };

  const { evicted_bytes, runs, ends } = status.memcg;
  const evicted = evicted_bytes.anon_bytes + evicted_bytes.file_bytes;
  const pages = evicted / status.kernel.page_bytes;
  const off = stolen === 0 ? 0 : (100 * (pages - stolen)) / stolen;
  const endsSum = Object.values(ends).reduce((sum, count) => sum + count, 0);
  const heardSum = Object.values(heard.ends).reduce((sum, count) => sum + count, 0);
  const growth = (what: string, of: (sample: Sample) => number, allowedMiB: number): void => {
    const [from, to] = [mean(early.map(of)), mean(late.map(of))];
    row(`${what}, first and last third`, `${from.toFixed(1)} → ${to.toFixed(1)} MiB`, to - from <= allowedMiB);
  };
  const slope = slopePerHour(samples.slice(third), ({ privateMiB }) => privateMiB);
  const unexplained = unexplainedLines(log);

  row("time", `${minutes} min, ${[...turns].map(([name, count]) => `${count} ${name}`).join(", ")}`);
  row("the same process throughout", `pid ${first.pid} and ${status.pid}`, first.pid === status.pid);
  const descriptors = [early[0]?.descriptors ?? 0, last?.descriptors ?? 0] as const;
  row("descriptors", descriptors.join(" → "), descriptors[1] <= descriptors[0] + allowed.descriptors);
  const threads = [early[0]?.threads ?? 0, last?.threads ?? 0] as const;
  row("threads", threads.join(" → "), threads[1] <= threads[0] + allowed.threads);
  growth("private memory", ({ privateMiB }) => privateMiB, allowed.privateMiB);
  row("… its slope", `${slope.toFixed(1)} MiB/h`);
  growth("address space", ({ virtualMiB }) => virtualMiB, allowed.virtualMiB);
  growth("committed", ({ committedMiB }) => committedMiB, allowed.committedMiB);
  row("resident memory at the end", `${last?.residentMiB.toFixed(1)} MiB`);
  row("events lost", `${heard.lost}`, heard.lost === 0);
  row("runs, and runs told as events", `${runs}, ${heard.memcgRuns}`, runs === heard.memcgRuns);
  row("targets ended, and told", `${endsSum}, ${heardSum}`, endsSum === heardSum);
  row("ends with an error", `${ends.error}`, ends.error === 0);
  const told = [evicted, heard.evictedBytes, heard.evictedByTargetBytes];
  row(
    "evicted: counted, told by run, told by target",
    told.map((bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`).join(", "),
    evicted > 0 && told.every((bytes) => bytes === evicted),
  );
  const within = Math.abs(off) <= allowed.stolenPercent;
  row("evicted pages, and the kernel's pgsteal", `${pages}, ${stolen} (${off.toFixed(1)} %)`, within);
  row("new lines in dmesg", dmesg === "" ? "none" : dmesg.slice(0, 300), dmesg === "");
  row(
    "unexplained log lines",
    unexplained.length === 0 ? "none" : unexplained.slice(0, 3).join(" // "),
    unexplained.length === 0,
  );
  row("exit status", `${exit}`, exit === 0);
  const table = rows.map(([what = "", seen = "", bad = ""]) => `| ${what} | ${seen} | ${bad} |`);
  return { table: ["| | | |", "| --- | --- | --- |", ...table].join("\n"), problems };
}

/** Minutes and kernel from the command line; null where it is wrong. */
function parseWords(words: readonly string[]): { readonly minutes: number; readonly kernel: KernelName } | null {
  let minutes = 2;
  let kernel: KernelName = chosenKernels(process.env)[0] ?? "6.1";
  for (let at = 0; at < words.length; at += 2) {
    const value = words[at + 1] ?? "";
    if (words[at] === "--minutes" && Number(value) > 0) minutes = Number(value);
    else if (words[at] === "--kernel" && (kernelNames as readonly string[]).includes(value))
      kernel = value as KernelName;
    else return null;
  }
  return { minutes, kernel };
}

async function main(): Promise<number> {
  const asked = parseWords(process.argv.slice(2));
  if (asked === null) {
    console.error(`usage: npm run soak -- [--minutes N] [--kernel ${kernelNames.join("|")}]`);
    return 2;
  }
  await using guest = await Guest.boot({ ...soakGuest, kernel: asked.kernel, files: await agentFiles() });
  const { table, problems } = await soak(guest, asked.minutes);
  console.log(`${guest.release}\n${table}`);
  for (const problem of problems) console.error(problem);
  return problems.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
