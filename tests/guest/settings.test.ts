/** Settings from a file that changes while the agent runs: rules for cgroups and nodes, a bad file, a saved change. */
import { expect } from "bun:test";
import { agentFiles, coldCache, GuestAgent, usageBytes } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";

const mib = 2 ** 20;
const cacheMiB = 64;
const file = "/conf/mem-agent.toml";
const toml = `# Only what a rule names is run while the test looks.
[memcg]
period_secs = 600
spread_percent = 0
period_min_secs = 600

[compact]
disabled = true

[[memcg.cgroups]]
path = "/one"
disabled = true # first

[[memcg.cgroups]]
path = "/two"
period_secs = 1 # second

[[memcg.cgroups]]
path = "/split"
numa_id = [1]
period_secs = 1 # third
`;

/** A change of the file has to be in force by then. */
const reloadMsMax = 2000;

guestTest(
  "rules hold for cgroups and nodes, and follow the file",
  { memoryMiB: 1024, nodes: 2, diskMiB: 400, on: "6.12" },
  async (guest) => {
    await guest.sh(`mkdir -p /conf && mount -t tmpfs conf /conf && cat >${file} <<'END'\n${toml}END\n`);
    for (const name of ["one", "two"]) await coldCache(guest, name, cacheMiB);
    for (const node of [0, 1]) await coldCache(guest, "split", cacheMiB, { file: `split${node}`, cpu: node });
    await using agent = await GuestAgent.serve(guest, `--config ${file}`);
    await rulesHold(guest, agent);
    await editFollows(guest, agent);
    await badFileIsExplained(guest, agent);
    await savedOrNotApplied(guest, agent);
    expect(await agent.stop()).toBe(0);
  },
  agentFiles,
);

async function rulesHold(guest: Guest, agent: GuestAgent): Promise<void> {
  await leaves(guest, "two", () => usageBytes(guest, "two"));
  await leaves(guest, "split on node 1", () => fileBytes(guest, "split", 1));
  const [one, split] = [await agent.target("/one"), await agent.target("/split", 0)];
  expect({ rule: one.rule, agings: one.agings, end: one.last_end }).toEqual({
    rule: "path=/one",
    agings: 0,
    end: "disabled",
  });
  expect({ rule: split.rule, period: split.settings.period_secs, evictions: split.evictions }).toEqual({
    rule: null,
    period: 600,
    evictions: 0,
  });
  expect((await agent.target("/split", 1)).rule).toBe("path=/split,numa-id=1");
  expect(await usageBytes(guest, "one")).toBeGreaterThan(cacheMiB * 0.9 * mib);
  expect(await fileBytes(guest, "split", 0)).toBeGreaterThan(cacheMiB * 0.9 * mib);
}

/** `sed -i` puts a new file over the old one. */
async function editFollows(guest: Guest, agent: GuestAgent): Promise<void> {
  await guest.sh(
    `sed -i 's/^disabled = true # first/period_secs = 1/; s/^period_secs = 1 # second/disabled = true/' ${file}`,
  );
  const seen = { deadlineMs: reloadMsMax, what: "the edit in force", intervalMs: 50 };
  await agent.untilTarget("/one", ({ settings }) => settings.period_secs === 1 && !settings.disabled, seen);
  expect((await agent.target("/two")).settings.disabled).toBe(true);
  await coldCache(guest, "two", cacheMiB, { file: "again" });
  await leaves(guest, "one", () => usageBytes(guest, "one"));
  expect(await usageBytes(guest, "two")).toBeGreaterThan(cacheMiB * 0.9 * mib);
}

async function badFileIsExplained(guest: Guest, agent: GuestAgent): Promise<void> {
  await guest.sh(`sed -i 's/= 600/= "soon"/; s/^spread_percent/spread_percents/' ${file}`);
  await guest.until(async () => (await agent.status()).health === "warning", {
    deadlineMs: reloadMsMax * 2,
    what: "the warning",
  });
  const told = await guest.sh("mem-agent status");
  expect(told).toContain(`${file}:3:1: memcg.period_secs: "soon"`);
  expect(told).toContain(`allowed: a whole number from 1 to 86400; files and flags take "10m" too`);
  expect(told).toContain(`${file}:4:1: memcg.spread_percents`);
  expect(told).toContain(`mem-agent config check ${file}`);
  expect((await agent.target("/")).settings.period_secs).toBe(600);
  await guest.sh(`sed -i 's/"soon"/500/; s/^spread_percents/spread_percent/' ${file}`);
  await guest.until(async () => (await agent.status()).health === "ok", {
    deadlineMs: reloadMsMax,
    what: "the warning go",
  });
  expect((await agent.target("/")).settings.period_secs).toBe(500);
}

async function savedOrNotApplied(guest: Guest, agent: GuestAgent): Promise<void> {
  await guest.sh("mount -o remount,ro /conf");
  const refused = await guest.run("mem-agent memcgset --memcg-period-secs 400 --save");
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain(`cannot save settings into ${file}: its file system is read-only`);
  expect((await agent.target("/")).settings.period_secs).toBe(500);
  await guest.sh("mount -o remount,rw /conf");
  expect(await guest.sh("mem-agent memcgset --memcg-period-secs 400 --save")).toContain(`saved in ${file}`);
  expect(await guest.read(file)).toContain("test looks.\n[memcg]\nperiod_secs = 400\n");
  expect(await guest.sh("mem-agent reload")).toContain("nothing changed");

  // As a container's file that is mounted by itself.
  await guest.sh(`cp ${file} /conf/copy && mount --bind /conf/copy ${file}`);
  const mounted = await guest.run("mem-agent memcgset --memcg-period-secs 401 --save");
  expect(mounted.status).toBe(4);
  expect(mounted.stderr).toContain("something is mounted at its name");
  expect((await agent.target("/")).settings.period_secs).toBe(400);
}

async function leaves(guest: Guest, what: string, bytes: () => Promise<number>): Promise<void> {
  await guest.until(async () => (await bytes()) < cacheMiB * 0.1 * mib, {
    deadlineMs: 60_000,
    what: `the cache of ${what} leave`,
  });
}

/** Page cache of the cgroup that lies on a node. */
async function fileBytes(guest: Guest, name: string, node: number): Promise<number> {
  const stat = await guest.read(`/sys/fs/cgroup/${name}/memory.numa_stat`);
  return Number(new RegExp(`^file .*\\bN${node}=(\\d+)`, "m").exec(stat)?.[1]);
}
