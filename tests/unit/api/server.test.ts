import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { call, callEvents, Refused } from "../../../src/api/client.ts";
import { bodyBytesMax, routeNames, routePaths, routes, type EventLine } from "../../../src/api/routes.ts";
import { Fault } from "../../../src/base/fault.ts";
import { ask, exchange, serve, until, type Served } from "./served.ts";

let served: Served;
beforeAll(async () => {
  served = await serve();
});
beforeEach(() => {
  served.daemon.asks.length = 0;
  served.daemon.fault = null;
});
afterAll(() => served[Symbol.asyncDispose]());

const bodies: Record<string, unknown> = {
  memcgSet: { period_secs: 5 },
  compactSet: { period_secs: 5 },
  logLevelSet: { level: "debug" },
  pause: { secs: 60 },
  run: { what: "memcg" },
};

describe("every route", () => {
  for (const name of routeNames) {
    if (name === "events") continue;
    const route = routes[name];
    test(`${route.method} ${route.path} answers, with the version`, async () => {
      const body = bodies[name];
      const asked = await ask(served.path, route.path, {
        method: route.method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      expect(asked.status).toBe(200);
      expect(asked.headers.get("mem-agent-version")).toBe("1.2.3");
      const type = route.form === "json" ? "application/json" : "text/plain";
      expect(asked.headers.get("content-type")).toStartWith(type);
      expect(asked.text).toEndWith("\n");
    });
    test(`${name} is answered to the client`, async () => {
      const answer = await call(`unix://${served.path}`, name, { body: bodies[name] as never });
      expect(answer).toBeTruthy();
    });
  }

  for (const path of routePaths) {
    const methods: readonly string[] = routeNames
      .filter((name) => routes[name].path === path)
      .map((name) => routes[name].method);
    for (const method of ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]) {
      if (methods.includes(method) || (method === "HEAD" && methods.includes("GET") && path !== "/v1/events")) continue;
      test(`${method} ${path} is a 405 with Allow`, async () => {
        const asked = await ask(served.path, path, { method });
        expect(asked.status).toBe(405);
        for (const allowed of methods) expect(asked.headers.get("allow")).toContain(allowed);
        if (method !== "HEAD") expect(asked.json).toMatchObject({ error: expect.stringContaining("it takes") });
        expect(served.daemon.asks).toEqual([]);
      });
    }
  }
});

test("what was asked for reaches the daemon", async () => {
  await call(served.path, "memcgSet", { body: { period_secs: 7 }, save: true });
  await call(served.path, "compactSet", { body: { period_secs: 8 } });
  await call(served.path, "logLevelSet", { body: { level: "debug" }, save: false });
  await call(served.path, "run", { body: { what: "memcg", dry_run: true } });
  await call(served.path, "run", { body: { what: "compact" } });
  expect(served.daemon.asks).toEqual([
    { ask: "memcgSet", with: { change: { period_secs: 7 }, options: { save: true } } },
    { ask: "compactSet", with: { change: { period_secs: 8 }, options: { save: false } } },
    { ask: "logLevelSet", with: { level: "debug", options: { save: false } } },
    { ask: "run", with: { what: "memcg", options: { dryRun: true } } },
    { ask: "run", with: { what: "compact", options: { dryRun: false } } },
  ]);
});

describe("a request that is refused changes nothing and says why", () => {
  const json = { "content-type": "application/json" };
  const rows: readonly [title: string, target: string, init: RequestInit, status: number, says: string][] = [
    ["wrong path, nearest named", "/v1/memgc", {}, 404, "did you mean /v1/memcg?"],
    ["wrong path, nothing near", "/somewhere/else", {}, 404, "there are /v1/status"],
    ["empty path", "/", {}, 404, "no such path"],
    ["a slash too many", "/v1/status/", {}, 404, "did you mean /v1/status?"],
    ["broken JSON", "/v1/memcg", { method: "PATCH", body: "{period_secs" }, 400, "not JSON"],
    ["no UTF-8", "/v1/memcg", { method: "PATCH", body: new Uint8Array([0x22, 0xff, 0x22]) }, 400, "UTF-8"],
    ["deep nesting", "/v1/memcg", { method: "PATCH", body: "[".repeat(500_000) }, 400, "not JSON"],
    ["no body", "/v1/memcg", { method: "PATCH" }, 422, "cannot change settings"],
    ["null", "/v1/memcg", { method: "PATCH", body: "null" }, 422, "cannot change settings"],
    ["a list", "/v1/memcg", { method: "PATCH", body: "[]" }, 422, "cannot change settings"],
    ["a refused setting", "/v1/compact", { method: "PATCH", body: "{}" }, 422, "cannot change settings"],
    ["too large", "/v1/memcg", { method: "PATCH", body: " ".repeat(bodyBytesMax + 1) }, 413, "larger than 1048576"],
    ["10 MiB", "/v1/memcg", { method: "PATCH", body: " ".repeat(10 * bodyBytesMax) }, 413, "larger than"],
    [
      "multipart",
      "/v1/memcg",
      { method: "PATCH", body: "{}", headers: { "content-type": "multipart/form-data; boundary=x" } },
      415,
      "application/json",
    ],
    ["plain text", "/v1/run", { method: "POST", body: "{}", headers: { "content-type": "text/plain" } }, 415, "send"],
    ["an Origin", "/v1/status", { headers: { origin: "https://evil.example" } }, 403, "web page"],
    ["an opaque Origin", "/v1/reload", { method: "POST", headers: { origin: "null" } }, 403, "web page"],
    ["a page's fetch", "/v1/status", { headers: { "sec-fetch-site": "cross-site" } }, 403, "web page"],
    ["a rebound name", "/v1/status", { headers: { host: "evil.example:9464" } }, 403, "under the name"],
    [
      "a body where none belongs",
      "/v1/reload",
      { method: "POST", body: '{"x":1}', headers: json },
      400,
      "leave it out",
    ],
    ["an unknown parameter", "/v1/memcg?sav=true", { method: "PATCH", body: "{}" }, 400, "there is save"],
    ["save said wrong", "/v1/memcg?save=yes", { method: "PATCH", body: "{}" }, 400, "true or false"],
    ["save where nothing changes", "/v1/status?save=true", {}, 400, "none is taken"],
    ["run without what", "/v1/run", { method: "POST", body: "{}" }, 422, "what: missing"],
    ["run of something else", "/v1/run", { method: "POST", body: '{"what":"all"}' }, 422, "memcg or compact"],
    ["run, wrong type", "/v1/run", { method: "POST", body: '{"what":"memcg","dry_run":1}' }, 422, "true or false"],
    ["run, unknown field", "/v1/run", { method: "POST", body: '{"what":"memcg","now":1}' }, 422, "unknown field"],
    ["run of a list", "/v1/run", { method: "POST", body: "[]" }, 422, "must be an object"],
    ["no level", "/v1/log-level", { method: "PUT", body: "{}" }, 422, "level: missing"],
    ["a bare level", "/v1/log-level", { method: "PUT", body: '"debug"' }, 422, "must be an object with level"],
    ["a wrong level", "/v1/log-level", { method: "PUT", body: '{"level":"loud"}' }, 422, "trace, debug, info"],
  ];
  for (const [title, target, init, status, says] of rows) {
    test(`${title}: ${status}`, async () => {
      const asked = await ask(served.path, target, init);
      expect(asked.text).toContain(says);
      expect(asked.status).toBe(status);
      expect(asked.json).toEqual({ error: expect.any(String), problems: expect.any(Array) });
      expect((asked.json as { problems: unknown[] }).problems.length).toBeGreaterThan(0);
      expect(asked.headers.get("mem-agent-version")).toBe("1.2.3");
      expect(served.daemon.asks).toEqual([]);
    });
  }

  test("a chunked body is counted as it comes", async () => {
    const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`;
    const head = "PATCH /v1/memcg HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    const said = await exchange(served.path, `${head}${chunk.repeat(17)}0\r\n\r\n`);
    expect(said).toStartWith("HTTP/1.1 413");
    expect(said).toContain("larger than 1048576");
  });

  test("several problems are told at once", async () => {
    const asked = await ask(served.path, "/v1/run", { method: "POST", body: '{"what":1,"dry_run":2,"x":3}' });
    expect((asked.json as { problems: unknown[] }).problems).toHaveLength(3);
    const level = await ask(served.path, "/v1/log-level", { method: "PUT", body: '{"level":"loud","x":3}' });
    expect((level.json as { problems: unknown[] }).problems).toHaveLength(2);
  });
});

describe("what curl sends is taken", () => {
  const rows: readonly [title: string, head: string, status: number][] = [
    ["--data's form type", "Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n", 200],
    ["no type", "Host: localhost\r\n", 200],
    ["JSON with a charset", "Host: localhost\r\nContent-Type: application/json; charset=utf-8\r\n", 200],
    ["merge patch", "Host: localhost\r\nContent-Type: application/merge-patch+json\r\n", 200],
    ["any short host", "Host: d\r\n", 200],
    ["a dot as host", "Host: .\r\n", 200],
    ["a proxy's address", "Host: 10.0.0.5:9464\r\n", 200],
    ["an IPv6 address", "Host: [fe80::1]:9464\r\n", 200],
    ["a name below localhost", "Host: mem.localhost:80\r\n", 200],
    ["an empty host", "Host:\r\n", 200],
    ["a number that is no address", "Host: 1.2.3.4.example\r\n", 403],
    ["a name that ends like an address", "Host: evil.127.0.0.1.nip.io\r\n", 403],
  ];
  for (const [title, head, status] of rows) {
    test(`${title}: ${status}`, async () => {
      const body = '{"period_secs":5}';
      const said = await exchange(
        served.path,
        `PATCH /v1/memcg HTTP/1.1\r\n${head}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
      expect(said).toStartWith(`HTTP/1.1 ${status} `);
    });
  }

  for (const target of ["/metrics", "/healthz"]) {
    test(`${target} answers under any name, but to no page`, async () => {
      expect((await ask(served.path, target, { headers: { host: "guest.example.com" } })).status).toBe(200);
      const asked = await ask(served.path, target, { headers: { origin: "https://guest.example.com" } });
      expect(asked.status).toBe(403);
    });
  }

  test("HEAD answers without a body", async () => {
    const asked = await ask(served.path, "/v1/status", { method: "HEAD" });
    expect(asked).toMatchObject({ status: 200, text: "" });
  });
});

describe("a fault of the daemon", () => {
  const rows: readonly [fault: unknown, status: number, error: string][] = [
    [new Fault("busy", "cannot run: a run is under way; wait"), 409, "a run is under way"],
    [new Fault("missing", "cannot run: lru_gen is not there"), 409, "lru_gen"],
    [new Fault("unsupported", "cannot run: the kernel does not know it"), 422, "the kernel"],
    [new Fault("io", "cannot write: EIO"), 500, "cannot write: EIO"],
    [new TypeError("a bug"), 500, "see its log"],
  ];
  for (const [fault, status, error] of rows) {
    test(`${status} for ${String(fault)}`, async () => {
      served.daemon.fault = fault;
      const asked = await ask(served.path, "/v1/run", { method: "POST", body: '{"what":"memcg"}' });
      expect(asked.status).toBe(status);
      expect(asked.json).toMatchObject({ error: expect.stringContaining(error) });
    });
  }

  test("is a Refused for the client where it can be mended, with every problem", async () => {
    const refused = await call(served.path, "memcgSet", { body: {} }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Refused);
    expect(refused).toMatchObject({ kind: "invalid", status: 422, problems: ["period_secs: missing", "more"] });
  });
  test("is a plain Fault for the client where it cannot", async () => {
    served.daemon.fault = new Fault("io", "cannot write: EIO");
    const failed = await call(served.path, "reload").catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(Fault);
    expect(failed).not.toBeInstanceOf(Refused);
    expect(failed).toMatchObject({ kind: "io", message: "cannot write: EIO" });
  });
});

describe("events", () => {
  test("come one a line, live, until the reader goes", async () => {
    const stop = new AbortController();
    const lines: EventLine[] = [];
    const reading = (async () => {
      for await (const line of callEvents(served.path, { signal: stop.signal })) lines.push(line);
    })();
    await until(() => served.daemon.events.heard);
    served.daemon.emit({ event: "warning_raised", key: "k", message: "a\nb" });
    await until(() => lines.length === 1);
    served.daemon.emit({ event: "warning_cleared", key: "k" });
    await until(() => lines.length === 2);
    expect(lines[0]).toEqual({ time: "2026-01-02T03:04:05.000Z", event: "warning_raised", key: "k", message: "a\nb" });
    stop.abort();
    await reading;
    await until(() => !served.daemon.events.heard);
  });

  test("are counted, not kept, for a reader that does not read", async () => {
    const response = await fetch("http://localhost/v1/events", { unix: served.path } as RequestInit);
    await until(() => served.daemon.events.heard);
    const message = "x".repeat(10_000);
    for (let count = 0; count < 5000; count++) {
      served.daemon.emit({ event: "warning_raised", key: String(count), message });
      if (count % 100 === 0) await Bun.sleep(0);
    }
    // The reader wakes up: what was kept, then how much was lost.
    const reader = response.body!.getReader();
    let text = "";
    let lost: { count: number } | null = null;
    for (let chunks = 0; chunks < 10_000 && lost === null; chunks++) {
      const { value } = await reader.read();
      text += Buffer.from(value ?? []).toString();
      const line = /^.*"event":"lost".*$/m.exec(text)?.[0];
      if (line !== undefined) lost = JSON.parse(line) as { count: number };
    }
    const got = text.split("\n").filter((line) => line.includes('"warning_raised"')).length;
    expect(lost?.count).toBeGreaterThan(0);
    expect(got + (lost?.count ?? 0)).toBe(5000);
    await reader.cancel();
    await until(() => !served.daemon.events.heard);
  });

  test("are refused to the 65th reader", async () => {
    const unlisten = Array.from({ length: 64 }, () => served.daemon.events.on(() => {}));
    try {
      expect((await ask(served.path, "/v1/events")).status).toBe(409);
    } finally {
      for (const stop of unlisten) stop();
    }
  });
});

test("events and runs outlast the time after which silence is closed", async () => {
  const stop = new AbortController();
  const lines: EventLine[] = [];
  const reading = (async () => {
    for await (const line of callEvents(served.path, { signal: stop.signal })) lines.push(line);
  })();
  await until(() => served.daemon.events.heard);
  served.daemon.runSecs = 14;
  try {
    expect((await call(served.path, "run", { body: { what: "memcg" } })).kind).toBe("memcg");
  } finally {
    served.daemon.runSecs = 0;
  }
  served.daemon.emit({ event: "stopped" });
  await until(() => lines.length === 1);
  stop.abort();
  await reading;
}, 20_000);
