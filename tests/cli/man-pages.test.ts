/** What `man` prints, before the programs that will show it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, program, runToEnd } from "./program.ts";

const folder = mkdtempSync(join(tmpdir(), "mem-agent-man-"));
beforeAll(async () => {
  await program();
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([
  ["8", "mem-agent", ["mem-agent serve", "--within TIME", "Exit codes", "HOW IT DECIDES", "MEM_AGENT_ADDR"]],
  ["5", "mem-agent.toml", ["refault_percent_limit", "[[memcg.cgroups]]", "RULES FOR SINGLE CGROUPS"]],
])("man %s", (section, name, contents) => {
  const path = join(folder, `${name}.${section}`);
  beforeAll(async () => writeFileSync(path, (await call(["man", section])).stdout));

  test.each(["C", "C.UTF-8"])("is shown by man without a warning (LC_ALL=%s)", async (locale) => {
    const environment = { LC_ALL: locale, MANWIDTH: "80", PAGER: "cat" };
    const { code, stdout, stderr } = await runToEnd(["man", "--warnings", "-l", path], environment);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toStartWith(`${name.toUpperCase()}(${section})`);
    for (const part of contents) expect(stdout).toContain(part);
    // Marks of Markdown, and escapes that nothing understood.
    expect(stdout).not.toMatch(/\]\(|<!--|\\f|\\\(/);
  });

  test("has nothing that mandoc would change", async () => {
    expect(await runToEnd(["mandoc", "-T", "lint", path])).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

test("without a section it is mem-agent(8), and there are but two", async () => {
  expect((await call(["man"])).stdout).toStartWith(".TH MEM\\-AGENT 8 ");
  expect(await call(["man", "1"])).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringContaining("use 8 or 5"),
  });
});
