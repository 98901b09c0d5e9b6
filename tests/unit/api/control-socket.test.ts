import { describe, expect, test } from "bun:test";
import { existsSync, lstatSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { call } from "../../../src/api/client.ts";
import { ControlSocket } from "../../../src/api/control-socket.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { FakeControl } from "./fake-control.ts";
import { scratchDir, until } from "./served.ts";

async function opened(folder = "") {
  const dir = scratchDir();
  const [first, second] = [join(dir.path, folder, "first.sock"), join(dir.path, "second.sock")];
  const log = recordingLog();
  const troubles: (string | null)[] = [];
  const daemon = new FakeControl();
  const trouble = (why: string | null): void => void troubles.push(why);
  const socket = await ControlSocket.open(`unix://${first}`, { daemon, log, clock: systemClock, trouble });
  return {
    first,
    second,
    log,
    troubles,
    socket,
    async [Symbol.asyncDispose]() {
      await socket.stop();
      dir[Symbol.dispose]();
    },
  };
}

async function answers(path: string): Promise<boolean> {
  return call(path, "status").then(
    () => true,
    () => false,
  );
}

describe("an address that changes", () => {
  test("is listened at, and the old one is gone", async () => {
    await using at = await opened();
    await at.socket.follow(`unix://${at.second}`);
    expect(await answers(at.second)).toBe(true);
    expect((lstatSync(at.second).mode & 0o777).toString(8)).toBe("600");
    await until(() => !existsSync(at.first));
    expect(at.troubles).toEqual([null]);
    expect(at.log.entries.map(({ message }) => message)).toContain("control socket moved");
  });

  test("is only another way of writing it changes nothing", async () => {
    await using at = await opened();
    const { ino } = lstatSync(at.first);
    await at.socket.follow(at.first);
    expect(lstatSync(at.first).ino).toBe(ino);
  });

  test("to where it cannot be leaves the old one, and is tried again", async () => {
    await using at = await opened();
    writeFileSync(at.second, "");
    await at.socket.follow(at.second);
    expect(await answers(at.first)).toBe(true);
    expect(at.troubles).toHaveLength(1);
    expect(at.troubles[0]).toStartWith(`cannot listen on ${at.second}: `);
    expect(at.troubles[0]).toEndWith(`; the control socket stays at ${at.first}`);
    unlinkSync(at.second);
    await at.socket.look();
    expect(at.troubles.at(-1)).toBeNull();
    expect(await answers(at.second)).toBe(true);
  });

  test("and back at once ends where it began", async () => {
    await using at = await opened();
    await Promise.all([at.socket.follow(at.second), at.socket.follow(at.first)]);
    expect(await answers(at.first)).toBe(true);
  });
});

describe("a file that is removed", () => {
  test("comes back, and that is logged", async () => {
    await using at = await opened();
    unlinkSync(at.first);
    await at.socket.look();
    expect(await answers(at.first)).toBe(true);
    expect(at.log.entries.map(({ message }) => message)).toContain("the control socket was gone and is back");
  });

  test("and cannot come back is told until it can", async () => {
    await using at = await opened();
    unlinkSync(at.first);
    writeFileSync(at.first, "");
    await at.socket.look();
    expect(at.troubles[0]).toStartWith(`cannot listen on ${at.first}: `);
    unlinkSync(at.first);
    await at.socket.look();
    expect(at.troubles.at(-1)).toBeNull();
    expect(await answers(at.first)).toBe(true);
  });
});

describe("a file that is gone is back within a second, unasked", () => {
  const ways: readonly (readonly [string, (path: string) => void])[] = [
    ["removed", unlinkSync],
    ["moved", (path) => renameSync(path, `${path}.moved`)],
    ["removed with its folder", (path) => rmSync(dirname(path), { recursive: true })],
    [
      "moved and replaced by a dead one",
      (path) => {
        renameSync(path, `${path}.moved`);
        Bun.listen({ unix: path, socket: { data: () => {} } }).stop(true);
      },
    ],
  ];
  for (const [way, act] of ways) {
    test(way, async () => {
      await using at = await opened("folder");
      // Twice: what came back is watched as well.
      for (let time = 0; time < 2; time++) {
        const { ino } = lstatSync(at.first);
        act(at.first);
        const goneMs = performance.now();
        await until(() => existsSync(at.first) && lstatSync(at.first).ino !== ino && lstatSync(at.first).isSocket());
        expect(performance.now() - goneMs).toBeLessThan(1000);
        await until(() => at.log.entries.filter(({ message }) => message.endsWith("is back")).length === time + 1);
        expect(await answers(at.first)).toBe(true);
      }
    });
  }
});

test("what is stopped stays so", async () => {
  await using at = await opened();
  await at.socket.stop();
  await at.socket.follow(at.second);
  expect([existsSync(at.first), existsSync(at.second)]).toEqual([false, false]);
});
