/** The daemon and its file: a real file, a clock that the test moves, and no feature that would need a kernel. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Daemon, readSettings } from "../../../src/agent/daemon.ts";
import type { TimedEvent } from "../../../src/agent/events.ts";
import { isFault } from "../../../src/base/fault.ts";
import { Log } from "../../../src/base/log.ts";
import type { SettingsOverrides } from "../../../src/config/schema.ts";
import { parsePlaced } from "../../../src/config/toml.ts";
import { SteppedClock } from "./memcg-kernel.ts";

const quietFlags: SettingsOverrides = { memcg: { disabled: true }, compact: { disabled: true } };

let top: string;
let path: string;
let logPath: string;
let clock: SteppedClock;
let daemon: Daemon | null = null;
let events: TimedEvent[];

// The parser that knows positions is loaded when it is first needed: not while a test counts turns.
beforeAll(() => parsePlaced(""));

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "mem-agent-daemon-"));
  mkdirSync(join(top, "etc"));
  path = join(top, "etc", "agent.toml");
  logPath = join(top, "first.log");
  clock = new SteppedClock();
  events = [];
});

afterEach(async () => {
  await daemon?.stop();
  daemon = null;
  rmSync(top, { recursive: true });
});

async function serve(text: string | null, flags: SettingsOverrides = {}): Promise<Daemon> {
  if (text !== null) writeFileSync(path, text);
  const live = await readSettings(path, { ...quietFlags, ...flags, log: { file: logPath, ...flags.log } });
  const log = new Log({ ...live.settings.log, descriptor: 2, journal: false, clock });
  const made = new Daemon({ version: "1.0.0", file: path, dryRun: false, kernelRoot: top, clock, log }, live);
  daemon = made;
  made.onEvent((event) => events.push(event));
  made.start();
  await clock.pass(0);
  return made;
}

/** Waits until the kernel has told of a change, then lets time pass. */
async function settled(ms = 1000): Promise<void> {
  const deadlineMs = performance.now() + 2000;
  while (clock.nextMs === null && performance.now() < deadlineMs) await Bun.sleep(1);
  await Bun.sleep(5);
  await clock.pass(150);
  if (ms > 150) await clock.pass(ms - 150);
  await clock.pass(150);
}

function inForce(made: Daemon, key: string, rule: string | null = null): readonly [unknown, string] | null {
  const found = made.configShow().find((one) => one.key === key && one.rule === rule);
  return found === undefined ? null : [found.value, found.origin];
}

function logged(pattern: RegExp): number {
  return readFileSync(logPath, "utf8")
    .split("\n")
    .filter((line) => pattern.test(line)).length;
}

async function problemsOf(work: Promise<unknown>): Promise<readonly string[]> {
  try {
    await work;
  } catch (error) {
    if (isFault(error)) return error.problems;
    throw error;
  }
  return [];
}

const good = "[memcg]\nperiod_secs = 300\n";

describe("when it was read", () => {
  test("there is a time only where there is a file", async () => {
    const made = await serve(null);
    expect(made.status().config).toMatchObject({ file: path, loaded: null, problems: [] });
    writeFileSync(path, good);
    await settled();
    const loaded = made.status().config.loaded;
    expect(loaded).not.toBeNull();
    expect(inForce(made, "memcg.period_secs")).toEqual([300, "file"]);
    rmSync(path);
    await settled(1300);
    expect(made.status().config.loaded).toBeNull();
    expect(inForce(made, "memcg.period_secs")).toEqual([600, "default"]);
    expect(logged(/settings file gone/)).toBe(1);
  });

  test("an edit between the first reading and the watch is seen", async () => {
    writeFileSync(path, good);
    const live = await readSettings(path, quietFlags);
    const log = new Log({ ...live.settings.log, file: logPath, descriptor: 2, journal: false, clock });
    writeFileSync(path, "[memcg]\nperiod_secs = 42\n");
    daemon = new Daemon({ version: "1.0.0", file: path, dryRun: false, kernelRoot: top, clock, log }, live);
    daemon.start();
    await clock.pass(0);
    expect(inForce(daemon, "memcg.period_secs")).toEqual([42, "file"]);
  });
});

describe("an edit", () => {
  test("is applied, logged and told, and only what changed", async () => {
    const made = await serve(`${good}swap = true\n`);
    await made.memcgSet({ swap: false }, { save: false });
    writeFileSync(path, "[memcg]\nperiod_secs = 301\nswap = true\n");
    await settled();
    expect(inForce(made, "memcg.period_secs")).toEqual([301, "file"]);
    expect(inForce(made, "memcg.swap")).toEqual([false, "socket"]);
    expect(events.filter(({ event }) => event === "reloaded")).toEqual([
      expect.objectContaining({ event: "reloaded", changes: 1 }) as TimedEvent,
    ]);
    expect(logged(/setting changed key=memcg\.period_secs from=300 to=301 origin=file/)).toBe(1);
  });

  test("to what the socket had set is known afterwards", async () => {
    const made = await serve(good);
    await made.memcgSet({ period_secs: 42 }, { save: false });
    writeFileSync(path, "[memcg]\nperiod_secs = 42\n");
    await settled();
    expect(inForce(made, "memcg.period_secs")).toEqual([42, "file"]);
    await made.memcgSet({ period_secs: 43 }, { save: false });
    writeFileSync(path, "[memcg]\nperiod_secs = 42\nswap = true\n");
    await settled();
    expect(inForce(made, "memcg.period_secs")).toEqual([43, "socket"]);
  });

  test("is read at once when somebody asks", async () => {
    const made = await serve(good);
    writeFileSync(path, "[memcg]\nperiod_secs = 7\n");
    expect(await made.reload()).toEqual({ changes: [{ key: "memcg.period_secs", from: 300, to: 7 }], saved: null });
    writeFileSync(path, "[memcg]\nperiod_secs = 8\n");
    await made.hangUp();
    expect(inForce(made, "memcg.period_secs")).toEqual([8, "file"]);
  });
});

const bad = '[memcg]\nperiod_secs = 0\nswapp = true\n\n[compact]\norder = "x"\n';

function problemsOfBad(): string[] {
  return [
    `${path}:2:1: memcg.period_secs: 0 is too small; allowed: a whole number >= 1`,
    `${path}:3:1: memcg.swapp: `,
    `${path}:6:1: compact.order: `,
  ];
}

describe("a bad file", () => {
  test("changes nothing, and is explained until it is mended", async () => {
    const made = await serve(good);
    writeFileSync(path, bad);
    await settled(1300);
    const { config, warnings, health } = made.status();
    for (const [index, problem] of problemsOfBad().entries()) expect(config.problems[index]).toStartWith(problem);
    expect(config.problems).toHaveLength(3);
    expect(health).toBe("warning");
    expect(warnings).toEqual([expect.objectContaining({ key: "config_file" }) as (typeof warnings)[number]]);
    expect(warnings[0]?.message).toContain(`${problemsOfBad()[0]} (and 2 more)`);
    expect(warnings[0]?.remedy).toBe(`mem-agent config check ${path}`);
    expect(logged(/settings file refused problem=/)).toBe(3);
    expect(inForce(made, "memcg.period_secs")).toEqual([300, "file"]);
    expect(events.filter(({ event }) => event === "reload_failed")).toHaveLength(1);

    writeFileSync(path, "[memcg]\nperiod_secs = 9\n");
    await settled();
    expect(made.status()).toMatchObject({ health: "ok", warnings: [], config: { problems: [] } });
    expect(inForce(made, "memcg.period_secs")).toEqual([9, "file"]);
    expect(logged(/over: settings file refused/)).toBe(1);
  });

  test("is said once, however often it is looked at", async () => {
    const made = await serve(good);
    writeFileSync(path, bad);
    for (let look = 0; look < 3; look++) expect(await problemsOf(made.reload())).toHaveLength(3);
    await made.hangUp();
    await settled(1300);
    expect(logged(/settings file refused problem=/)).toBe(3);
    expect(logged(/warning=config_file/)).toBe(1);
    writeFileSync(path, "x");
    expect(await problemsOf(made.reload())).toHaveLength(1);
    expect(logged(/settings file refused problem=/)).toBe(4);
  });

  test("mended to what it said before changes nothing, and the warning goes", async () => {
    const made = await serve(good);
    writeFileSync(path, bad);
    await settled(1300);
    writeFileSync(path, good);
    await settled();
    expect(made.status()).toMatchObject({ health: "ok", config: { problems: [] } });
    expect(logged(/setting changed/)).toBe(0);
  });

  test("that cannot be read at all is one too", async () => {
    const made = await serve(good);
    rmSync(path);
    mkdirSync(path);
    await settled(1300);
    expect(made.status().config.problems).toEqual([`cannot read ${path}: EISDIR`]);
    expect(inForce(made, "memcg.period_secs")).toEqual([300, "file"]);
    rmSync(path, { recursive: true });
    writeFileSync(path, good);
    await settled();
    expect(made.status().health).toBe("ok");
  });

  test("at the start is fatal", async () => {
    writeFileSync(path, bad);
    expect(await problemsOf(readSettings(path, {}))).toHaveLength(3);
  });
});

describe("a file that is being written", () => {
  const halves: readonly [name: string, half: string | null][] = [
    ["cut in the middle", "[memcg]\nperiod_s"],
    ["emptied first", ""],
    ["removed first", null],
  ];
  for (const [name, half] of halves) {
    test(`${name} is looked at again before it counts`, async () => {
      const made = await serve(good);
      if (half === null) rmSync(path);
      else writeFileSync(path, half);
      await settled(600);
      writeFileSync(path, "[memcg]\nperiod_secs = 301\n");
      await settled(1300);
      expect(inForce(made, "memcg.period_secs")).toEqual([301, "file"]);
      const changed = events.filter(({ event }) => event === "setting_changed" || event === "reload_failed");
      expect(changed).toHaveLength(1);
      expect(logged(/refused|gone/)).toBe(0);
    });
  }

  test("and left empty counts after a second", async () => {
    const made = await serve(good);
    writeFileSync(path, "");
    await settled(1300);
    expect(inForce(made, "memcg.period_secs")).toEqual([600, "default"]);
  });

  test("badly, again and again, is called bad all the same", async () => {
    const made = await serve(good);
    for (let step = 0; step < 6; step++) {
      writeFileSync(path, `[memcg]\nbad${step} = 1\n`);
      await settled(200);
    }
    expect(made.status().config.problems).toHaveLength(1);
  });
});

describe("--save", () => {
  const kept = "# ours\n[memcg]\nperiod_secs = 300 # five minutes\n\n[compact]\n  order = 8\n";

  test("writes the change with all that was there, and reading it again changes nothing", async () => {
    const made = await serve(kept);
    expect(await made.memcgSet({ period_secs: 120, swap: true }, { save: true })).toEqual({
      changes: [
        { key: "memcg.swap", from: false, to: true },
        { key: "memcg.period_secs", from: 300, to: 120 },
      ],
      saved: path,
    });
    expect(readFileSync(path, "utf8")).toBe(
      "# ours\n[memcg]\nperiod_secs = 120 # five minutes\nswap = true\n\n[compact]\n  order = 8\n",
    );
    const changes = events.length;
    await settled(1300);
    expect((await made.reload()).changes).toEqual([]);
    expect(events).toHaveLength(changes);
    expect(inForce(made, "memcg.swap")).toEqual([true, "socket"]);
    // The later word of the file counts again.
    writeFileSync(path, readFileSync(path, "utf8").replace("120", "121"));
    await settled();
    expect(inForce(made, "memcg.period_secs")).toEqual([121, "file"]);
  });

  test("makes the file where there was none", async () => {
    const made = await serve(null);
    await made.logLevelSet("debug", { save: true });
    expect(readFileSync(path, "utf8")).toBe('[log]\nlevel = "debug"\n');
    expect(made.status().config.loaded).not.toBeNull();
    await settled(1300);
    expect(made.status().log_level).toBe("debug");
  });

  test("takes an edit that nobody has noticed yet along", async () => {
    const made = await serve(kept);
    writeFileSync(path, kept.replace("order = 8", "order = 7"));
    const { changes } = await made.memcgSet({ swap: true }, { save: true });
    expect(changes).toEqual([{ key: "memcg.swap", from: false, to: true }]);
    expect(inForce(made, "compact.order")).toEqual([7, "file"]);
    expect(readFileSync(path, "utf8")).toContain("order = 7");
  });

  test("of many at once loses none", async () => {
    const made = await serve(kept);
    const paths = Array.from({ length: 12 }, (_, index) => `/cgroup${index}`);
    await Promise.all([
      ...paths.map((one) => made.memcgSet({ add: [{ path: one, period_secs: 60 }] }, { save: true })),
      made.compactSet({ order: 6 }, { save: true }),
      made.reload(),
    ]);
    const { settings } = await readSettings(path, {});
    expect(settings.memcg.cgroups.map((rule) => rule.path)).toEqual(paths);
    expect(settings.compact.order).toBe(6);
    expect((await made.reload()).changes).toEqual([]);
  });

  test("that cannot be applies nothing", async () => {
    const made = await serve(kept);
    renameSync(join(top, "etc"), join(top, "away"));
    await settled(1300);
    expect(inForce(made, "memcg.period_secs")).toEqual([600, "default"]);
    expect(await problemsOf(made.memcgSet({ period_secs: 5 }, { save: true }))).toEqual([
      `cannot save settings into ${path}: its directory is not there; make it, or set without --save`,
    ]);
    expect(inForce(made, "memcg.period_secs")).toEqual([600, "default"]);
  });

  test("into a bad file is refused with its problems", async () => {
    const made = await serve(good);
    writeFileSync(path, bad);
    const problems = await problemsOf(made.memcgSet({ period_secs: 5 }, { save: true }));
    expect(problems[0]).toBe(problemsOfBad()[0]);
    expect(inForce(made, "memcg.period_secs")).toEqual([300, "file"]);
    expect(readFileSync(path, "utf8")).toBe(bad);
  });

  test("of a change that is refused writes nothing", async () => {
    const made = await serve(kept);
    expect(await problemsOf(made.memcgSet({ del: [{ path: "/none" }] }, { save: true }))).toHaveLength(1);
    expect(readFileSync(path, "utf8")).toBe(kept);
    expect(readdirSync(join(top, "etc"))).toEqual(["agent.toml"]);
  });
});

describe("the log", () => {
  test("goes elsewhere, in another form and at another level at run time", async () => {
    const made = await serve(good);
    const other = join(top, "other.log");
    writeFileSync(path, `${good}[log]\nfile = ${JSON.stringify(other)}\nformat = "json"\nlevel = "trace"\n`);
    await made.reload();
    expect(made.status().log_level).toBe("trace");
    const lines = readFileSync(other, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toContain("settings file read");
  });

  test("is opened again under its name by SIGHUP", async () => {
    const made = await serve(good);
    await made.memcgSet({ swap: true }, { save: false });
    renameSync(logPath, `${logPath}.1`);
    await made.hangUp();
    await made.memcgSet({ swap: false }, { save: false });
    expect(readFileSync(logPath, "utf8")).toContain("to=false");
    expect(readFileSync(`${logPath}.1`, "utf8")).not.toContain("to=false");
  });

  test("that cannot be opened is a warning until it can", async () => {
    const made = await serve(good);
    const folder = join(top, "later");
    const other = join(folder, "agent.log");
    writeFileSync(path, `[memcg]\nperiod_secs = 5\n[log]\nfile = ${JSON.stringify(other)}\n`);
    await made.reload();
    expect(inForce(made, "memcg.period_secs")).toEqual([5, "file"]);
    const [warning] = made.status().warnings;
    expect(warning).toMatchObject({ key: "log_file" });
    expect(warning?.message).toBe(`cannot append to the log file ${other}: ENOENT; the log goes on into ${logPath}`);
    made.refreshWatch();
    expect(made.status().health).toBe("warning");
    mkdirSync(folder);
    made.refreshWatch();
    expect(made.status().health).toBe("ok");
    await made.memcgSet({ swap: true }, { save: false });
    expect(readFileSync(other, "utf8")).toContain("memcg.swap");
  });
});

test("config show says value and origin of each key, and of each rule", async () => {
  const file = `${good}[[memcg.cgroups]]\npath = "/a"\nperiod_secs = 60\n`;
  const made = await serve(file, { memcg: { disabled: true, cgroups: [{ path: "/a", swap: true }] } });
  await made.memcgSet(
    { set: [{ path: "/a", swappiness_max: 10 }], add: [{ path: "/b", numa_id: [1] }] },
    { save: false },
  );
  expect(inForce(made, "memcg.period_secs")).toEqual([300, "file"]);
  expect(inForce(made, "memcg.disabled")).toEqual([true, "flag"]);
  expect(inForce(made, "memcg.swap")).toEqual([false, "default"]);
  const rules = made.configShow().filter(({ rule }) => rule !== null);
  expect(rules).toEqual([
    { key: "memcg.no_subdir", rule: "path=/a", value: false, origin: "default" },
    { key: "memcg.swap", rule: "path=/a", value: true, origin: "flag" },
    { key: "memcg.swappiness_max", rule: "path=/a", value: 10, origin: "socket" },
    { key: "memcg.period_secs", rule: "path=/a", value: 60, origin: "file" },
    { key: "memcg.no_subdir", rule: "path=/b,numa-id=1", value: false, origin: "default" },
  ]);
});
