import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replaceFile } from "../../../src/agent/daemon/config-file.ts";
import { isFault } from "../../../src/base/fault.ts";

let top: string;
let path: string;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "mem-agent-save-"));
  path = join(top, "agent.toml");
});

afterEach(() => rmSync(top, { recursive: true }));

const isRoot = process.getuid?.() === 0;

test("a new file is for its owner only", () => {
  replaceFile(path, "new");
  expect(readFileSync(path, "utf8")).toBe("new");
  expect(statSync(path).mode & 0o7777).toBe(0o600);
});

describe("a file that was there", () => {
  for (const mode of [0o644, 0o640, 0o400, 0o600]) {
    test(`keeps the mode ${mode.toString(8)}`, () => {
      writeFileSync(path, "old");
      chmodSync(path, mode);
      const { ino } = statSync(path);
      replaceFile(path, "new");
      expect(readFileSync(path, "utf8")).toBe("new");
      expect(statSync(path).mode & 0o7777).toBe(mode);
      expect(statSync(path).ino).not.toBe(ino);
      expect(readdirSync(top)).toEqual(["agent.toml"]);
    });
  }

  test.if(isRoot)("keeps its owner and group", () => {
    writeFileSync(path, "old");
    chownSync(path, 65534, 12345);
    chmodSync(path, 0o640);
    replaceFile(path, "new");
    expect(statSync(path)).toMatchObject({ uid: 65534, gid: 12345 });
    expect(statSync(path).mode & 0o7777).toBe(0o640);
  });

  test("is never half there: who has the old one open reads all of it", () => {
    writeFileSync(path, "old");
    linkSync(path, join(top, "open"));
    replaceFile(path, "new");
    expect(readFileSync(join(top, "open"), "utf8")).toBe("old");
  });
});

describe("a symbolic link stays one", () => {
  const links: readonly [name: string, target: () => string][] = [
    ["to a file of another folder", () => join(top, "real", "file")],
    ["that is relative", () => "real/file"],
  ];
  for (const [name, target] of links) {
    for (const there of [true, false]) {
      test(`${name}${there ? "" : " that is not there yet"}`, () => {
        mkdirSync(join(top, "real"));
        if (there) writeFileSync(join(top, "real", "file"), "old");
        symlinkSync(target(), path);
        replaceFile(path, "new");
        expect(lstatSync(path).isSymbolicLink()).toBe(true);
        expect(readlinkSync(path)).toBe(target());
        expect(readFileSync(join(top, "real", "file"), "utf8")).toBe("new");
      });
    }
  }
});

function refusal(file: string): string {
  try {
    replaceFile(file, "new");
  } catch (error) {
    if (isFault(error)) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return "saved";
}

describe("what cannot be is said, and leaves nothing behind", () => {
  test("a folder that is not there", () => {
    const file = join(top, "none", "agent.toml");
    expect(refusal(file)).toBe(
      `missing: cannot save settings into ${file}: its directory is not there; make it, or set without --save`,
    );
  });

  test("a folder in the file's place", () => {
    mkdirSync(path);
    expect(refusal(path)).toStartWith(`io: cannot save settings into ${path}: EISDIR`);
    expect(readdirSync(top)).toEqual(["agent.toml"]);
  });

  test("a file system that takes no files", () => {
    expect(refusal("/proc/agent.toml")).toStartWith("missing: cannot save settings into /proc/agent.toml: ");
  });
});
