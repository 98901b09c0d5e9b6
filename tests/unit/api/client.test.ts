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
  test("what speaks no HTTP is a fault", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "odd.sock");
    const server = createServer((socket) => socket.end("hello\n")).listen(path);
    try {
      expect(await failureOf(path)).toMatchObject({ kind: "io" });
    } finally {
      server.close();
    }
  });
  test("what is no daemon of ours may refuse without a reason", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "other.sock");
    const server = Bun.serve({ unix: path, fetch: () => new Response("<h1>no</h1>", { status: 404 }) });
    try {
      expect(await failureOf(path)).toMatchObject({
        kind: "missing",
        message: expect.stringContaining("answered 404"),
      });
    } finally {
      await server.stop(true);
    }
  });
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
