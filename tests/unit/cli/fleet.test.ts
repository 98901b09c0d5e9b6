import { describe, expect, test } from "bun:test";
import type { Gathered } from "../../../src/cli/fleet/gather.ts";
import { gather } from "../../../src/cli/fleet/gather.ts";
import { fleetGuests, parseFleetFile } from "../../../src/cli/fleet/guests.ts";
import { fleetMetrics } from "../../../src/cli/fleet/metrics.ts";
import { fleetRow, fleetSum, sortRows } from "../../../src/cli/fleet/rows.ts";
import { renderFleet } from "../../../src/cli/screens/fleet.ts";
import { plainTerminal } from "../../../src/cli/screens/terminal.ts";
import { textWidth } from "../../../src/cli/screens/text.ts";
import { Fault } from "../../../src/base/fault.ts";
import type { AgentStatus } from "../../../src/agent/status.ts";
import { agentStatus } from "../api/fake-control.ts";

const guest = (address: string, label: string | null = null) => ({ address, label });

function answered(name: string, changes: Partial<AgentStatus> = {}): Gathered<AgentStatus> {
  const answer = agentStatus({ machine: { name, hostname: null, machine_id: null }, ...changes });
  return { guest: guest(`vsock://3:${name.length}`), answer, error: null, exitCode: 0 };
}

const gone: Gathered<AgentStatus> = {
  guest: guest("vsock://9"),
  answer: null,
  error: "no VM has this id",
  exitCode: 3,
};

describe("a list of guests", () => {
  test("is an address a line, with a name and comments", () => {
    const text = "# all\n\nvsock://3\tdb # the first\n  hvsock:///run/vm#1/v.sock:7  web-1\r\n";
    expect(parseFleetFile(text)).toEqual({
      guests: [guest("vsock://3", "db"), guest("hvsock:///run/vm#1/v.sock:7", "web-1")],
      problems: [],
    });
  });

  const bad: readonly [words: string[], file: string | null, problem: RegExp][] = [
    [[], null, /no guest is named/],
    [["vsock://x"], null, /context id/],
    [[], "vsock://3 a b", /guests: line 1: .*more than an address and a name/],
    [[], "vsock://3 a\nvsock://4 a", /the name "a" is given to several guests/],
    [["hvsock:///nowhere/at-all-*"], null, /no such socket/],
  ];
  test.each(bad)("is refused: %p %p", (words, file, problem) => {
    expect(() => fleetGuests(words, file === null ? null : { name: "guests", text: file })).toThrow(problem);
  });

  test("names each once", () => {
    expect(fleetGuests(["vsock://3", "vsock://3", "vsock://4"], null)).toHaveLength(2);
  });
});

test("many are asked at once, but no more than 64", async () => {
  let [now, most] = [0, 0];
  const guests = Array.from({ length: 200 }, (_, index) => guest(`vsock://${index}`));
  const answers = await gather(guests, async ({ address }) => {
    most = Math.max(most, ++now);
    await Bun.sleep(1);
    now -= 1;
    if (address === "vsock://7") throw new Fault("io", "cannot reach mem-agent at vsock://7: no answer within 3 s");
    return address;
  });
  expect(most).toBe(64);
  expect(answers.map(({ guest: { address }, answer }) => answer ?? address)).toEqual(guests.map((one) => one.address));
  expect(answers[7]).toMatchObject({ answer: null, error: "no answer within 3 s", exitCode: 1 });
});

describe("rows", () => {
  test("are sorted as people count, who does not answer last", () => {
    const rows = [gone, answered("web-10"), answered("web-9")].map((one) => fleetRow(one, null));
    expect(sortRows(rows, "name").map(({ name }) => name)).toEqual(["web-9", "web-10", "vsock://9"]);
    expect(sortRows(rows, "host").map(({ name }) => name)).toEqual(["web-9", "web-10", "vsock://9"]);
  });

  test("sum what is known", () => {
    const rows = [
      fleetRow(answered("a"), 100),
      fleetRow(answered("b", { health: "warning" }), null),
      fleetRow(gone, 7),
    ];
    expect(fleetSum(rows)).toMatchObject({ guests: 3, unreachable: 1, with_warnings: 1, host_bytes: 107 });
    expect(fleetSum([fleetRow(answered("a"), null)]).host_bytes).toBeNull();
  });

  test.each([80, 160])("fit into %d columns", (columns) => {
    const rows = [fleetRow(answered("a".repeat(64)), 1), fleetRow({ ...gone, error: "why ".repeat(100) }, null)];
    const lines = renderFleet({ guests: rows, sum: fleetSum(rows) }, 0, { ...plainTerminal, columns }, null);
    for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(columns);
    expect(lines.at(-1)).toBe("1 guest does not answer");
  });

  test("that do not fit on the screen are counted", () => {
    const rows = Array.from({ length: 30 }, (_, index) => fleetRow(answered(`web-${index}`), null));
    const lines = renderFleet({ guests: rows, sum: fleetSum(rows) }, 0, plainTerminal, 10);
    expect(lines).toHaveLength(12);
    expect(lines[10]).toBe("… and 21 more guests");
  });
});

const metricsOf = (value: number): string =>
  `# HELP a The a.\n# TYPE a gauge\na ${value}\n# HELP b The b.\n# TYPE b counter\nb{x="1, \\"}"} ${value}\n`;

test("metrics of all are one text, which Prometheus takes: each metric in one group", () => {
  const one = { guest: guest("vsock://3", 'a"b'), answer: metricsOf(1), error: null, exitCode: 0 };
  const two = { guest: guest("vsock://4"), answer: metricsOf(2), error: null, exitCode: 0 };
  const three = { guest: guest("vsock://5"), answer: null, error: "gone", exitCode: 3 };
  expect(fleetMetrics([one, two, three], new Map([["vsock://4", 4096]]))).toBe(
    `# HELP mem_agent_fleet_up 1 for a guest whose agent answered, 0 for one whose agent did not.
# TYPE mem_agent_fleet_up gauge
mem_agent_fleet_up{guest="a\\"b"} 1
mem_agent_fleet_up{guest="vsock://4"} 1
mem_agent_fleet_up{guest="vsock://5"} 0
# HELP mem_agent_fleet_host_bytes What the host pays for a guest: the proportional set size of its VMM.
# TYPE mem_agent_fleet_host_bytes gauge
mem_agent_fleet_host_bytes{guest="vsock://4"} 4096
# HELP a The a.
# TYPE a gauge
a{guest="a\\"b"} 1
a{guest="vsock://4"} 2
# HELP b The b.
# TYPE b counter
b{guest="a\\"b",x="1, \\"}"} 1
b{guest="vsock://4",x="1, \\"}"} 2
`,
  );
});
