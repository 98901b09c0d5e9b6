import { describe, expect, test } from "bun:test";
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { call } from "../../../src/api/client.ts";
import { listen, type Listener } from "../../../src/api/listener.ts";
import { serveSocket } from "../../../src/api/server.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { isFault, type Fault } from "../../../src/base/fault.ts";
import { quietLog } from "../../../src/base/log.ts";
import { FakeControl } from "./fake-control.ts";
import { scratchDir, serve } from "./served.ts";

const modeOf = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);

function serveText(text: string): (path: string) => Bun.Server<undefined> {
  return (unix) => Bun.serve({ unix, fetch: () => new Response(text) });
}

async function textAt(path: string): Promise<string> {
  const response = await fetch("http://localhost/", { unix: path } as RequestInit);
  return response.text();
}

async function faultOf(promise: Promise<unknown>): Promise<Fault> {
  const error = await promise.then(
    () => new Error("it went well"),
    (error: unknown) => error,
  );
  if (!isFault(error)) throw error;
  return error;
}

/** Leaves a socket file behind, as a daemon does that was killed. */
async function leaveDead(path: string): Promise<void> {
  const script = `Bun.listen({unix: process.argv[1], socket: {data() {}}}); process.kill(process.pid, "SIGKILL")`;
  const killed = Bun.spawn([process.execPath, "-e", script, path], { stdio: ["ignore", "ignore", "ignore"] });
  await killed.exited;
  expect(lstatSync(path).isSocket()).toBe(true);
}

function listenMute(path: string): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer(() => {}).listen(path, () => resolve(server));
  });
}

test("private from the first moment, in a directory that others may enter", async () => {
  using dir = scratchDir();
  const path = join(dir.path, "a", "b", "s.sock");
  let firstMode = "";
  const listener = await listen(path, (ownPath) => {
    const server = serveText("hi")(ownPath);
    firstMode = modeOf(ownPath);
    return server;
  });
  expect(firstMode).toBe("600");
  expect(modeOf(path)).toBe("600");
  expect(modeOf(dirname(path))).toBe("755");
  expect(readdirSync(dirname(path))).toEqual(["s.sock"]);
  await listener.stop(100);
  expect(readdirSync(dirname(path))).toEqual([]);
});

describe("what is in the way", () => {
  test("a dead daemon's socket is replaced", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "s.sock");
    await leaveDead(path);
    const listener = await listen(path, serveText("new"));
    expect(await textAt(path)).toBe("new");
    expect(readdirSync(dir.path)).toEqual(["s.sock"]);
    await listener.stop(100);
  });

  test("a live daemon's is not, and goes on answering", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "s.sock");
    const first = await listen(path, serveText("first"));
    const fault = await faultOf(listen(path, serveText("second")));
    expect(fault.kind).toBe("busy");
    expect(fault.message).toContain("a daemon is running there; stop it");
    expect(await textAt(path)).toBe("first");
    expect(readdirSync(dir.path)).toEqual(["s.sock"]);
    await first.stop(100);
  });

  test("one that takes connections and is silent counts as live", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "s.sock");
    const mute = await listenMute(path);
    try {
      expect((await faultOf(listen(path, serveText("second")))).kind).toBe("busy");
      expect(existsSync(path)).toBe(true);
    } finally {
      mute.close();
    }
  });

  const obstacles: readonly [title: string, put: (path: string, dir: string) => void, says: string][] = [
    ["a file", (path) => writeFileSync(path, "keep me"), "a file is there"],
    ["a directory", (path) => mkdirSync(path), "a directory is there"],
    ["a dangling link", (path) => symlinkSync("nowhere", path), "a symbolic link is there"],
    [
      "a link to a precious file",
      (path, dir) => {
        writeFileSync(join(dir, "precious"), "keep me");
        symlinkSync("precious", path);
      },
      "a symbolic link is there",
    ],
  ];
  for (const [title, put, says] of obstacles) {
    test(`${title} is refused and left alone`, async () => {
      using dir = scratchDir();
      const path = join(dir.path, "s.sock");
      put(path, dir.path);
      const before = readdirSync(dir.path);
      const fault = await faultOf(listen(path, serveText("x")));
      expect(fault).toMatchObject({ kind: "denied", message: expect.stringContaining(says) });
      expect(readdirSync(dir.path)).toEqual(before);
    });
  }

  test("a directory that cannot be made is said by name", async () => {
    using dir = scratchDir();
    writeFileSync(join(dir.path, "file"), "");
    const fault = await faultOf(listen(join(dir.path, "file", "s.sock"), serveText("x")));
    expect(fault.message).toContain(`make the directory ${join(dir.path, "file")}`);
  });
});

describe("of many that start at once exactly one wins", () => {
  test("in one process, over a dead socket", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "s.sock");
    for (let round = 0; round < 5; round++) {
      await leaveDead(path);
      const starts = await Promise.allSettled(
        Array.from({ length: 12 }, (_, index) => listen(path, serveText(String(index)))),
      );
      const winners = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
      expect(winners).toHaveLength(1);
      expect(starts[Number(await textAt(path))]?.status).toBe("fulfilled");
      await (winners[0] as Listener).stop(100);
      expect(readdirSync(dir.path)).toEqual([]);
    }
  });

  test("in many processes", async () => {
    using dir = scratchDir();
    const path = join(dir.path, "s.sock");
    await leaveDead(path);
    const script = `
      const { listen } = await import(${JSON.stringify(join(import.meta.dir, "../../../src/api/listener.ts"))});
      const serve = (unix) => Bun.serve({ unix, fetch: () => new Response(String(process.pid)) });
      const won = await listen(process.argv[1], serve).then(() => "won", (error) => error.kind);
      console.log(won);
      for await (const _ of process.stdin) ;
      process.exit();`;
    const racers = Array.from({ length: 6 }, () =>
      Bun.spawn([process.execPath, "-e", script, path], { stdin: "pipe", stdout: "pipe", stderr: "inherit" }),
    );
    const said = await Promise.all(
      racers.map(async (racer) =>
        Buffer.from((await racer.stdout.getReader().read()).value ?? [])
          .toString()
          .trim(),
      ),
    );
    expect(said.toSorted()).toEqual(["busy", "busy", "busy", "busy", "busy", "won"]);
    expect(Number(await textAt(path))).toBe(racers[said.indexOf("won")]!.pid);
    for (const racer of racers) await racer.stdin.end();
    await Promise.all(racers.map((racer) => racer.exited));
  }, 20_000);
});

describe("the file is always there", () => {
  test("removed, and made again; streams go on", async () => {
    await using served = await serve();
    const events = await fetch("http://localhost/v1/events", { unix: served.path } as RequestInit);
    const reader = events.body!.getReader();
    expect(await served.server.ensurePresent()).toBe("present");
    unlinkSync(served.path);
    const [first, second] = await Promise.all([served.server.ensurePresent(), served.server.ensurePresent()]);
    expect([first, second]).toEqual(["restored", "restored"]);
    expect(modeOf(served.path)).toBe("600");
    expect((await call(served.path, "health")).health).toBe("ok");
    expect(await served.server.ensurePresent()).toBe("present");
    served.daemon.emit({ event: "stopped" });
    let text = "";
    for (let chunks = 0; chunks < 10 && !text.includes("stopped"); chunks++) {
      text += Buffer.from((await reader.read()).value ?? []).toString();
    }
    expect(text).toContain('"event":"stopped"');
    await reader.cancel();
  });

  test("its directory removed, and made again", async () => {
    await using served = await serve();
    rmSync(dirname(served.path), { recursive: true });
    expect(await served.server.ensurePresent()).toBe("restored");
    expect((await call(served.path, "health")).health).toBe("ok");
  });

  test("something else in its place is said, and healed when it goes", async () => {
    await using served = await serve();
    unlinkSync(served.path);
    writeFileSync(served.path, "");
    expect((await faultOf(served.server.ensurePresent())).kind).toBe("denied");
    unlinkSync(served.path);
    expect(await served.server.ensurePresent()).toBe("restored");
  });

  test("another daemon in its place is said, and keeps its socket when we stop", async () => {
    const served = await serve();
    unlinkSync(served.path);
    const other = await listen(served.path, serveText("other"));
    expect((await faultOf(served.server.ensurePresent())).kind).toBe("busy");
    await served.server.stop();
    expect(await textAt(served.path)).toBe("other");
    await other.stop(100);
    await served[Symbol.asyncDispose]();
  });
});

describe("stop", () => {
  test("lets a request under way be answered", async () => {
    await using served = await serve();
    served.daemon.runSecs = 0.2;
    const report = call(served.path, "run", { body: { what: "memcg" } });
    await Bun.sleep(50);
    await served.server.stop();
    expect((await report).kind).toBe("memcg");
    expect(existsSync(served.path)).toBe(false);
  });

  test("does not wait a second for one that takes longer, nor for readers of events", async () => {
    await using served = await serve();
    served.daemon.runSecs = 10;
    const report = call(served.path, "run", { body: { what: "memcg" } }).catch((error: unknown) => error);
    const events = await fetch("http://localhost/v1/events", { unix: served.path } as RequestInit);
    const start = performance.now();
    await served.server.stop();
    expect(performance.now() - start).toBeLessThan(900);
    expect(isFault(await report, "io")).toBe(true);
    expect(await events.text()).toBe("\n");
    expect(served.daemon.events.heard).toBe(false);
  });

  test("twice is once", async () => {
    await using served = await serve();
    await Promise.all([served.server.stop(), served.server.stop()]);
    expect(await served.server.ensurePresent()).toBe("present");
    expect(existsSync(served.path)).toBe(false);
  });
});

test("a path of the full length works", async () => {
  using dir = scratchDir();
  const path = join(dir.path, "s".repeat(107 - dir.path.length - 1));
  expect(path).toHaveLength(107);
  const server = await serveSocket({ path, daemon: new FakeControl(), log: quietLog, clock: systemClock });
  expect((await call(path, "health")).health).toBe("ok");
  await server.stop();
});
