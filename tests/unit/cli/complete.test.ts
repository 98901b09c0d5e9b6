import { describe, expect, test } from "bun:test";
import { program } from "../../../src/cli/commands.ts";
import { candidates } from "../../../src/cli/completions/complete.ts";
import { completionEntries } from "../../../src/cli/completions/entries.ts";

const entries = completionEntries(program);
const cgroups = (): Promise<readonly string[]> => Promise.resolve(["/init.scope", "/system.slice", "/system.slice/a"]);

async function words(...line: string[]): Promise<readonly string[] | "file"> {
  const found = await candidates(entries, line, cgroups);
  return found === "file" ? "file" : found.map(({ word }) => word);
}

describe("what may follow", () => {
  const rows: readonly [line: string[], expected: readonly string[] | "file"][] = [
    [["memcgst"], ["memcgstatus"]],
    [["config", "ch"], ["check"]],
    [["memcgset", "--memcg-swapp"], ["--memcg-swappiness-max"]],
    [["memcgset", "--memcg-swap", "t"], ["true"]],
    [["memcgset", "--memcg-swap", "--sa"], ["--save"]],
    [["memcgset", "--memcg-swap=f"], ["--memcg-swap=false"]],
    // As bash takes it apart.
    [["memcgset", "--memcg-swap", "=", "f"], ["false"]],
    [["loglevelset", "cr"], ["critical"]],
    [["memcgstatus", "--sort", "co"], ["cold"]],
    [["serve", "--config", "/etc/"], "file"],
    [["config", "check", ""], "file"],
    [
      ["explain", "/sys"],
      ["/system.slice", "/system.slice/a"],
    ],
    [["memcgstatus", "--path", "/i"], ["/init.scope"]],
    [["memcgset", "--memcg-add", "pa"], ["path="]],
    [["memcgset", "--memcg-add", "path=/i"], ["path=/init.scope"]],
    [["memcgset", "--memcg-add", "path=/a,period-s"], ["path=/a,period-secs="]],
    [["memcgset", "--memcg-add", "path=/a,swap=t"], ["path=/a,swap=true"]],
    [["memcgset", "--memcg-del", "path=/a,", "path=/b,n"], ["path=/b,numa-id="]],
    // As bash takes it apart.
    [["memcgset", "--memcg-add", "path", "=", "/i"], ["/init.scope"]],
    [["memcgset", "--memcg-add", "path", "=", "/a,disab"], ["/a,disabled="]],
    [["memcgset", "--memcg-add", "path", "=", "/a,disabled", "=", "f"], ["false"]],
    [["memcgset", "--memcg-add", "path=/a", "--sa"], ["--save"]],
    [["memcgset", "--memcg-period-secs", ""], []],
    [["nonsense", "st"], []],
  ];
  test.each(rows)("%p", async (line, expected) => {
    expect(await words(...line)).toEqual(expected);
  });

  test("without a word: every command", async () => {
    expect(await words("")).toEqual(expect.arrayContaining(["serve", "status", "explain", "--help"]));
  });

  test("a daemon that does not answer is no error", async () => {
    expect(await candidates(entries, ["explain", "/"], () => Promise.reject(new Error("nobody")))).toEqual([]);
  });
});
