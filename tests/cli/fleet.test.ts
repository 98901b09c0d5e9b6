/** `fleet` and what acts on several guests: guests are stubs behind VMM sockets that speak the handshake. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentStatus } from "../../src/agent/status.ts";
import type { FleetReport } from "../../src/cli/fleet/rows.ts";
import { vmm } from "../support/vmm.ts";
import { FakeDaemon, serveFakeDaemon, type ServedDaemon } from "./fake-daemon.ts";
import { call, program } from "./program.ts";

const mebi = 2 ** 20;
const guestCount = 100;

/** A recorded status, told apart by the guest's number. */
class NumberedDaemon extends FakeDaemon {
  readonly #number: number;
  /** An agent from before the fields that fleet shows. */
  old = false;

  constructor(number: number) {
    super();
    this.#number = number;
  }

  override status(): AgentStatus {
    const { memcg, machine, ...status } = super.status();
    const numbered = {
      ...status,
      memcg: {
        ...memcg,
        saved_bytes: this.#number * 10 * mebi,
        cold_bytes: { anon_bytes: 0, file_bytes: (guestCount - this.#number) * mebi },
      },
      machine: { ...machine, name: `web-${this.#number}` },
    };
    if (!this.old) return numbered;
    const { cold_bytes: _cold, pressure_percent: _percent, ...older } = numbered.memcg;
    const { machine: _machine, vsock: _vsock, ...before } = numbered;
    return { ...before, memcg: older } as unknown as AgentStatus;
  }
}

const scratch = mkdtempSync(join(tmpdir(), "mem-agent-fleet-"));
const daemons: ServedDaemon[] = [];
const fakes: NumberedDaemon[] = [];
const servers: Server[] = [];
const socket = (number: number | string): string => join(scratch, `vm-${number}`, "v.sock");
const all = `hvsock://${scratch}/vm-[0-9]*/v.sock`;

beforeAll(async () => {
  await program();
  for (let number = 1; number <= guestCount; number++) {
    const fake = new NumberedDaemon(number);
    const daemon = await serveFakeDaemon(fake);
    mkdirSync(join(scratch, `vm-${number}`));
    servers.push(await vmm(socket(number), daemon.path));
    daemons.push(daemon);
    fakes.push(fake);
  }
  mkdirSync(join(scratch, "vm-mute"));
  servers.push(createServer(() => {}).listen(socket("mute")));
}, 60_000);

afterAll(async () => {
  for (const server of servers) server.close();
  await Promise.all(daemons.map((daemon) => daemon[Symbol.asyncDispose]()));
  rmSync(scratch, { recursive: true, force: true });
});

const addresses = (...numbers: readonly number[]): string[] => numbers.map((number) => `hvsock://${socket(number)}`);

describe("one screen", () => {
  test("a hundred guests, and their sum", async () => {
    const start = performance.now();
    const { code, stdout, stderr } = await call(["fleet", all]);
    const took = performance.now() - start;
    expect([code, stderr]).toEqual([0, ""]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(guestCount + 2);
    expect(lines[0]).toMatch(/^GUEST\tHEALTH\tHOST PAYS\tSAVED\tBACK\tCOLD\tFREE\tREPORTABLE\tSTALL\t/);
    expect(lines[2]).toMatch(/^web-2\tok\t\S+ MiB\t20.0 MiB\t.*\t98.0 MiB\t/);
    expect(lines.at(-1)).toMatch(/^100 guests\t100 ok\t\S+ GiB\t49.3 GiB\t/);
    console.log(`fleet of ${guestCount}: ${took.toFixed(0)} ms as a process`);
    expect(took).toBeLessThan(15_000);
  });

  test("is sorted by what is asked for", async () => {
    const { stdout } = await call(["fleet", ...addresses(3, 7, 5), "--sort", "saved"]);
    expect([...stdout.matchAll(/^web-\d+/gm)].map(String)).toEqual(["web-7", "web-5", "web-3"]);
  });

  test("who does not answer is a row that says why, and the others do not wait longer than the time-out", async () => {
    writeFileSync(join(scratch, "plain"), "");
    const bad = [`hvsock://${scratch}/plain`, `hvsock://${scratch}/none`, `${addresses(2)[0]}:1`, "vsock://77:1"];
    const start = performance.now();
    const { code, stdout } = await call([
      "fleet",
      ...addresses(1),
      ...bad,
      `hvsock://${socket("mute")}`,
      "--timeout",
      "700ms",
    ]);
    expect(performance.now() - start).toBeLessThan(4000);
    expect(code).toBe(0);
    expect(stdout).toMatch(/plain\tnobody listens there/);
    expect(stdout).toMatch(/none\tthere is no such socket/);
    expect(stdout).toMatch(/v.sock:1\tno agent listens on port 1 of the guest/);
    expect(stdout).toMatch(/mute\/v.sock\tno answer within 0.7 s/);
    expect(stdout).toMatch(/^6 guests\t1 ok/m);
    expect(stdout).toContain("5 guests do not answer");
  });

  test("where nobody answers, the exit code says it", async () => {
    expect((await call(["fleet", `hvsock://${scratch}/none`])).code).toBe(3);
  });

  test("JSON says the same, with nulls for what an older agent does not know", async () => {
    const fake = fakes[8];
    if (fake === undefined) throw new Error("there is a ninth");
    fake.old = true;
    const { stdout } = await call(["fleet", ...addresses(4, 9), `hvsock://${scratch}/none`, "--json"]);
    fake.old = false;
    const { guests, sum } = JSON.parse(stdout) as FleetReport;
    expect(guests.map(({ name, saved_bytes, cold_bytes, error }) => [name, saved_bytes, cold_bytes, error])).toEqual([
      [addresses(9)[0] ?? "", 90 * mebi, null, null],
      ["web-4", 40 * mebi, 96 * mebi, null],
      [`hvsock://${scratch}/none`, null, null, expect.stringContaining("no such socket")],
    ]);
    expect(sum).toMatchObject({ guests: 3, unreachable: 1, saved_bytes: 130 * mebi });
    // The stubs' VMM is this test, which may be looked at.
    expect(guests[1]?.host_bytes).toBeGreaterThan(mebi);
  });
});

describe("which guests", () => {
  test("a file names them, with names of its own", async () => {
    const file = join(scratch, "guests");
    writeFileSync(file, `# all of them\n${addresses(1)[0]}  db\n\n${addresses(2)[0]} # no name\n`);
    const { stdout } = await call(["fleet", "--from", file]);
    expect([...stdout.matchAll(/^(db|web-2|2 guests)\t/gm)].map((match) => match[1])).toEqual([
      "db",
      "web-2",
      "2 guests",
    ]);
  });

  test("what is wrong with a list is said, all at once, and nobody is asked", async () => {
    const file = join(scratch, "bad");
    writeFileSync(file, "vsock://x\nvsock://3 one two\n");
    const { code, stderr } = await call(["fleet", "http://x", `hvsock://${scratch}/nothing-*/v.sock`, "--from", file]);
    expect(code).toBe(2);
    for (const part of ['"http://x": http is not served', "nothing-*/v.sock", "line 1", "line 2"])
      expect(stderr).toContain(part);
    const none = await call(["fleet", "--json"]);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("no guest is named")]);
    expect((await call(["fleet"])).code).toBe(2);
  });
});

describe("metrics", () => {
  test("each sample with its guest, each metric once", async () => {
    const { stdout } = await call(["fleet", ...addresses(1, 2), `hvsock://${scratch}/none`, "--metrics"]);
    const [first = "", second = ""] = addresses(1, 2);
    expect(stdout).toContain(`mem_agent_fleet_up{guest="${first}"} 1\n`);
    expect(stdout).toContain(`mem_agent_fleet_up{guest="hvsock://${scratch}/none"} 0\n`);
    expect(stdout).toContain(`mem_agent_saved_bytes{guest="${second}"} `);
    expect(stdout).toContain(`mem_agent_machine_info{guest="${first}",name="web-1",`);
    expect(stdout.match(/^# TYPE mem_agent_saved_bytes gauge$/gm)).toHaveLength(1);
    // The samples of one metric stand together.
    const order = [...stdout.matchAll(/^(mem_agent_\w+)\{/gm)].map((match) => match[1]);
    expect(order.filter((name, at) => name !== order[at - 1]).length).toBe(new Set(order).size);
  });
});

describe("acting on several", () => {
  test("giveback: each within its deadline, and what each gave", async () => {
    const { code, stdout } = await call(["fleet", "giveback", ...addresses(1, 2), "--within", "1s", "--slab"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^GUEST\tGIVEN BACK/);
    expect(stdout).toMatch(/given back by 2 of 2 guests/);
    expect(fakes[0]?.asked.at(-1)).toMatchObject({ ask: "giveback", with: { within_secs: 1, slab: true } });
    const some = await call(["fleet", "giveback", ...addresses(1), `hvsock://${scratch}/none`]);
    expect(some.code).toBe(3);
    expect(some.stdout).toContain("given back by 1 of 2 guests");
  });

  test("a set command with several addresses says what each answered", async () => {
    const [first = "", second = ""] = addresses(1, 2);
    const { code, stdout } = await call(["memcgset", "--memcg-swap", "true", "--addr", first, "--addr", second]);
    expect([code, stdout]).toEqual([0, `${first}: a.key: 600 -> 7\n${second}: a.key: 600 -> 7\n`]);
    expect(fakes[1]?.asked.at(-1)).toMatchObject({ ask: "memcgSet", with: { memcg: { swap: true } } });
    const gone = `hvsock://${scratch}/none`;
    const some = await call(["loglevelset", "debug", "--addr", first, "--addr", gone, "--json"]);
    expect(some.code).toBe(3);
    expect(JSON.parse(some.stdout)).toMatchObject([
      { address: first, error: null, answer: { saved: null } },
      { address: gone, error: expect.stringContaining("no such socket"), answer: null },
    ]);
  });

  test("a set command with a glob acts on each", async () => {
    const { stdout } = await call(["reload", "--addr", `hvsock://${scratch}/vm-1*/v.sock`]);
    expect(stdout.trimEnd().split("\n")).toHaveLength(12);
  });
});
