/** The log while its settings change and its file comes and goes. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DaemonTrial, good, inForce } from "./daemon-trial.ts";

let trial: DaemonTrial;

beforeEach(() => {
  trial = new DaemonTrial();
});

afterEach(() => trial[Symbol.asyncDispose]());

describe("the log", () => {
  test("goes elsewhere, in another form and at another level at run time", async () => {
    const made = await trial.serve(good);
    const other = join(trial.top, "other.log");
    writeFileSync(trial.path, `${good}[log]\nfile = ${JSON.stringify(other)}\nformat = "json"\nlevel = "trace"\n`);
    await made.reload();
    expect(made.status().log_level).toBe("trace");
    const lines = readFileSync(other, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toContain("settings file read");
  });

  test("is opened again under its name by SIGHUP", async () => {
    const made = await trial.serve(good);
    await made.memcgSet({ swap: true }, { save: false });
    renameSync(trial.logPath, `${trial.logPath}.1`);
    await made.hangUp();
    await made.memcgSet({ swap: false }, { save: false });
    expect(readFileSync(trial.logPath, "utf8")).toContain("to=false");
    expect(readFileSync(`${trial.logPath}.1`, "utf8")).not.toContain("to=false");
  });

  test("that cannot be opened is a warning until it can", async () => {
    const made = await trial.serve(good);
    const folder = join(trial.top, "later");
    const other = join(folder, "agent.log");
    writeFileSync(trial.path, `[memcg]\nperiod_secs = 5\n[log]\nfile = ${JSON.stringify(other)}\n`);
    await made.reload();
    expect(inForce(made, "memcg.period_secs")).toEqual([5, "file"]);
    const [warning] = made.status().warnings;
    expect(warning).toMatchObject({ key: "log_file" });
    expect(warning?.message).toStartWith(`cannot append to the log file ${other}: ENOENT`);
    expect(warning?.message).toEndWith(`; the log goes on into ${trial.logPath}`);
    made.lookAround();
    expect(made.status().health).toBe("warning");
    mkdirSync(folder);
    made.lookAround();
    expect(made.status().health).toBe("ok");
    await made.memcgSet({ swap: true }, { save: false });
    expect(readFileSync(other, "utf8")).toContain("memcg.swap");
  });
});

/** A device of our own, which takes no byte: a link to the machine's would not be followed. */
test.if(process.geteuid?.() === 0)("a log that cannot be written is a warning until it can", async () => {
  const made = await trial.serve(good);
  const other = join(trial.top, "linked.log");
  expect(Bun.spawnSync(["mknod", other, "c", "1", "7"]).success).toBe(true);
  writeFileSync(trial.path, `${good}[log]\nfile = ${JSON.stringify(other)}\n`);
  await made.reload();
  expect(made.status().warnings).toEqual([
    {
      key: "log_written",
      since: expect.any(String) as string,
      message: `cannot write the log into ${other}: ENOSPC; lines are dropped`,
      remedy: "df -h",
    },
  ]);
  rmSync(other);
  await made.hangUp();
  expect(made.status().health).toBe("ok");
  const lines = readFileSync(other, "utf8");
  expect(lines).toMatch(/log lines were dropped dropped=\d+ why=ENOSPC/);
  expect(lines).toContain("over: cannot write the log");
});
