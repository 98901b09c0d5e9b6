import { describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf, isFault } from "../../../src/base/fault.ts";
import { Log, quietLog, type LogOptions } from "../../../src/base/log.ts";
import { logLevels } from "../../../src/base/log-line.ts";

class HandClock {
  nowMs = 0;
  monotonicMs(): number {
    return this.nowMs;
  }
  wallMs(): number {
    return this.nowMs;
  }
  after(): never {
    throw new Error("the log keeps no timers");
  }
}

interface LogTrial extends Disposable {
  readonly dir: string;
  readonly file: string;
  readonly clock: HandClock;
  readonly log: Log;
  /** What was written, without the time. */
  lines(): string[];
}

function trial(options: Partial<LogOptions> = {}): LogTrial {
  const dir = mkdtempSync(join(tmpdir(), "mem-agent-log-"));
  const file = join(dir, "agent.log");
  const clock = new HandClock();
  const log = new Log({ level: "info", format: "text", file, descriptor: 2, journal: false, clock, ...options });
  return {
    dir,
    file,
    clock,
    log,
    lines: () => linesOf(file),
    [Symbol.dispose]() {
      log.close();
      rmSync(dir, { recursive: true });
    },
  };
}

function linesOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => line.replace(/^\S+Z /, ""));
}

describe("levels", () => {
  for (const [index, level] of logLevels.entries()) {
    test(`${level} lets through itself and what is more important`, () => {
      using trying = trial({ level });
      for (const said of logLevels) trying.log[said](said);
      expect(trying.lines().map((line) => line.split(" ")[0])).toEqual(logLevels.slice(index));
      expect(logLevels.map((said) => trying.log.hears(said))).toEqual(logLevels.map((_, at) => at >= index));
    });
  }
  test("change at run time", () => {
    using trying = trial({ level: "error" });
    trying.log.info("before");
    trying.log.level = "debug";
    trying.log.debug("after");
    expect(trying.log.level).toBe("debug");
    expect(trying.lines()).toEqual(["debug    after"]);
  });
  test("a message that looks like an object of the logging library is only text", () => {
    using trying = trial();
    trying.log.info("m", { message: "x", args: [1], tag: "t" });
    expect(trying.lines()).toEqual(['info     m message=x args="[1]" tag=t']);
  });
});

describe("nothing twice in a row without a count", () => {
  test("a line that comes again is counted, and the count written when another comes", () => {
    using trying = trial();
    for (let count = 0; count < 5; count++) trying.log.info("same", { a: 1 });
    expect(trying.lines()).toEqual(["info     same a=1"]);
    trying.log.info("other");
    expect(trying.lines()).toEqual(["info     same a=1", "info     same a=1 … (repeated 4 times)", "info     other"]);
  });
  test("other fields or another level make another line", () => {
    using trying = trial();
    trying.log.info("m", { a: 1 });
    trying.log.info("m", { a: 2 });
    trying.log.warn("m", { a: 2 });
    expect(trying.lines()).toHaveLength(3);
  });
  test("flush and close write what is owed, once", () => {
    using trying = trial();
    trying.log.info("same");
    trying.log.info("same");
    trying.log.flush();
    trying.log.flush();
    expect(trying.lines()).toEqual(["info     same", "info     same … (repeated 1 time)"]);
    trying.log.info("same");
    trying.log.flush();
    expect(trying.lines()).toHaveLength(3);
  });
  test("one that goes on is written with its count every ten minutes", () => {
    using trying = trial();
    for (let minute = 0; minute <= 20; minute++) {
      trying.clock.nowMs = minute * 60_000;
      trying.log.warn("still");
    }
    expect(trying.lines()).toEqual([
      "warn     still",
      "warn     still … (repeated 10 times)",
      "warn     still … (repeated 10 times)",
    ]);
  });
  test("with JSON the count is a field", () => {
    using trying = trial({ format: "json" });
    trying.log.info("same");
    trying.log.info("same");
    trying.log.flush();
    expect(trying.lines().map((line) => (JSON.parse(line) as { repeated?: number }).repeated)).toEqual([undefined, 1]);
  });
});

describe("the file", () => {
  test("is private, and appended to", () => {
    using trying = trial();
    trying.log.info("one");
    expect((statSync(trying.file).mode & 0o777).toString(8)).toBe("600");
    const again = new Log({
      level: "info",
      format: "text",
      file: trying.file,
      descriptor: 2,
      journal: false,
      clock: trying.clock,
    });
    again.info("two");
    again.close();
    expect(trying.lines()).toEqual(["info     one", "info     two"]);
  });
  test("is opened again after a rotation", () => {
    using trying = trial();
    trying.log.info("one");
    trying.log.info("one");
    renameSync(trying.file, `${trying.file}.1`);
    trying.log.reopen();
    trying.log.info("two");
    expect(linesOf(`${trying.file}.1`)).toEqual(["info     one", "info     one … (repeated 1 time)"]);
    expect(trying.lines()).toEqual(["info     two"]);
  });
  test("that cannot be opened again leaves the old one in use", () => {
    using trying = trial();
    renameSync(trying.dir, `${trying.dir}-moved`);
    expect(() => trying.log.reopen()).toThrow(/cannot append to the log file .*ENOENT/);
    renameSync(`${trying.dir}-moved`, trying.dir);
    trying.log.info("still here");
    expect(trying.lines()).toEqual(["info     still here"]);
  });
  test("that cannot be opened at the start is a fault with its name", () => {
    using trying = trial();
    const make = (): Log =>
      new Log({
        level: "info",
        format: "text",
        file: "/nonexistent/x.log",
        descriptor: 2,
        journal: false,
        clock: trying.clock,
      });
    expect(make).toThrow(/cannot append to the log file \/nonexistent\/x\.log/);
  });
  test("is another one when the settings say so, and the old one when that fails", () => {
    using trying = trial();
    const second = join(trying.dir, "second.log");
    trying.log.info("one");
    trying.log.setOutput(second, "json");
    trying.log.info("two");
    let fault: unknown;
    try {
      trying.log.setOutput(join(trying.dir, "none", "x.log"), "text");
    } catch (error) {
      fault = error;
    }
    expect(isFault(fault, "missing")).toBe(true);
    trying.log.info("three");
    expect(trying.lines()).toEqual(["info     one"]);
    expect(linesOf(second).map((line) => (JSON.parse(line) as { message: string }).message)).toEqual(["two", "three"]);
  });
  test("that is a FIFO without a reader does not block", () => {
    using trying = trial();
    const fifo = join(trying.dir, "fifo");
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    expect(() => trying.log.setOutput(fifo, "text")).toThrow(/ENXIO/);
  });
});

/** What a pipe holds. */
function drain(reader: number): string {
  const buffer = Buffer.alloc(1024 * 1024);
  let length = 0;
  try {
    while (length < buffer.length) length += readSync(reader, buffer, length, buffer.length - length, null);
  } catch (error) {
    expect(errnoOf(error)).toBe("EAGAIN");
  }
  return buffer.toString("utf8", 0, length);
}

describe("what cannot be written", () => {
  test("a full disk drops lines, counts them, and is said once it is over", () => {
    using trying = trial();
    trying.log.setOutput("/dev/full", "text");
    expect(trying.log.trouble).toBeNull();
    for (let count = 0; count < 3; count++) trying.log.info(`lost ${count}`);
    expect(trying.log.trouble).toEqual({ dropped: 3, why: "ENOSPC" });
  });
  test("a pipe that is full, and then read", () => {
    using trying = trial();
    const fifo = join(trying.dir, "fifo");
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    trying.log.setOutput(fifo, "text");
    const long = "x".repeat(900);
    for (let count = 0; count < 100; count++) trying.log.info(`${count}`, { long });
    const { trouble } = trying.log;
    expect(trouble?.why).toBe("EAGAIN");
    const held = drain(reader);
    trying.log.info("better");
    expect(trying.log.trouble).toBeNull();
    const rest = drain(reader);
    closeSync(reader);
    const lines = (held + rest).split("\n").slice(0, -1);
    expect(lines.at(-2)).toEndWith(`warn     log lines were dropped dropped=${trouble?.dropped} why=EAGAIN`);
    expect(lines.at(-1)).toEndWith("info     better");
    // Each line is whole, but for the one that the full pipe cut short.
    const cut = lines.filter((line) => !/^\S+Z (info|warn) .*(x{900}|better|EAGAIN)$/.test(line));
    expect(cut.length).toBeLessThanOrEqual(1);
    expect(lines.filter((line) => line.endsWith(long)).length).toBe(100 - (trouble?.dropped ?? 0));
  });
  test("a pipe that nobody reads any more", () => {
    using trying = trial();
    const fifo = join(trying.dir, "fifo");
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    trying.log.setOutput(fifo, "text");
    closeSync(reader);
    trying.log.error("into the void");
    expect(trying.log.trouble).toEqual({ dropped: 1, why: "EPIPE" });
  });
});

test("without a file it writes to the descriptor, with journald's priorities where that leads there", () => {
  const dir = mkdtempSync(join(tmpdir(), "mem-agent-log-"));
  const file = join(dir, "stderr");
  const descriptor = openSync(file, "w");
  const log = new Log({ level: "info", format: "text", file: null, descriptor, journal: true, clock: new HandClock() });
  log.warn("careful", { a: "b c" });
  log.setOutput(join(dir, "agent.log"), "text");
  log.info("into the file");
  log.setOutput(null, "text");
  log.info("back");
  log.reopen();
  log.close();
  expect(readFileSync(file, "utf8")).toBe('<4>careful a="b c"\n<6>back\n');
  expect(readFileSync(join(dir, "agent.log"), "utf8")).toEndWith("Z info     into the file\n");
  closeSync(descriptor);
  rmSync(dir, { recursive: true });
  expect(existsSync(dir)).toBe(false);
});

test("the quiet log takes everything and says nothing", () => {
  for (const level of logLevels) expect(quietLog[level]("m", { a: 1 })).toBeUndefined();
});
