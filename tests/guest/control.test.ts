/** The daemon under its commands: changes, a busy moment, abuse of its socket, a second daemon, and its end. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const coldMiB = 1024;
const socket = "/run/mem-agent.sock";
const flags = "--memcg-period-secs 600 --memcg-period-min-secs 600 --memcg-spread-percent 0 --compact-disabled true";

guestTest(
  "the daemon answers its commands, also while it evicts a gibibyte",
  { memoryMiB: 1664, diskMiB: 1200, on: "7.2", timeoutMs: 420_000 },
  async (guest) => {
    await noDaemon(guest);
    const agent = await GuestAgent.serve(guest, flags);
    expect(await guest.sh(`stat -c %a ${socket}`)).toBe("600\n");
    await changes(guest, agent);
    await secondDaemon(guest);
    await garbage(guest);
    await stops(guest, agent);
    await answersWhileEvicting(guest);
  },
  agentFiles,
);

/** A command's exit code and what it said on stderr, which must begin with its name. */
async function refusal(guest: Guest, command: string): Promise<readonly [number, string]> {
  const { status, stdout, stderr } = await guest.run(`mem-agent ${command}`);
  expect(stdout).toBe("");
  expect(stderr).toStartWith("mem-agent");
  return [status, stderr];
}

async function noDaemon(guest: Guest): Promise<void> {
  for (const command of ["status", "memcgstatus --json", "memcgset --memcg-swap true", "run memcg"]) {
    const [status, text] = await refusal(guest, command);
    expect({ command, status }).toEqual({ command, status: 3 });
    expect(text).toContain(`cannot reach mem-agent at ${socket}: there is no such socket; start it`);
  }
}

async function changes(guest: Guest, agent: GuestAgent): Promise<void> {
  expect(await guest.sh("mem-agent memcgset --memcg-period-secs 7")).toContain("7");
  const { targets } = await agent.memcg();
  expect(targets.length).toBeGreaterThan(0);
  for (const { settings, next_run_secs } of targets) {
    expect(settings.period_secs).toBe(7);
    expect(next_run_secs).toBeLessThanOrEqual(7);
  }
  expect(await guest.sh("mem-agent loglevelset debug && mem-agent status --json")).toContain('"log_level": "debug"');

  const usage: readonly (readonly [string, string])[] = [
    ["memcgset --memcg-perid-secs 7", "--memcg-period-secs"],
    ["memcgset --memcg-period-secs 0", "--memcg-period-secs"],
    ["memcgset", "--memcg-"],
    ["memcgstats", "memcgstatus"],
    ["status --jsn", "--json"],
    ["serve --memcg-swapp", "--memcg-swap"],
  ];
  for (const [command, nearest] of usage) {
    const [status, text] = await refusal(guest, command);
    expect({ command, status }).toEqual({ command, status: 2 });
    expect(text).toContain(nearest);
  }
  const [status, text] = await refusal(guest, "memcgset --memcg-period-secs 9 --memcg-del path=/nowhere");
  expect(status).toBe(4);
  expect(text).toContain("/nowhere");
  expect((await agent.target("/")).settings.period_secs).toBe(7);
}

async function secondDaemon(guest: Guest): Promise<void> {
  for (const at of ["", " --addr /run/other.sock"]) {
    const [status, text] = await refusal(guest, `serve${at}`);
    expect(status).toBe(1);
    expect(text).toMatch(/cannot start: mem-agent already runs on this machine, as process \d+, .*: kill \d+/);
  }
  // Without a feature it is in nobody's way, but the socket is taken.
  const [status, text] = await refusal(guest, "serve --memcg-disabled --compact-disabled");
  expect(status).toBe(1);
  expect(text).toContain(`cannot listen on ${socket}: a daemon is running there; stop it`);
  expect((await guest.run("mem-agent status")).status).toBe(0);
}

async function garbage(guest: Guest): Promise<void> {
  const sent: readonly (readonly [string, RegExp])[] = [
    ["head -c 1000000 /dev/urandom", /^(HTTP\/1\.1 4\d\d .*)?$/m],
    ["printf 'GET /v1/nothing HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'", /^HTTP\/1\.1 404 /],
    ["printf 'POST /v1/memcg HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'", /^HTTP\/1\.1 405 /],
    [patch('{"period_secs":"soon","colour":1}'), /^HTTP\/1\.1 422 [^]*period_secs[^]*colour/],
    [patch("{"), /^HTTP\/1\.1 400 /],
  ];
  for (const [input, answer] of sent) {
    const { stdout } = await guest.run(`${input} | probe send ${socket} | head -c 4000`);
    expect(stdout).toMatch(answer);
  }
  expect((await guest.run("mem-agent status")).status).toBe(0);
}

function patch(body: string): string {
  return `printf 'PATCH /v1/memcg HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n${body}'`;
}

/** Killed, it stands in nobody's way; asked to end, it does so within a second and leaves nothing behind. */
async function stops(guest: Guest, first: GuestAgent): Promise<void> {
  await first.process.kill("KILL");
  expect((await first.process.exited).status).toBe(137);
  expect((await guest.run(`test -S ${socket}`)).status).toBe(0);
  expect((await refusal(guest, "status"))[0]).toBe(3);
  const second = await GuestAgent.serve(guest, flags);
  const took = await guest.sh(
    `start=$(cut -d' ' -f1 /proc/uptime); kill -TERM ${second.process.pid}; ` +
      `while kill -0 ${second.process.pid} 2>/dev/null; do usleep 5000; done; ` +
      `echo "$start $(cut -d' ' -f1 /proc/uptime)"`,
  );
  const [start = 0, end = 0] = took.split(" ").map(Number);
  expect((await second.process.exited).status).toBe(0);
  console.log(`${guest.kernel}: stopped within ${(end - start).toFixed(2)} s`);
  expect(end - start).toBeLessThan(1);
  expect(await guest.sh(`ls -A /run | grep -v guest || true`)).toBe("");
}

async function answersWhileEvicting(guest: Guest): Promise<void> {
  await coldCache(guest, "cold", coldMiB);
  await using agent = await GuestAgent.serve(guest, flags.replaceAll("600", "1"));
  const asking = await guest.spawn(`exec probe ask ${socket} /v1/status`);
  await guest.until(async () => (await usageBytes(guest, "cold")) < coldMiB * 0.1 * mib, {
    deadlineMs: 120_000,
    what: "the cold gibibyte leave",
    intervalMs: 500,
  });
  await agent.untilTarget("/cold", ({ evictions }) => evictions > 0, {
    deadlineMs: 30_000,
    what: "the end of the run",
  });
  const answers = (await asking.stdout()).trimEnd().split("\n");
  await asking.kill("KILL");
  const evicting = longestBusy(answers);
  const idle = answers.filter((line) => line.startsWith("idle ")).map(milliseconds);
  console.log(
    `${guest.kernel}: ${evicting.length} answers while ${coldMiB} MiB were evicted, the longest after ` +
      `${Math.max(...evicting).toFixed(1)} ms (median ${median(evicting).toFixed(1)}, at rest ${median(idle).toFixed(1)}); ` +
      `GET /v1/status over one open connection`,
  );
  expect(evicting.length).toBeGreaterThan(10);
  // The longest of hundreds is that of the machine which emulates this one, and has no more processors than it.
  expect(evicting.filter((ms) => ms < 100).length / evicting.length).toBeGreaterThan(0.9);
  expect(median(evicting)).toBeLessThan(100);
  expect(await agent.stop()).toBe(0);
}

/** The run that took longest: of the answers that follow each other and say that one is under way, the most. */
function longestBusy(answers: readonly string[]): readonly number[] {
  const runs = answers.join("\n").match(/(^busy \d+\n?)+/gm) ?? [];
  const longest = runs.toSorted((left, right) => right.length - left.length)[0] ?? "";
  return longest.trimEnd().split("\n").map(milliseconds);
}

function milliseconds(line: string): number {
  return Number(line.split(" ")[1]) / 1000;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}
