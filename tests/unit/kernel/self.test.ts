import { describe, expect, test } from "bun:test";
import { chmodSync, closeSync, copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  cachedExecutableBytes,
  dropOwnFiles,
  parseFileMappings,
  endSwiftly,
  readOwnFilesByPage,
  readsCodeAhead,
  sweepExecutable,
} from "../../../src/system/executable-pages.ts";
import { mount, unmount } from "../../../src/system/libc.ts";
import { pageBytes } from "../../../src/system/page-size.ts";
import {
  capability,
  hasCapability,
  ownExecutable,
  parseOpenFilesLimit,
  parseSelfStatus,
  readSelfStatus,
  spareDescriptors,
} from "../../../src/system/self.ts";
import { Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

const status = `Name:	mem-agent
RssAnon:	    1796 kB
RssFile:	   20000 kB
RssShmem:	       4 kB
Threads:	5
`;
const maps = `00200000-03c00000 r-xp 00000000 fe:00 1234      /usr/bin/mem agent (deleted)
03c00000-03d00000 r--p 03a00000 fe:00 1234      /usr/bin/mem agent (deleted)
7f0000000000-7f0000001000 rw-p 00000000 00:00 0 
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
7ffd00000000-7ffd00001000 r-xp 00000000 fe:00 99      /lib/libc.so.6
`;

test("status", () => {
  expect(parseSelfStatus(status)).toEqual({
    rssAnonBytes: 1796 * 1024,
    rssFileBytes: 20000 * 1024,
    rssShmemBytes: 4096,
    threads: 5,
  });
});

test("capabilities are bits of a mask", () => {
  expect(hasCapability(0x1fffeffffffn, capability.sysAdmin)).toBe(true);
  expect(hasCapability(0x1fffeffffffn, capability.sysResource)).toBe(false);
});

test("maps: files alone, and blanks in names", () => {
  const file = "/usr/bin/mem agent (deleted)";
  expect(parseFileMappings(maps)).toEqual([
    { startAddress: 0x200000, bytes: 0x3a00000, permissions: "r-xp", file },
    { startAddress: 0x3c00000, bytes: 0x100000, permissions: "r--p", file },
    { startAddress: 0x7ffd00000000, bytes: 4096, permissions: "r-xp", file: "/lib/libc.so.6" },
  ]);
});

function mappingsNow(): number {
  return parseFileMappings(readFileSync("/proc/self/maps", "utf8")).length;
}

for (const [release, ahead] of [
  ["6.1.0-50-cloud-amd64", false],
  ["6.15.3", false],
  ["6.16.0-rc1\n", true],
  ["7.2.13+deb14-cloud-amd64\n", true],
] as const) {
  test(`${release.trim()} ${ahead ? "reads code ahead" : "obeys"}`, () => expect(readsCodeAhead(release)).toBe(ahead));
}

/** Mappings of this process that are read by page (`rr`). */
function byPage(): number {
  return readFileSync("/proc/self/smaps", "utf8").match(/^VmFlags:.* rr\b/gm)?.length ?? 0;
}

describe("this process", () => {
  test("reads itself", () => {
    expect(readSelfStatus("/").threads).toBeGreaterThan(0);
    expect(parseFileMappings(readFileSync("/proc/self/maps", "utf8")).length).toBeGreaterThan(0);
  });

  test("gives its executable's pages back, and goes on", () => {
    // Walks through much of the executable.
    Bun.gc(true);
    const before = readSelfStatus("/").rssFileBytes;
    dropOwnFiles();
    expect(readSelfStatus("/").rssFileBytes).toBeLessThan(before);
    sweepExecutable();
    const cached = cachedExecutableBytes();
    if (cached !== null) expect(cached).toBeWithin(1, statSync(process.execPath).size + pageBytes());
  });

  test("parts its code into mappings of 16 KiB, where that is wanted", () => {
    const before = mappingsNow();
    readOwnFilesByPage(false);
    expect(mappingsNow()).toBe(before);
    readOwnFilesByPage(true);
    expect(mappingsNow()).toBeGreaterThan(before + 100);
  });

  test("reads ahead again at its end, but not where its code is split", () => {
    readOwnFilesByPage(true);
    const split = byPage();
    expect(split).toBeGreaterThan(100);
    endSwiftly();
    expect(byPage()).toBe(split);
    readOwnFilesByPage(false);
    endSwiftly();
    expect(byPage()).toBe(0);
  });
});

describe("the C library", () => {
  test("page size", () => {
    expect([4096, 16384, 65536]).toContain(pageBytes());
    expect(pageBytes()).toBe(pageBytes());
  });

  test("errno becomes a Fault", () => {
    using tree = new Tree();
    const nowhere = join(tree.root, "none");
    expect(() => mount("debugfs", nowhere, "debugfs")).toThrow(
      expect.objectContaining({ kind: expect.stringMatching(/missing|denied/) }),
    );
    expect(() => unmount(nowhere)).toThrow(expect.objectContaining({ kind: expect.stringMatching(/missing|denied/) }));
  });
});

describe("20,000 damaged texts", () => {
  test("status", () => expectSturdy([status], parseSelfStatus));
  test("maps", () => expectSturdy([maps], parseFileMappings));
});

describe("descriptors", () => {
  const rows: readonly [text: string, limit: number | null][] = [
    ["Max open files            32                   4096                 files     \n", 32],
    ["Max open files            unlimited            unlimited            files     \n", null],
    ["Max processes             1                    1                    processes \n", null],
    ["", null],
  ];
  test.each(rows)("%p allows %p", (text, limit) => expect(parseOpenFilesLimit(text)).toBe(limit));

  test("each that is open is one less to spare", () => {
    const before = spareDescriptors("/") ?? Number.NaN;
    const descriptor = openSync("/dev/null", "r");
    expect(spareDescriptors("/")).toBe(before - 1);
    closeSync(descriptor);
    using tree = new Tree();
    expect(spareDescriptors(tree.root)).toBeNull();
  });
});

describe("the running executable", () => {
  test("is named, where the name still leads to it", () => {
    expect(ownExecutable(process.execPath)).toBe(process.execPath);
  });

  test("is /proc/self/exe where the file is another by now, or gone", () => {
    const scratch = mkdtempSync(join(tmpdir(), "mem-agent-self-"));
    const other = join(scratch, "mem-agent");
    copyFileSync("/bin/true", other);
    chmodSync(other, 0o755);
    expect(statSync(other).ino).not.toBe(statSync(process.execPath).ino);
    expect(ownExecutable(other)).toBe("/proc/self/exe");
    rmSync(scratch, { recursive: true });
    expect(ownExecutable(other)).toBe("/proc/self/exe");
  });
});
