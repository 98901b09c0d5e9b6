/** The daemon and its file: what an edit does, also a bad one and one that is half done. */
import { afterEach, beforeAll, beforeEach, describe, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { readBootSettings, readSettings } from "../../../src/agent/daemon/config-file.ts";
import type { TimedEvent } from "../../../src/agent/events.ts";
import { parsePlaced } from "../../../src/config/toml.ts";
import { bad, DaemonTrial, good, inForce, problemsOf, problemsOfBad } from "./daemon-trial.ts";

// The parser that knows positions is loaded when it is first needed: not while a test counts turns.
beforeAll(() => parsePlaced(""));

let trial: DaemonTrial;

beforeEach(() => {
  trial = new DaemonTrial();
});

afterEach(() => trial[Symbol.asyncDispose]());

/** What the kernel was started with. */
function boot(text: string): void {
  mkdirSync(`${trial.top}/proc`);
  writeFileSync(`${trial.top}/proc/cmdline`, `console=ttyS0 ${text}\n`);
}

describe("when it was read", () => {
  test("there is a time only where there is a file", async () => {
    const made = await trial.serve(null);
    expect(made.status().config).toMatchObject({ file: trial.path, loaded: null, problems: [] });
    writeFileSync(trial.path, good);
    await trial.settled();
    const loaded = made.status().config.loaded;
    expect(loaded).not.toBeNull();
    expect(inForce(made, "memcg.period_secs")).toEqual([300, "file"]);
    rmSync(trial.path);
    await trial.settled(1300);
    expect(made.status().config.loaded).toBeNull();
    expect(inForce(made, "memcg.period_secs")).toEqual([600, "default"]);
    expect(trial.logged(/settings file gone/)).toBe(1);
  });

  test("an edit between the first reading and the watch is seen", async () => {
    const made = await trial.serve(good, {}, () => writeFileSync(trial.path, "[memcg]\nperiod_secs = 42\n"));
    expect(inForce(made, "memcg.period_secs")).toEqual([42, "file"]);
  });
});

describe("a file that is gone", () => {
  const rules = '[[memcg.cgroups]]\npath = "/db"\ndisabled = true\n[[memcg.cgroups]]\npath = "/web"\nswap = true\n';

  test("with its rules is a warning that names them, until there is a file", async () => {
    const made = await trial.serve(good + rules);
    rmSync(trial.path);
    await trial.settled(1300);
    const [warning] = made.status().warnings;
    expect(warning).toMatchObject({ key: "config_gone" });
    expect(warning?.message).toEndWith(
      "is gone; what it said no longer applies, and neither do its 2 rules: path=/db path=/web",
    );
    await made.reload();
    expect(made.health()).toBe("warning");
    writeFileSync(trial.path, "");
    await trial.settled(1300);
    expect(made.health()).toBe("ok");
  });

  test("is no news where there was none, whoever asks", async () => {
    const made = await trial.serve(null);
    await made.reload();
    await made.hangUp();
    expect(made.health()).toBe("ok");
    expect(trial.logged(/settings file gone/)).toBe(0);
    expect(trial.logged(/no settings file/)).toBe(1);
  });

  test("and said nothing is no warning", async () => {
    const made = await trial.serve("# nothing\n");
    rmSync(trial.path);
    await trial.settled(1300);
    expect(made.health()).toBe("ok");
  });
});

describe("an edit", () => {
  test("is applied, logged and told, and only what changed", async () => {
    const made = await trial.serve(`${good}swap = true\n`);
    await made.memcgSet({ swap: false }, { save: false });
    writeFileSync(trial.path, "[memcg]\nperiod_secs = 301\nswap = true\n");
    await trial.settled();
    expect(inForce(made, "memcg.period_secs")).toEqual([301, "file"]);
    expect(inForce(made, "memcg.swap")).toEqual([false, "socket"]);
    expect(trial.events.filter(({ event }) => event === "reloaded")).toEqual([
      expect.objectContaining({ event: "reloaded", changes: 1 }) as TimedEvent,
    ]);
    expect(trial.logged(/setting changed key=memcg\.period_secs from=300 to=301 origin=file/)).toBe(1);
  });

  test("is read once", async () => {
    await trial.serve(good);
    await trial.settled();
    const opened: string[] = [];
    const real = fs.openSync;
    using _ = spyOn(fs, "openSync").mockImplementation((path, ...rest) => {
      opened.push(String(path));
      return real(path, ...rest);
    });
    writeFileSync(trial.path, "[memcg]\nperiod_secs = 301\n");
    opened.length = 0;
    await trial.settled();
    expect(opened.filter((path) => path === trial.path)).toEqual([trial.path]);
  });

  test("of the control section is followed, once it is in force; another one is not", async () => {
    await trial.serve(good);
    writeFileSync(trial.path, `${good}swap = true\n`);
    await trial.settled();
    expect(trial.followed).toEqual([]);
    writeFileSync(trial.path, `${good}[control]\naddr = "/run/other.sock"\n`);
    await trial.settled();
    expect(trial.followed.map(({ addr }) => addr)).toEqual(["/run/other.sock"]);
  });

  test("to what the socket had set is known afterwards", async () => {
    const made = await trial.serve(good);
    await made.memcgSet({ period_secs: 42 }, { save: false });
    writeFileSync(trial.path, "[memcg]\nperiod_secs = 42\n");
    await trial.settled();
    expect(inForce(made, "memcg.period_secs")).toEqual([42, "file"]);
    await made.memcgSet({ period_secs: 43 }, { save: false });
    writeFileSync(trial.path, "[memcg]\nperiod_secs = 42\nswap = true\n");
    await trial.settled();
    expect(inForce(made, "memcg.period_secs")).toEqual([43, "socket"]);
  });

  test("is read at once when somebody asks", async () => {
    const made = await trial.serve(good);
    writeFileSync(trial.path, "[memcg]\nperiod_secs = 7\n");
    expect(await made.reload()).toEqual({ changes: [{ key: "memcg.period_secs", from: 300, to: 7 }], saved: null });
    writeFileSync(trial.path, "[memcg]\nperiod_secs = 8\n");
    await made.hangUp();
    expect(inForce(made, "memcg.period_secs")).toEqual([8, "file"]);
  });

  test("is told also where nothing changed, if somebody asked or a bad file is mended", async () => {
    const made = await trial.serve(good);
    const told = (): unknown[] => trial.events.flatMap((one) => (one.event === "reloaded" ? [one.changes] : []));
    await trial.settled();
    expect(told()).toEqual([]);
    await made.reload();
    await made.hangUp();
    expect(told()).toEqual([0, 0]);
    writeFileSync(trial.path, bad);
    expect(await problemsOf(made.reload())).toHaveLength(3);
    writeFileSync(trial.path, good);
    await trial.settled();
    expect(told()).toEqual([0, 0, 0]);
  });
});

describe("a bad file", () => {
  test("changes nothing, and is explained until it is mended", async () => {
    const made = await trial.serve(good);
    writeFileSync(trial.path, bad);
    await trial.settled(1300);
    const { config, warnings, health } = made.status();
    for (const [index, problem] of problemsOfBad(trial.path).entries())
      expect(config.problems[index]).toStartWith(problem);
    expect(config.problems).toHaveLength(3);
    expect(health).toBe("warning");
    expect(warnings).toEqual([expect.objectContaining({ key: "config_file" }) as (typeof warnings)[number]]);
    expect(warnings[0]?.message).toContain(`${problemsOfBad(trial.path)[0]} (and 2 more)`);
    expect(warnings[0]?.remedy).toBe(`mem-agent config check ${trial.path}`);
    expect(trial.logged(/settings file refused problem=/)).toBe(3);
    expect(inForce(made, "memcg.period_secs")).toEqual([300, "file"]);
    expect(trial.events.filter(({ event }) => event === "reload_failed")).toHaveLength(1);

    writeFileSync(trial.path, "[memcg]\nperiod_secs = 9\n");
    await trial.settled();
    expect(made.status()).toMatchObject({ health: "ok", warnings: [], config: { problems: [] } });
    expect(inForce(made, "memcg.period_secs")).toEqual([9, "file"]);
    expect(trial.logged(/over: settings file refused/)).toBe(1);
  });

  test("is said once, however often it is looked at", async () => {
    const made = await trial.serve(good);
    writeFileSync(trial.path, bad);
    for (let look = 0; look < 3; look++) expect(await problemsOf(made.reload())).toHaveLength(3);
    await made.hangUp();
    await trial.settled(1300);
    expect(trial.logged(/settings file refused problem=/)).toBe(3);
    expect(trial.logged(/warning=config_file/)).toBe(1);
    writeFileSync(trial.path, "x");
    expect(await problemsOf(made.reload())).toHaveLength(1);
    expect(trial.logged(/settings file refused problem=/)).toBe(4);
  });

  test("mended to what it said before changes nothing, and the warning goes", async () => {
    const made = await trial.serve(good);
    writeFileSync(trial.path, bad);
    await trial.settled(1300);
    writeFileSync(trial.path, good);
    await trial.settled();
    expect(made.status()).toMatchObject({ health: "ok", config: { problems: [] } });
    expect(trial.logged(/setting changed/)).toBe(0);
  });

  test("that cannot be read at all is one too", async () => {
    const made = await trial.serve(good);
    rmSync(trial.path);
    mkdirSync(trial.path);
    await trial.settled(1300);
    const [problem, ...more] = made.status().config.problems;
    expect([problem, ...more]).toEqual([`cannot read ${trial.path}: it is a folder; name a regular file`]);
    expect(inForce(made, "memcg.period_secs")).toEqual([300, "file"]);
    rmSync(trial.path, { recursive: true });
    writeFileSync(trial.path, good);
    await trial.settled();
    expect(made.status().health).toBe("ok");
  });

  test("at the start is fatal", async () => {
    writeFileSync(trial.path, bad);
    expect(await problemsOf(readSettings(trial.path, {}))).toHaveLength(3);
  });
});

describe("the kernel's command line", () => {
  test("stands above the file and below the flags, and is shown as an origin", async () => {
    boot("mem_agent.memcg.period_secs=120 mem_agent.memcg.swap mem_agent.compact.order=8");
    const made = await trial.serve(good, { compact: { disabled: true, order: 7 } });
    expect(inForce(made, "memcg.period_secs")).toEqual([120, "cmdline"]);
    expect(inForce(made, "memcg.swap")).toEqual([true, "cmdline"]);
    expect(inForce(made, "compact.order")).toEqual([7, "flag"]);
  });

  test("with something wrong is fatal at the start, with every problem", async () => {
    boot("mem_agent.memcg.period_secs=0 mem_agent.memcg.swapp=1");
    const problems = await problemsOf((async () => readBootSettings(trial.top))());
    expect(problems).toHaveLength(2);
    expect(problems[0]).toContain("mem_agent.memcg.period_secs: 0 is too small");
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
      const made = await trial.serve(good);
      if (half === null) rmSync(trial.path);
      else writeFileSync(trial.path, half);
      await trial.settled(600);
      writeFileSync(trial.path, "[memcg]\nperiod_secs = 301\n");
      await trial.settled(1300);
      expect(inForce(made, "memcg.period_secs")).toEqual([301, "file"]);
      const changed = trial.events.filter(({ event }) => event === "setting_changed" || event === "reload_failed");
      expect(changed).toHaveLength(1);
      expect(trial.logged(/refused|gone/)).toBe(0);
    });
  }

  test("and left empty counts after a second", async () => {
    const made = await trial.serve(good);
    writeFileSync(trial.path, "");
    await trial.settled(1300);
    expect(inForce(made, "memcg.period_secs")).toEqual([600, "default"]);
  });

  test("badly, again and again, is called bad all the same", async () => {
    const made = await trial.serve(good);
    for (let step = 0; step < 6; step++) {
      writeFileSync(trial.path, `[memcg]\nbad${step} = 1\n`);
      await trial.settled(200);
    }
    expect(made.status().config.problems).toHaveLength(1);
  });
});

test("config show says value and origin of each key, and of each rule", async () => {
  const file = `${good}[[memcg.cgroups]]\npath = "/a"\nperiod_secs = 60\n`;
  const made = await trial.serve(file, { memcg: { disabled: true, cgroups: [{ path: "/a", swap: true }] } });
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
