/** What `unit` prints, before the programs that will read it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const binary = join(import.meta.dir, "../../dist/mem-agent");
/** 0 is best, 10 worst. What keeps it from 0 is what the agent is for: mounting, writing to cgroupfs, sysfs and proc. */
const exposureMax = 2.2;

interface Ran {
  readonly code: number;
  readonly output: string;
}

function run(...words: string[]): Ran {
  const { exitCode, stdout, stderr } = Bun.spawnSync(words, { env: { PATH: process.env.PATH, SYSTEMD_COLORS: "0" } });
  return { code: exitCode, output: stdout.toString() + stderr.toString() };
}

describe("unit", () => {
  const folder = mkdtempSync(join(tmpdir(), "mem-agent-unit-"));
  const service = join(folder, "mem-agent.service");
  beforeAll(() => writeFileSync(service, run(binary, "unit", "--binary", binary).output));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("is accepted by systemd-analyze verify, without a word", () => {
    expect(run("systemd-analyze", "verify", service)).toEqual({ code: 0, output: "" });
  });

  test("rates well in systemd-analyze security", () => {
    const { output } = run("systemd-analyze", "security", "--offline=true", "--no-pager", service);
    const exposure = Number(/Overall exposure level for mem-agent.service: ([\d.]+)/.exec(output)?.[1]);
    expect(exposure).toBeGreaterThan(0);
    expect(exposure).toBeLessThanOrEqual(exposureMax);
  });

  test("--openrc prints a script that a shell understands", () => {
    const script = join(folder, "mem-agent.openrc");
    const { code, output } = run(binary, "unit", "--openrc");
    writeFileSync(script, output);
    expect(code).toBe(0);
    expect(output).toStartWith("#!/sbin/openrc-run\n");
    expect(run("sh", "-n", script)).toEqual({ code: 0, output: "" });
  });

  test("a path that is not absolute is wrong usage", () => {
    expect(run(binary, "unit", "--binary", "mem-agent").code).toBe(2);
  });
});
