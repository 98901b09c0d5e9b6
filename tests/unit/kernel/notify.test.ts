import { dlopen } from "bun:ffi";
import { describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { datagramSocket } from "../../../src/system/libc.ts";
import { isJournal, notifyAddress, ServiceManager, watchdogPeriodMs } from "../../../src/system/notify.ts";

describe("notifyAddress", () => {
  const rows: readonly [string, string | null][] = [
    ["/run/x", "0100" + Buffer.from("/run/x\0").toString("hex")],
    ["@ab", "0100006162"],
    ["", null],
    ["@", null],
    ["/", null],
    ["run/x", null],
    ["vsock:2:1", null],
    ["/a\0b", null],
    [`/${"a".repeat(106)}`, `0100${Buffer.from(`/${"a".repeat(106)}\0`).toString("hex")}`],
    [`/${"a".repeat(107)}`, null],
  ];
  for (const [name, bytes] of rows) {
    test(JSON.stringify(name.slice(0, 20)), () => {
      const address = notifyAddress(name);
      expect(address === null ? null : Buffer.from(address).toString("hex")).toBe(bytes);
    });
  }
});

describe("watchdogPeriodMs", () => {
  const rows: readonly [string, Record<string, string>, number | null][] = [
    ["half of the time", { WATCHDOG_USEC: "180000000" }, 90_000],
    ["for this process", { WATCHDOG_USEC: "2000000", WATCHDOG_PID: "7" }, 1000],
    ["for another process", { WATCHDOG_USEC: "2000000", WATCHDOG_PID: "8" }, null],
    ["none", {}, null],
    ["zero", { WATCHDOG_USEC: "0" }, null],
    ["no number", { WATCHDOG_USEC: "1s" }, null],
  ];
  for (const [name, environment, expected] of rows) {
    test(name, () => expect(watchdogPeriodMs(environment, 7)).toBe(expected));
  }
});

/** Binds a datagram socket to a NOTIFY_SOCKET name and reads from it, as a service manager does. */
class Manager implements Disposable {
  readonly #fd = datagramSocket();
  readonly #libc = dlopen("libc.so.6", {
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    recv: { args: ["i32", "ptr", "usize", "i32"], returns: "i64" },
  }).symbols;

  constructor(name: string) {
    const address = notifyAddress(name);
    if (address === null || this.#libc.bind(this.#fd, address, address.length) !== 0) throw new Error(`no ${name}`);
  }

  /** The next message that is there, null without one. */
  next(): string | null {
    const bytes = new Uint8Array(256);
    const length = Number(this.#libc.recv(this.#fd, bytes, bytes.length, 0x40));
    return length < 0 ? null : new TextDecoder().decode(bytes.subarray(0, length));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

describe("ServiceManager", () => {
  const folder = mkdtempSync(join(tmpdir(), "mem-agent-notify-"));
  for (const name of [join(folder, "notify"), `@mem-agent-test-${process.pid}`]) {
    test(`tells ${name.startsWith("@") ? "an abstract socket" : "a path"}`, () => {
      using manager = new Manager(name);
      using us = ServiceManager.fromEnvironment({ NOTIFY_SOCKET: name });
      expect(us?.notify("READY=1", "STATUS=ok")).toBe(true);
      expect(us?.notify("WATCHDOG=1")).toBe(true);
      expect([manager.next(), manager.next(), manager.next()]).toEqual(["READY=1\nSTATUS=ok", "WATCHDOG=1", null]);
    });
  }

  test("a manager that does not read does not hang us", () => {
    using manager = new Manager(`@mem-agent-full-${process.pid}`);
    using us = ServiceManager.fromEnvironment({ NOTIFY_SOCKET: `@mem-agent-full-${process.pid}` });
    const answers = Array.from({ length: 5000 }, () => us?.notify("WATCHDOG=1"));
    expect(answers[0]).toBe(true);
    expect(answers.at(-1)).toBe(false);
    expect(manager.next()).toBe("WATCHDOG=1");
  });

  test("a manager that is gone is no error", () => {
    using us = ServiceManager.fromEnvironment({ NOTIFY_SOCKET: join(folder, "gone") });
    expect(us?.notify("READY=1")).toBe(false);
    rmSync(folder, { recursive: true });
  });

  test("no manager", () => {
    expect(ServiceManager.fromEnvironment({})).toBeNull();
    expect(ServiceManager.fromEnvironment({ NOTIFY_SOCKET: "" })).toBeNull();
    expect(() => ServiceManager.fromEnvironment({ NOTIFY_SOCKET: "vsock:2:1" })).toThrow("cannot notify");
  });
});

describe("whether standard error leads to the journal", () => {
  const stream = { dev: 8, ino: 12_345 };
  const rows: readonly [text: string | undefined, is: boolean][] = [
    ["8:12345", true],
    ["8:99", false],
    ["", false],
    [undefined, false],
  ];
  for (const [text, is] of rows) test(String(text), () => expect(isJournal(text, stream)).toBe(is));
});
