import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { call, callEvents, Refused } from "../../../src/api/client.ts";
import type { DoorNews } from "../../../src/agent/door.ts";
import { VsockDoor } from "../../../src/api/vsock-door.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { type ControlSettings, defaultSettings } from "../../../src/config/schema.ts";
import { addressFamilyUnix, bindAndListen, streamSocket } from "../../../src/system/libc.ts";
import { cidOf, vsockAddress } from "../../../src/system/vsock.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { FakeControl, memcgStatus, target } from "./fake-control.ts";
import { ask, exchange, hold, scratchDir, until } from "./served.ts";

/** Listens as vsock would, on a unix socket, where this machine has no vsock. */
function listenUnix(path: string): number {
  const fd = streamSocket(addressFamilyUnix);
  const address = new Uint8Array(110);
  address[0] = addressFamilyUnix;
  address.set(Buffer.from(path), 2);
  bindAndListen(fd, address, 128);
  return fd;
}

interface Opened extends AsyncDisposable {
  readonly door: VsockDoor;
  readonly dir: string;
  readonly path: string;
  readonly daemon: FakeControl;
  readonly control: ControlSettings;
  readonly news: DoorNews[];
  /** Who comes next. */
  cid: number | null;
}

function open(control: Partial<ControlSettings> = {}): Opened {
  const dir = scratchDir();
  const path = join(dir.path, "vsock");
  const daemon = new FakeControl();
  const news: DoorNews[] = [];
  const settings: ControlSettings = {
    ...defaultSettings.control,
    addr: join(dir.path, "control.sock"),
    vsock: "vsock://:9469",
    ...control,
  };
  const opened = { cid: 2 as number | null };
  const door = new VsockDoor({
    daemon,
    log: recordingLog(),
    clock: systemClock,
    news: (one) => news.push(one),
    vsock: { listen: (port) => listenUnix(`${path}-${port}`), peerCid: () => opened.cid },
  });
  door.follow(settings);
  return Object.assign(opened, {
    door,
    dir: dir.path,
    path: `${path}-9469`,
    daemon,
    control: settings,
    news,
    async [Symbol.asyncDispose]() {
      await door.stop();
      dir[Symbol.dispose]();
    },
  });
}

const descriptors = (): number => readdirSync("/proc/self/fd").length;

describe("an address of the kernel", () => {
  test("is read back", () => {
    expect(cidOf(vsockAddress(3, 9469))).toBe(3);
  });
  test("that is short, or another family's, names nobody", () => {
    expect(cidOf(vsockAddress(3, 9469).subarray(0, 8))).toBeNull();
    expect(cidOf(new Uint8Array(0))).toBeNull();
    expect(cidOf(new Uint8Array(16).fill(1))).toBeNull();
  });
});

describe("a peer that the settings name", () => {
  test("reads all that is read on the control socket", async () => {
    await using at = open();
    expect((await call(at.path, "status")).version).toBe(at.daemon.version);
    expect(await call(at.path, "metrics")).toContain("mem_agent_build_info");
    expect(await call(at.path, "configShow")).toEqual([...at.daemon.configShow()]);
    expect((await ask(at.path, "/healthz", { method: "HEAD" })).status).toBe(200);
    expect(at.news.at(-1)).toMatchObject({ listening: true, refused: 0, trouble: null });
  });

  test("hears events", async () => {
    await using at = open();
    const stop = new AbortController();
    const heard: string[] = [];
    const listening = (async () => {
      for await (const line of callEvents(at.path, { signal: stop.signal })) {
        heard.push(line.event);
        break;
      }
    })();
    await until(() => {
      at.daemon.events.emit({ event: "stopped" });
      return heard.length > 0;
    });
    await listening;
    expect(heard).toEqual(["stopped"]);
  });

  test("changes nothing, and is told which setting would let it", async () => {
    await using at = open();
    for (const name of ["memcgSet", "compactSet", "logLevelSet", "reload", "run", "giveback"] as const) {
      const refused = await call(at.path, name, { body: {} as never }).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(Refused);
      expect(String(refused)).toContain("vsock_write = true under [control]");
    }
    expect(at.daemon.asks).toEqual([]);
  });

  test("changes what it likes with vsock_write, from the moment that it is set", async () => {
    await using at = open();
    at.door.follow({ ...at.control, vsock_write: true });
    expect((await call(at.path, "memcgSet", { body: { period_secs: 5 } })).changes).not.toEqual([]);
    at.door.follow(at.control);
    expect(await call(at.path, "reload").catch((error: unknown) => error)).toBeInstanceOf(Refused);
  });
});

describe("anybody else", () => {
  test.each([1, 3, null])("is closed without a word, and counted: %p", async (cid) => {
    await using at = open();
    at.cid = cid;
    expect(await exchange(at.path, "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")).toBe("");
    expect(at.news.at(-1)).toMatchObject({ accepted: 0, refused: 1 });
  });

  test("who was let in goes when the settings name him no more", async () => {
    await using at = open();
    const held = await hold(at.path, "GET ");
    held.resume();
    let closed = false;
    held.on("close", () => (closed = true));
    await until(() => at.news.at(-1)?.accepted === 1);
    at.door.follow({ ...at.control, vsock_peers: [3] });
    await until(() => closed);
  });
});

describe("what the settings say of the port", () => {
  test("is followed: another one, none, and one again", async () => {
    await using at = open();
    at.door.follow({ ...at.control, vsock: "vsock://:9470" });
    expect((await call(at.path.replace("9469", "9470"), "status")).version).toBe(at.daemon.version);
    expect(await call(at.path, "status").catch(() => "gone")).toBe("gone");
    at.door.follow({ ...at.control, vsock: null });
    expect(at.news.at(-1)).toMatchObject({ listening: false, trouble: null });
    expect(await call(at.path.replace("9469", "9470"), "status").catch(() => "gone")).toBe("gone");
  });

  test("cannot be done: that is news, and is tried again", async () => {
    const dir = scratchDir();
    const news: DoorNews[] = [];
    let there = false;
    const door = new VsockDoor({
      daemon: new FakeControl(),
      log: recordingLog(),
      clock: systemClock,
      news: (one) => news.push(one),
      vsock: {
        listen: () => (there ? listenUnix(join(dir.path, "v")) : streamSocket(4711)),
        peerCid: () => 2,
      },
    });
    const control = { ...defaultSettings.control, addr: join(dir.path, "c.sock"), vsock: "vsock://:9469" };
    door.follow(control);
    expect(news.at(-1)?.trouble).toStartWith("cannot listen on vsock://:9469: cannot make a stream socket: ");
    there = true;
    door.follow(control);
    expect(news.at(-1)).toMatchObject({ listening: true, trouble: null });
    await door.stop();
    dir[Symbol.dispose]();
  });
});

test("the socket behind the door has no name", async () => {
  await using at = open();
  await call(at.path, "status");
  expect(readdirSync(at.dir)).toEqual(["vsock-9469"]);
});

describe("abuse", () => {
  let at: Opened;
  beforeAll(() => {
    at = open();
  });
  afterAll(() => at[Symbol.asyncDispose]());

  test("200 clients with half a request are closed, and hold up nobody meanwhile", async () => {
    const halves = [
      "",
      "G",
      "GET /v1/status HTTP/1.1\r\nHos",
      "PATCH /v1/memcg HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ];
    await call(at.path, "status");
    const before = descriptors();
    const clients: Socket[] = [];
    let closed = 0;
    for (let index = 0; index < 200; index++) {
      const client = await hold(at.path, halves[index % halves.length] ?? "");
      client.resume();
      client.on("close", () => (closed += 1));
      client.on("error", () => {});
      clients.push(client);
    }
    expect((await call(at.path, "health")).health).toBe("ok");
    await until(() => closed === 200, 25_000);
    await until(() => descriptors() <= before + 4);
  }, 40_000);

  test("bodies of 10 MiB are refused, whether they may write or not", async () => {
    const before = descriptors();
    const body = Buffer.alloc(10 * 1024 * 1024, 0x20);
    for (const write of [false, true]) {
      at.door.follow({ ...at.control, vsock_write: write });
      const head = `PATCH /v1/memcg HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`;
      const said = await exchange(at.path, Buffer.concat([Buffer.from(head), body]), 5000);
      expect(said === "" || said.startsWith("HTTP/1.1 413 ")).toBe(true);
    }
    expect(at.daemon.asks).toEqual([]);
    await until(() => descriptors() <= before + 4);
    expect((await call(at.path, "health")).health).toBe("ok");
  }, 20_000);

  test("garbage is answered with 4xx or nothing", async () => {
    for (const bytes of ["\0".repeat(4000), "x".repeat(100_000), "GET / HTTP/9.9\r\n\r\n", "{}\n"]) {
      expect(await exchange(at.path, bytes, 500)).toMatch(/^(HTTP\/1\.1 (4\d\d|505) [^]*)?$/);
    }
    expect((await call(at.path, "health")).health).toBe("ok");
  });

  test("an answer of megabytes reaches a slow reader whole", async () => {
    const many = memcgStatus(Array.from({ length: 4000 }, (_, index) => target(`/many/${index}`)));
    at.daemon.memcgStatus = () => many;
    const client = await hold(at.path, "GET /v1/memcg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let said = "";
    client.on("data", (chunk) => {
      said += chunk.toString("latin1");
      client.pause();
      setTimeout(() => client.resume(), 1);
    });
    await until(() => said.trimEnd().endsWith("}") && said.includes("/many/3999"), 15_000);
    client.destroy();
    expect(JSON.parse(said.slice(said.indexOf("\r\n\r\n"))).targets).toHaveLength(4000);
  }, 20_000);
});
