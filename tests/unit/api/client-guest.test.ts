import { describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, callEvents, NoDaemon } from "../../../src/api/client.ts";
import { vmm } from "../../support/vmm.ts";
import { scratchDir, serve, until } from "./served.ts";

const failureOf = (addr: string) => call(addr, "status", { timeoutMs: 300 }).catch((error: unknown) => error);

const ownFolders = (): string[] => readdirSync(tmpdir()).filter((name) => /^mem-agent-.{6}$/.test(name));

describe("through a VMM's socket", () => {
  test("answers, a change, and events; nothing stays behind", async () => {
    await using served = await serve();
    using dir = scratchDir();
    const path = join(dir.path, "v.sock");
    const server = await vmm(path, served.path);
    const before = ownFolders();
    try {
      const direct = await call(served.path, "configShow");
      expect(await call(`hvsock://${path}`, "configShow")).toEqual(direct);
      const level = { body: { level: "debug" } } as const;
      expect(await call(`hvsock://${path}`, "logLevelSet", level)).toEqual(
        await call(served.path, "logLevelSet", level),
      );
      expect(await call(`hvsock://${path}:9469`, "metrics")).toContain("mem_agent_build_info");
      const stop = new AbortController();
      const events = callEvents(`hvsock://${path}:9469`, { signal: stop.signal });
      const first = events.next();
      await until(() => served.daemon.events.heard);
      served.daemon.emit({ event: "warning_cleared", key: "k" });
      expect((await first).value).toMatchObject({ event: "warning_cleared", key: "k" });
      const next = events.next();
      stop.abort();
      expect((await next).done).toBe(true);
      await until(() => !served.daemon.events.heard);
    } finally {
      server.close();
    }
    expect(ownFolders().filter((name) => !before.includes(name))).toEqual([]);
  });
});

describe("errors told apart", () => {
  test("no such path, refused, no agent there", async () => {
    await using served = await serve();
    using dir = scratchDir();
    const path = join(dir.path, "v.sock");
    expect(await failureOf(`hvsock://${dir.path}/none:9469`)).toMatchObject({
      message: expect.stringContaining("no such socket; see that the VM runs"),
    });
    writeFileSync(join(dir.path, "plain"), "");
    expect(await failureOf(`hvsock://${dir.path}/plain`)).toMatchObject({
      message: expect.stringContaining("nobody listens there"),
    });
    const server = await vmm(path, served.path);
    try {
      const failure = await failureOf(`hvsock://${path}:9470`);
      expect(failure).toBeInstanceOf(NoDaemon);
      expect(failure).toMatchObject({
        message: expect.stringContaining("no agent listens on port 9470 of the guest"),
      });
    } finally {
      server.close();
    }
  });

  test("a door that does not let us in", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "v.sock");
    const server = createServer((host) => {
      host.once("data", () => {
        host.write("OK 1\n");
        host.once("data", () => host.destroy());
      });
      host.on("error", () => {});
    }).listen(path);
    try {
      const failure = await failureOf(`hvsock://${path}`);
      expect(failure).toBeInstanceOf(NoDaemon);
      expect(failure).toMatchObject({
        message: expect.stringContaining("it closed the connection without a word; see that control.vsock_peers"),
      });
    } finally {
      server.close();
    }
  });

  test("what speaks another protocol, or nothing", async () => {
    using dir = scratchDir();
    const [odd, mute] = [join(dir.path, "odd"), join(dir.path, "mute")];
    const servers = [
      createServer((socket) => socket.write("HTTP/1.1 400\r\n")).listen(odd),
      createServer(() => {}).listen(mute),
    ];
    try {
      expect(await failureOf(`hvsock://${odd}`)).toMatchObject({
        kind: "io",
        message: expect.stringContaining("does not speak the vsock handshake"),
      });
      expect(await failureOf(`hvsock://${mute}`)).toMatchObject({
        kind: "io",
        message: expect.stringContaining("no answer within 0.3 s"),
      });
    } finally {
      for (const server of servers) server.close();
    }
  });
});
