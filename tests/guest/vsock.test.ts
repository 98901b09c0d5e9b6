/** The door on vsock: who gets in, what it allows, and what strangers can do to it. Over the kernel's own loopback. */
import { expect } from "bun:test";
import { agentFiles, GuestAgent } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";
import type { SettingInForce } from "../../src/config/in-force.ts";

const address = "vsock://1:9469";
const probed = "vsock:1:9469";
const file = "/etc/mem-agent.toml";

guestTest(
  "the door on vsock lets in whom the settings name, and the kernel's command line sets it up",
  {
    memoryMiB: 768,
    on: "6.12",
    append: "mem_agent.control.vsock=vsock://:9469 mem_agent.memcg.period-secs=77 mem_agent.compact.disabled other.x=1",
  },
  async (guest) => {
    await using agent = await GuestAgent.serve(guest, "");
    await bootSettings(agent);
    await strangers(guest, agent);
    await reads(guest, agent);
    await abuse(guest, agent);
    await writes(guest);
    await moves(guest);
    expect(await agent.stop()).toBe(0);
    await noVsock(guest);
  },
  agentFiles,
);

async function bootSettings(agent: GuestAgent): Promise<void> {
  const settings = await agent.json<SettingInForce[]>("config show");
  const said = settings
    .filter(({ origin }) => origin !== "default")
    .map(({ key, value, origin }) => [key, value, origin]);
  expect(said as unknown).toEqual([
    ["memcg.period_secs", 77, "cmdline"],
    ["compact.disabled", true, "cmdline"],
    ["control.vsock", "vsock://:9469", "cmdline"],
  ]);
}

/** The default: context id 1 is this guest itself, and gets nothing, root or not. */
async function strangers(guest: Guest, agent: GuestAgent): Promise<void> {
  const get = "printf 'GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'";
  expect(await guest.sh(`${get} | probe send ${probed} | wc -c`)).toBe("0\n");
  expect(await guest.sh(`${get} | setuidgid 65534 probe send ${probed} | wc -c`)).toBe("0\n");
  const refused = await guest.run(`mem-agent status --addr ${address}`);
  expect(refused.status).toBe(3);
  expect(refused.stderr).toContain("closed the connection without a word");
  const { vsock, health } = await agent.status();
  expect({ ...vsock, health }).toEqual({
    address: "vsock://:9469",
    listening: true,
    peers: [2],
    write: false,
    accepted: 0,
    refused: 3,
    health: "ok",
  });
  expect(await guest.sh("mem-agent metrics")).toContain('mem_agent_vsock_connections_total{outcome="refused"} 3\n');
}

async function reads(guest: Guest, agent: GuestAgent): Promise<void> {
  await guest.sh(`printf '[control]\\nvsock_peers = [1]\\n' >${file}`);
  await guest.until(async () => (await agent.status()).vsock.peers[0] === 1, { deadlineMs: 10_000, what: "the peer" });
  const status = await guest.sh(`mem-agent status --json --addr ${address}`);
  expect(JSON.parse(status).vsock.accepted).toBe(1);
  expect(await guest.sh(`MEM_AGENT_ADDR=${address} mem-agent metrics`)).toContain("mem_agent_build_info{");
  expect(await guest.sh(`mem-agent memcgstatus --addr ${address}`)).toContain("/");
  for (const command of ["memcgset --memcg-swap true", "run memcg", "giveback", "reload", "loglevelset debug"]) {
    const refused = await guest.run(`mem-agent ${command} --addr ${address}`);
    expect([refused.status, refused.stderr]).toEqual([
      4,
      expect.stringContaining("vsock_write = true under [control]"),
    ]);
  }
  const nobody = await guest.run("mem-agent status --addr vsock://1:9999");
  expect(nobody.status).toBe(3);
  expect(nobody.stderr).toContain("no agent listens on port 9999");
}

/** As on the unix socket: what is half said is closed, what is too much is refused, and nothing is left behind. */
async function abuse(guest: Guest, agent: GuestAgent): Promise<void> {
  const descriptors = async (): Promise<number> => Number(await guest.sh(`ls /proc/${agent.process.pid}/fd | wc -l`));
  const before = await descriptors();
  const half = await guest.spawn(`exec probe half ${probed} 200`);
  await guest.until(async () => (await half.stdout()).includes("open"), {
    deadlineMs: 30_000,
    what: "200 connections",
  });
  expect((await guest.run(`mem-agent status --addr ${address}`)).status).toBe(0);
  const ended = await half.exited;
  console.log(`${guest.kernel}: 200 half requests ${ended.stdout.trim().split("\n").at(-1)}`);
  expect(ended.status).toBe(0);

  const mib10 = 10 * 2 ** 20;
  const head = `printf 'PATCH /v1/memcg HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: ${mib10}\\r\\n\\r\\n'`;
  const sent = [
    ["head -c 1000000 /dev/urandom", /^(HTTP\/1\.1 (4\d\d|505) [^]*)?$/],
    [`(${head}; head -c ${mib10} /dev/zero)`, /^(HTTP\/1\.1 413 [^]*)?$/],
    ["printf 'GET / HTTP/9.9\\r\\n\\r\\n'", /^(HTTP\/1\.1 (4\d\d|505) [^]*)?$/],
  ] as const;
  for (const [input, answer] of sent) {
    const { stdout } = await guest.run(`${input} | probe send ${probed} | head -c 4000`);
    expect(stdout).toMatch(answer);
  }
  await guest.until(async () => (await descriptors()) <= before + 2, {
    deadlineMs: 30_000,
    what: "all connections go",
  });
  console.log(`${guest.kernel}: ${before} descriptors before the abuse, ${await descriptors()} after it`);
  expect((await agent.status()).health).toBe("ok");
}

async function writes(guest: Guest): Promise<void> {
  await guest.sh(`printf 'vsock_write = true\\n' >>${file}`);
  await guest.until(
    async () => (await guest.run(`mem-agent memcgset --memcg-swap true --addr ${address}`)).status === 0,
    {
      deadlineMs: 10_000,
      what: "a change through the door",
    },
  );
  expect(await guest.sh(`mem-agent config show --addr ${address}`)).toMatch(/memcg\.swap\ttrue\tsocket/);
}

async function moves(guest: Guest): Promise<void> {
  await guest.sh(`printf 'vsock = "vsock://:9470"\\n' >>${file}`);
  await guest.until(async () => (await guest.run("mem-agent status --addr vsock://1:9470")).status === 0, {
    deadlineMs: 10_000,
    what: "the door at another port",
  });
  expect((await guest.run(`mem-agent status --addr ${address}`)).status).toBe(3);
}

async function noVsock(guest: Guest): Promise<void> {
  // Connections that the other side has not closed are waited for, for 8 s.
  const unload = "rmmod vsock_loopback vmw_vsock_virtio_transport_common vsock";
  await guest.until(async () => (await guest.run(unload)).status === 0, {
    deadlineMs: 60_000,
    what: "vsock leave the kernel",
    intervalMs: 1000,
  });
  await using agent = await GuestAgent.serve(guest, "");
  const { warnings, vsock } = await agent.status();
  expect(vsock.listening).toBe(false);
  expect(warnings.map(({ key }) => key)).toEqual(["vsock"]);
  expect(warnings[0]?.message).toContain("cannot listen on vsock://:9469: cannot use vsock: this kernel has none");
  const asked = await guest.run("mem-agent status --addr vsock://1:9470");
  expect([asked.status, asked.stderr]).toEqual([3, expect.stringContaining("this kernel has no vsock")]);
  expect(await agent.stop()).toBe(0);
}
