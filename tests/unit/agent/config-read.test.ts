/** What may stand in the settings file's place, and who may have put it there. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfigText, type Writers } from "../../../src/agent/daemon/config-file.ts";
import { isFault } from "../../../src/base/fault.ts";
import { parseConfig } from "../../../src/config/toml.ts";

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mem-agent-read-"));
  path = join(folder, "agent.toml");
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function refusal(writers: Writers = "anybody"): string {
  try {
    return `read: ${readConfigText(path, writers)}`;
  } catch (error) {
    if (!isFault(error)) throw error;
    return `${error.kind}: ${error.message}`;
  }
}

describe("what is no regular file is refused at once", () => {
  test.each<readonly [name: string, make: () => void, state: string]>([
    ["a FIFO", () => void Bun.spawnSync(["mkfifo", path]), "it is a FIFO; name a regular file"],
    ["an endless device", () => symlinkSync("/dev/zero", path), "it is a device; name a regular file"],
    ["a folder", () => mkdirSync(path), "it is a folder; name a regular file"],
    ["a file above 1 MiB", () => writeFileSync(path, "#".repeat(2 ** 20 + 1)), "it is larger than 1 MiB; settings are"],
  ])("%s", (_name, make, state) => {
    make();
    const startMs = performance.now();
    expect(refusal()).toStartWith(`invalid: cannot read ${path}: ${state}`);
    expect(performance.now() - startMs).toBeLessThan(500);
  });

  test("a socket", () => {
    const server = Bun.listen({ unix: path, socket: { data: () => {} } });
    const said = refusal();
    server.stop();
    expect(said).toBe(`invalid: cannot read ${path}: it is a socket or a device; name a regular file`);
  });
});

describe("what is one is read", () => {
  test.each([
    ["", ""],
    ["[memcg]\n", "[memcg]\n"],
    ["#".repeat(2 ** 20), "#".repeat(2 ** 20)],
  ])("whole", (text, expected) => {
    writeFileSync(path, text);
    expect(readConfigText(path)).toBe(expected);
  });

  test("also where it says no size", () => {
    symlinkSync("/proc/version", path);
    expect(readConfigText(path)).toStartWith("Linux");
  });

  test("none is none", () => {
    expect(readConfigText(path)).toBeNull();
    expect(readConfigText(join(path, "below"))).toBeNull();
  });
});

describe.if(process.geteuid?.() === 0)("root reads nobody else's file", () => {
  test.each([
    ["0644", 0, 0o644, "read: x"],
    ["0600", 0, 0o600, "read: x"],
    ["for the group", 0, 0o664, "others than root may write it (mode 0664); chmod go-w "],
    ["for others", 0, 0o646, "others than root may write it (mode 0646); chmod go-w "],
    ["another's", 1000, 0o600, "it belongs to user 1000, who can change what root does; chown root "],
  ])("%s", (_name, owner, mode, said) => {
    writeFileSync(path, "x");
    chmodSync(path, mode);
    chownSync(path, owner, 0);
    expect(refusal("root_only")).toBe(said.startsWith("read") ? said : `invalid: cannot read ${path}: ${said}${path}`);
    expect(refusal("anybody")).toBe("read: x");
  });
});

test("a relative log file is refused in the file, with its place", async () => {
  const { problems } = await parseConfig('[log]\nfile = "agent.log"\n', { file: "/etc/x.toml" });
  expect(problems).toEqual([
    {
      key: "log.file",
      message: '"agent.log" is a relative path',
      allowed: "an absolute path",
      file: "/etc/x.toml",
      line: 2,
      column: 1,
    },
  ]);
});
