/** What a root process on the same machine may do to the socket by mistake or in anger. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { call } from "../../../src/api/client.ts";
import { routeNames, routes } from "../../../src/api/routes.ts";
import { ask, exchange, hold, serve, until, type Served } from "./served.ts";

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(() => served[Symbol.asyncDispose]());

const descriptors = (): number => readdirSync("/proc/self/fd").length;

/** The private memory of this process, which holds server and clients. */
function privateMiB(): number {
  Bun.gc(true);
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
}

async function healthMs(): Promise<number> {
  const start = performance.now();
  expect((await call(served.path, "health")).health).toBe("ok");
  return performance.now() - start;
}

test("200 clients with half a request are closed, and hold up nobody meanwhile", async () => {
  const halves = [
    "",
    "G",
    "GET /v1/status HTTP/1.1\r\nHos",
    "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n",
    "PATCH /v1/memcg HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    "PATCH /v1/memcg HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
  ];
  const before = descriptors();
  const clients: Socket[] = [];
  let closed = 0;
  for (let index = 0; index < 200; index++) {
    const client = await hold(served.path, halves[index % halves.length] ?? "");
    client.resume();
    client.on("close", () => (closed += 1));
    client.on("error", () => {});
    clients.push(client);
  }
  expect(await healthMs()).toBeLessThan(250);
  // Some go on dripping: that buys no time.
  const drip = setInterval(() => {
    for (const client of clients) if (client.writable) client.write("a");
  }, 1000);
  try {
    await until(() => closed === 200, 25_000);
  } finally {
    clearInterval(drip);
    for (const client of clients) client.destroy();
  }
  await until(() => descriptors() <= before + 4);
  expect(await healthMs()).toBeLessThan(250);
  expect(served.daemon.asks).toEqual([]);
}, 40_000);

const floods: readonly [title: string, first: string, more: string][] = [
  ["endless headers", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n", "X-Filler: aaaaaaaaaaaaaaaa\r\n".repeat(1000)],
  ["a header without end", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: ", "a".repeat(30_000)],
  ["a path without end", "GET /", "a".repeat(30_000)],
  [
    "a chunked body without end",
    "PATCH /v1/memcg HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    `8000\r\n${" ".repeat(0x8000)}\r\n`,
  ],
  ["a body that was not announced", "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(30_000)],
];
for (const [title, first, more] of floods) {
  test(`${title}: cut off, without growing`, async () => {
    const before = privateMiB();
    const client = await hold(served.path, first);
    client.resume();
    client.on("error", () => {});
    let sentMiB = 0;
    while (!client.destroyed && sentMiB < 200) {
      if (client.write(more)) await Bun.sleep(0);
      else await Promise.race([new Promise((resolve) => client.once("drain", resolve)), Bun.sleep(50)]);
      sentMiB += more.length / 1024 / 1024;
    }
    expect(client.destroyed).toBe(true);
    expect(await healthMs()).toBeLessThan(250);
    expect(privateMiB() - before).toBeLessThan(48);
  }, 20_000);
}

test("100 setters at once: each is applied whole, in some order", async () => {
  served.daemon.asks.length = 0;
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      call(served.path, "memcgSet", { body: { period_secs: index + 1, order: index + 1 } }),
    ),
  );
  const asked = served.daemon.asks.map(({ with: said }) => (said as { change: Record<string, number> }).change);
  expect(asked.every((change) => change["period_secs"] === change["order"])).toBe(true);
  expect(new Set(asked.map((change) => change["period_secs"])).size).toBe(100);
  expect(answers.map(({ changes }) => changes[0]?.to)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
});

test("requests behind one another on one connection are all answered", async () => {
  const one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const said = await exchange(served.path, one.repeat(20) + last);
  expect(said.split('{"health":"ok"}')).toHaveLength(22);
});

/** A small seeded generator (mulberry32), so that a failure can be had again. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pieces = [
  "\r\n",
  "\0",
  "\xff",
  " ",
  ":",
  "{",
  "}",
  '"',
  "99999999999",
  "-1",
  "%00",
  "../",
  "?save=true",
  "Host: a\r\n",
];

function mutate(request: string, random: () => number): string {
  let mutated = request;
  const pick = (length: number): number => Math.floor(random() * length);
  for (let changes = 1 + pick(4); changes > 0; changes--) {
    const at = pick(mutated.length + 1);
    const kind = pick(4);
    const piece = pieces[pick(pieces.length)] ?? "";
    if (kind === 0) mutated = mutated.slice(0, at) + piece + mutated.slice(at);
    else if (kind === 1) mutated = mutated.slice(0, at) + mutated.slice(at + 1 + pick(8));
    else if (kind === 2) mutated = mutated.slice(0, at) + String.fromCharCode(pick(256)) + mutated.slice(at + 1);
    else mutated = mutated.slice(0, at) + mutated.slice(at - pick(20)) + mutated.slice(at);
  }
  return mutated;
}

const mutatedCount = 50_000;
test(`${mutatedCount.toLocaleString("en")} mutated requests: 2xx, 4xx or a closed connection, and nothing asked without a 2xx`, async () => {
  const bodies: Record<string, string> = {
    memcgSet: '{"period_secs":5}',
    compactSet: '{"period_secs":5}',
    logLevelSet: '{"level":"debug"}',
    run: '{"what":"memcg","dry_run":true}',
  };
  const requests = routeNames
    .filter((name) => name !== "events")
    .map((name) => {
      const body = bodies[name] ?? "";
      const length = body === "" ? "" : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
      return `${routes[name].method} ${routes[name].path} HTTP/1.1\r\nHost: localhost\r\n${length}Connection: close\r\n\r\n${body}`;
    });
  const random = seeded(20260725);
  const before = privateMiB();
  const statuses = new Map<string, number>();
  served.daemon.asks.length = 0;
  let accepted = 0;
  const worker = async (share: number): Promise<void> => {
    for (let count = 0; count < share; count++) {
      const request = mutate(requests[count % requests.length] ?? "", random);
      // What is left half said is closed by us: the server's own time limit has its test above.
      const said = await exchange(served.path, Buffer.from(request, "latin1"), 25);
      // 505 is Bun's own word for a first line that names another version of HTTP, and closes the connection.
      const answered = [...said.matchAll(/HTTP\/1\.1 (505|\d)/g)].map((match) => match[1] ?? "");
      for (const status of answered.length === 0 ? ["closed"] : answered) {
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status === "2") accepted += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: 50 }, () => worker(mutatedCount / 50)));
  expect([...statuses.keys()].filter((status) => !["2", "4", "505", "closed"].includes(status))).toEqual([]);
  expect(statuses.get("4")).toBeGreaterThan(mutatedCount / 10);
  expect(served.daemon.asks.length).toBeLessThanOrEqual(accepted);
  expect((await ask(served.path, "/v1/status")).status).toBe(200);
  expect(served.log.entries.filter(({ level }) => level === "error" || level === "critical")).toEqual([]);
  expect(privateMiB() - before).toBeLessThan(64);
}, 60_000);
