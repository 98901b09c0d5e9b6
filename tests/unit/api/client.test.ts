import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { call, callEvents, NoDaemon } from "../../../src/api/client.ts";
import type { Fault } from "../../../src/base/fault.ts";
import { scratchDir, serve } from "./served.ts";

async function failureOf(addr: string, options: { timeoutMs?: number } = {}): Promise<unknown> {
  return call(addr, "status", options).catch((error: unknown) => error);
}

describe("no daemon", () => {
  test("no socket file", async () => {
    using dir = scratchDir();
    const failure = await failureOf(`unix://${dir.path}/none.sock`);
    expect(failure).toBeInstanceOf(NoDaemon);
    expect((failure as Fault).message).toMatch(/no such socket; start it with "mem-agent serve"$/);
  });
  test("a file that is no socket, or a dead one", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "plain");
    writeFileSync(path, "");
    const failure = await failureOf(path);
    expect(failure).toBeInstanceOf(NoDaemon);
    expect((failure as Fault).message).toContain("nobody listens there");
  });
  test("the events of nobody", async () => {
    const events = callEvents("/nonexistent/mem-agent.sock");
    expect(events.next()).rejects.toBeInstanceOf(NoDaemon);
  });
});

describe("something else", () => {
  test("a daemon that does not answer is there all the same", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "mute.sock");
    const server = createServer(() => {}).listen(path);
    try {
      const failure = await failureOf(path, { timeoutMs: 200 });
      expect(failure).not.toBeInstanceOf(NoDaemon);
      expect(failure).toMatchObject({ kind: "io", message: expect.stringContaining("no answer within 0.2 s") });
    } finally {
      server.close();
    }
  });
  for (const said of ["hello\n", "HTTP/1.1 200 OK\r\ncontent-le", "\u0000\u0001\r\n\r\nabc\r\n\r\n", ""]) {
    test(`what speaks no HTTP is no mem-agent: ${JSON.stringify(said)}`, async () => {
      using dir = scratchDir();
      const path = join(dir.path, "odd.sock");
      const server = createServer((socket) => socket.end(said)).listen(path);
      try {
        expect(await failureOf(path)).toBeInstanceOf(NoDaemon);
      } finally {
        server.close();
      }
    });
  }
  for (const status of [200, 404, 500]) {
    test(`a web server is no mem-agent, and its ${status} is not repeated`, async () => {
      using dir = scratchDir();
      const path = join(dir.path, "other.sock");
      const server = Bun.serve({ unix: path, fetch: () => new Response("<h1>no</h1>", { status }) });
      try {
        const failure = await failureOf(path);
        expect(failure).toBeInstanceOf(NoDaemon);
        expect((failure as Fault).message).toEndWith(
          "what answers there is no mem-agent; name the socket of mem-agent with --addr",
        );
      } finally {
        await server.stop(true);
      }
    });
  }
});

test("a daemon of another version is pointed out, of the same one not", async () => {
  await using served = await serve();
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  await call(served.path, "status", { version: "1.2.3", warn });
  expect(warnings).toEqual([]);
  await call(served.path, "status", { version: "2.0.0", warn });
  expect(warnings).toEqual(["the daemon is version 1.2.3, this command 2.0.0; restart the daemon"]);
});

test("a control command loads neither schemas nor the server", async () => {
  const built = await Bun.build({
    entrypoints: [join(import.meta.dir, "../../../src/api/client.ts")],
    target: "bun",
    metafile: true,
  });
  const inputs = Object.keys(built.metafile?.inputs ?? {});
  expect(inputs.length).toBeGreaterThan(2);
  expect(inputs.filter((path) => path.includes("node_modules"))).toEqual([]);
  expect(inputs.filter((path) => path.includes("src/config") || path.includes("server.ts"))).toEqual([]);
});
