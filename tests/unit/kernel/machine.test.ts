import { describe, expect, test } from "bun:test";
import { parseCmdline, readCmdline } from "../../../src/kernel/cmdline.ts";
import {
  hasDebugfs,
  isDebugfsMounted,
  parseFileSystems,
  parseLockdown,
  readLockdown,
} from "../../../src/kernel/debugfs.ts";
import { parseKernelRelease, readKernelRelease } from "../../../src/kernel/kernel-release.ts";
import {
  parseHardwareAddress,
  parseMachineId,
  parseProductUuid,
  readMachineSeed,
} from "../../../src/system/machine-id.ts";
import { guestFiles, guestNames, guestRoot, Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

describe("real guests", () => {
  for (const name of guestNames) {
    test(name, () => {
      const root = guestRoot(name);
      expect(isDebugfsMounted(root)).toBe(true);
      expect(hasDebugfs(root)).toBe(true);
      expect(readKernelRelease(root).release.startsWith(name.split("-")[0] ?? "")).toBe(true);
      expect(readCmdline(root).has("console")).toBe(true);
    });
  }
});

describe("debugfs", () => {
  const mounted = "1 2 0:7 / /sys/kernel/debug rw - debugfs debugfs rw\n";
  const rows: readonly [string, string, boolean][] = [
    ["mounted", mounted, true],
    ["not mounted", "1 2 0:7 / /proc rw - proc proc rw\n", false],
    ["mounted elsewhere", mounted.replace("/sys/kernel/debug", "/mnt/debug"), false],
    ["covered by another", mounted + mounted.replace("debugfs debugfs", "tmpfs tmpfs"), false],
  ];
  for (const [name, mountinfo, there] of rows) {
    test(name, () => {
      using tree = new Tree({ "proc/self/mountinfo": mountinfo, "proc/filesystems": "nodev\tproc\n\text4\n" });
      expect(isDebugfsMounted(tree.root)).toBe(there);
      expect(hasDebugfs(tree.root)).toBe(false);
    });
  }
  test("file systems", () => expect(parseFileSystems("nodev\tdebugfs\n\text4\n")).toEqual(["debugfs", "ext4"]));
});

describe("lockdown", () => {
  for (const mode of ["none", "integrity", "confidentiality"] as const) {
    const text = `${"none integrity confidentiality".replace(mode, `[${mode}]`)}\n`;
    test(mode, () => {
      using tree = new Tree({ "sys/kernel/security/lockdown": text });
      expect(readLockdown(tree.root)).toBe(mode);
    });
  }
  test("a kernel without it", () => {
    using tree = new Tree();
    expect(readLockdown(tree.root)).toBeNull();
    expect(() => parseLockdown("none integrity")).toThrow(expect.objectContaining({ kind: "malformed" }));
  });
});

describe("kernel release", () => {
  const rows: readonly [string, number, number][] = [
    ["6.1.0-53-cloud-amd64\n", 6, 1],
    ["7.2-rc1+\n", 7, 2],
    ["6.18.44\n", 6, 18],
  ];
  for (const [text, major, minor] of rows) {
    test(text.trim(), () => expect(parseKernelRelease(text)).toEqual({ release: text.trim(), major, minor }));
  }
  for (const text of ["", "six", "6", "6.x"]) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      expect(() => parseKernelRelease(text)).toThrow(expect.objectContaining({ kind: "malformed" }));
    });
  }
});

test("command line", () => {
  const text = `BOOT_IMAGE=/vmlinuz root=UUID=1-2 ro psi=0 psi=1 dyndbg="file a.c +p" -- psi=0\n`;
  expect([...parseCmdline(text)]).toEqual([
    ["BOOT_IMAGE", "/vmlinuz"],
    ["root", "UUID=1-2"],
    ["ro", null],
    ["psi", "1"],
    ["dyndbg", "file a.c +p"],
  ]);
});

describe("what tells this guest from others", () => {
  const id = "0123456789abcdef0123456789abcdef";
  const uuid = "d2ab1f40-0000-4000-8000-0123456789ab";
  const network = {
    "sys/class/net/eth1/address": "52:54:00:12:34:57\n",
    "sys/class/net/eth1/device/vendor": "",
    "sys/class/net/eth0/address": "52:54:00:12:34:56\n",
    "sys/class/net/eth0/device/vendor": "",
    "sys/class/net/lo/address": "00:00:00:00:00:00\n",
    "sys/class/net/veth0/address": "aa:aa:aa:aa:aa:aa\n",
  };
  const rows: readonly [string, Record<string, string>, string | null][] = [
    [
      "both",
      { "etc/machine-id": `${id}\n`, "sys/class/dmi/id/product_uuid": `${uuid.toUpperCase()}\n` },
      `${id} ${uuid}`,
    ],
    ["the image's alone", { "etc/machine-id": `${id}\n`, ...network }, id],
    [
      "one that is not set yet",
      { "etc/machine-id": "uninitialized\n", ...network },
      "52:54:00:12:34:56 52:54:00:12:34:57",
    ],
    ["a blank uuid", { "sys/class/dmi/id/product_uuid": "00000000-0000-0000-0000-000000000000\n" }, null],
    ["nothing", {}, null],
  ];
  for (const [name, files, seed] of rows) {
    test(name, () => {
      using tree = new Tree(files);
      expect(readMachineSeed(tree.root)).toBe(seed);
    });
  }
});

describe("20,000 damaged texts", () => {
  test("command line", () => expectSturdy(guestFiles("proc/cmdline"), parseCmdline));
  test("file systems", () => expectSturdy(guestFiles("proc/filesystems"), parseFileSystems));
  test("kernel release", () => expectSturdy(guestFiles("proc/sys/kernel/osrelease"), parseKernelRelease));
  test("lockdown", () => expectSturdy(["[none] integrity confidentiality\n"], parseLockdown));
  test("ids", () => expectSturdy(["0123456789abcdef0123456789abcdef\n", "52:54:00:12:34:56\n"], parseIds));
});

function parseIds(text: string): unknown[] {
  return [parseMachineId(text), parseProductUuid(text), parseHardwareAddress(text)];
}
