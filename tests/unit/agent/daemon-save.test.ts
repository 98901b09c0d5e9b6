/** `--save`: what the file says afterwards, and what it means to the daemon that wrote it. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSettings } from "../../../src/agent/daemon/config-file.ts";
import { parsePlaced } from "../../../src/config/toml.ts";
import { bad, DaemonTrial, good, inForce, problemsOf, problemsOfBad } from "./daemon-trial.ts";

// The parser that knows positions is loaded when it is first needed: not while a test counts turns.
beforeAll(() => parsePlaced(""));

let trial: DaemonTrial;

beforeEach(() => {
  trial = new DaemonTrial();
});

afterEach(() => trial[Symbol.asyncDispose]());

describe("--save", () => {
  const kept = "# ours\n[memcg]\nperiod_secs = 300 # five minutes\n\n[compact]\n  order = 8\n";

  test("writes the change with all that was there, and reading it again changes nothing", async () => {
    const made = await trial.serve(kept);
    expect(await made.memcgSet({ period_secs: 120, swap: true }, { save: true })).toEqual({
      changes: [
        { key: "memcg.swap", from: false, to: true },
        { key: "memcg.period_secs", from: 300, to: 120 },
      ],
      saved: trial.path,
    });
    expect(readFileSync(trial.path, "utf8")).toBe(
      "# ours\n[memcg]\nperiod_secs = 120 # five minutes\nswap = true\n\n[compact]\n  order = 8\n",
    );
    const changes = trial.events.length;
    await trial.settled(1300);
    expect(trial.events).toHaveLength(changes);
    expect((await made.reload()).changes).toEqual([]);
    expect(inForce(made, "memcg.swap")).toEqual([true, "socket"]);
    // The later word of the file counts again.
    writeFileSync(trial.path, readFileSync(trial.path, "utf8").replace("120", "121"));
    await trial.settled();
    expect(inForce(made, "memcg.period_secs")).toEqual([121, "file"]);
  });

  test("makes the file where there was none", async () => {
    const made = await trial.serve(null);
    await made.logLevelSet("debug", { save: true });
    expect(readFileSync(trial.path, "utf8")).toBe('[log]\nlevel = "debug"\n');
    expect(made.status().config.loaded).not.toBeNull();
    await trial.settled(1300);
    expect(made.status().log_level).toBe("debug");
  });

  test("takes an edit that nobody has noticed yet along", async () => {
    const made = await trial.serve(kept);
    writeFileSync(trial.path, kept.replace("order = 8", "order = 7"));
    const { changes } = await made.memcgSet({ swap: true }, { save: true });
    expect(changes).toEqual([{ key: "memcg.swap", from: false, to: true }]);
    expect(inForce(made, "compact.order")).toEqual([7, "file"]);
    expect(readFileSync(trial.path, "utf8")).toContain("order = 7");
  });

  test("of many at once loses none", async () => {
    const made = await trial.serve(kept);
    const paths = Array.from({ length: 12 }, (_, index) => `/cgroup${index}`);
    await Promise.all([
      ...paths.map((one) => made.memcgSet({ add: [{ path: one, period_secs: 60 }] }, { save: true })),
      made.compactSet({ order: 6 }, { save: true }),
      made.reload(),
    ]);
    const { settings } = await readSettings(trial.path, {});
    expect(settings.memcg.cgroups.map((rule) => rule.path)).toEqual(paths);
    expect(settings.compact.order).toBe(6);
    expect((await made.reload()).changes).toEqual([]);
  });

  test("that cannot be applies nothing", async () => {
    const made = await trial.serve(kept);
    renameSync(join(trial.top, "etc"), join(trial.top, "away"));
    await trial.settled(1300);
    expect(inForce(made, "memcg.period_secs")).toEqual([600, "default"]);
    expect(await problemsOf(made.memcgSet({ period_secs: 5 }, { save: true }))).toEqual([
      `cannot save settings into ${trial.path}: its directory is not there; make it, or set without --save`,
    ]);
    expect(inForce(made, "memcg.period_secs")).toEqual([600, "default"]);
  });

  test("into a bad file is refused with its problems", async () => {
    const made = await trial.serve(good);
    writeFileSync(trial.path, bad);
    const problems = await problemsOf(made.memcgSet({ period_secs: 5 }, { save: true }));
    expect(problems[0]).toBe(problemsOfBad(trial.path)[0]);
    expect(inForce(made, "memcg.period_secs")).toEqual([300, "file"]);
    expect(readFileSync(trial.path, "utf8")).toBe(bad);
  });

  test("of a change that is refused writes nothing", async () => {
    const made = await trial.serve(kept);
    expect(await problemsOf(made.memcgSet({ del: [{ path: "/none" }] }, { save: true }))).toHaveLength(1);
    expect(readFileSync(trial.path, "utf8")).toBe(kept);
    expect(readdirSync(join(trial.top, "etc"))).toEqual(["agent.toml"]);
  });
});
