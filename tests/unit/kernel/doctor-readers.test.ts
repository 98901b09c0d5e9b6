/** The small readers that only the prerequisites and the doctor use. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parseIsVirtual } from "../../../src/kernel/cpuinfo.ts";
import { fileState } from "../../../src/kernel/file-state.ts";
import { findOption, hasKernelSymbol, readKernelConfig } from "../../../src/kernel/kernel-config.ts";
import { parseBalloon, readVirtioBalloons } from "../../../src/kernel/virtio-balloon.ts";
import { Tree } from "./fixtures.ts";
import { expectSturdy } from "./mutate.ts";

const configText = `#
# Linux/x86 6.1 Kernel Configuration
CONFIG_PSI=y
# CONFIG_PSI_DEFAULT_DISABLED is not set
CONFIG_CC_VERSION_TEXT="gcc 12"
CONFIG_LRU_GEN=y`;

describe("kernel configuration", () => {
  const rows: readonly [string, string | null][] = [
    ["CONFIG_PSI", "y"],
    ["CONFIG_PSI_DEFAULT_DISABLED", null],
    ["CONFIG_CC_VERSION_TEXT", "gcc 12"],
    ["CONFIG_LRU_GEN", "y"],
    ["CONFIG_LRU", null],
    ["PSI", null],
  ];
  for (const [name, value] of rows) test(name, () => expect(findOption(configText, name)).toBe(value));

  test("in the first line", () => expect(findOption("CONFIG_A=m\n", "CONFIG_A")).toBe("m"));
  test("damaged texts", () => expectSturdy([configText], (text) => findOption(text, "CONFIG_PSI")));

  test("is taken from the first place that has one", () => {
    using tree = new Tree({ "boot/config-6.1.0": configText, "lib/modules/6.1.0/config": "CONFIG_PSI=n\n" });
    expect(readKernelConfig(tree.root, "6.1.0")?.path).toBe("/boot/config-6.1.0");
    expect(readKernelConfig(tree.root, "6.2.0")).toBeNull();
    expect(readKernelConfig(tree.root, null)).toBeNull();
    mkdirSync(join(tree.root, "proc"));
    writeFileSync(join(tree.root, "proc/config.gz"), gzipSync(configText));
    expect(readKernelConfig(tree.root, null)?.option("CONFIG_LRU_GEN")).toBe("y");
  });

  test("something else in its place is passed over", () => {
    using tree = new Tree({ "proc/config.gz": "no gzip", "boot/config-6.1.0": "see /usr/src" });
    expect(readKernelConfig(tree.root, "6.1.0")).toBeNull();
    writeFileSync(join(tree.root, "proc/config.gz"), gzipSync("\0".repeat(8 << 20)));
    expect(readKernelConfig(tree.root, "6.1.0")).toBeNull();
  });
});

test("kernel symbols are found by their whole name", () => {
  using tree = new Tree({
    "proc/kallsyms": "0000000000000000 T psi_memstall_enter\n0000000000000000 t other\t[module]\n",
  });
  expect(hasKernelSymbol(tree.root, "psi_memstall_enter")).toBe(true);
  expect(hasKernelSymbol(tree.root, "other")).toBe(true);
  expect(hasKernelSymbol(tree.root, "psi_memstall")).toBe(false);
  using bare = new Tree({ "proc/kallsyms": "" });
  expect(hasKernelSymbol(bare.root, "psi_memstall_enter")).toBeNull();
});

describe("virtio balloon", () => {
  const reporting = "0000010000000000000000000000100011000000000000000000000000000000\n";
  const silent = "0000000000000000000000000000100011000000000000000000000000000000\n";

  test("by device id and feature bit 5", () => {
    expect(parseBalloon("virtio1", "0x0005\n", reporting, true)).toEqual({
      name: "virtio1",
      hasDriver: true,
      reports: true,
    });
    expect(parseBalloon("virtio1", "0x0005\n", silent, true)?.reports).toBe(false);
    expect(parseBalloon("virtio1", "0x0002\n", reporting, true)).toBeNull();
  });

  test("damaged texts", () => {
    expectSturdy(["0x0005\n", reporting], (text) => parseBalloon("virtio0", text, text, false));
  });

  test("of a bus with other devices, and one that has no driver", () => {
    using tree = new Tree({
      "sys/bus/virtio/devices/virtio0/device": "0x0002\n",
      "sys/bus/virtio/devices/virtio0/features": reporting,
      "sys/bus/virtio/devices/virtio1/device": "0x0005\n",
      "sys/bus/virtio/devices/virtio1/features": reporting,
      "sys/bus/virtio/devices/virtio2/device": "0x0005\n",
      "sys/bus/virtio/devices/virtio2/features": silent,
      "sys/bus/virtio/drivers/virtio_balloon/x": "",
    });
    symlinkSync("../../drivers/virtio_balloon", join(tree.root, "sys/bus/virtio/devices/virtio1/driver"));
    expect(readVirtioBalloons(tree.root)).toEqual([
      { name: "virtio1", hasDriver: true, reports: true },
      { name: "virtio2", hasDriver: false, reports: false },
    ]);
    using bare = new Tree();
    expect(readVirtioBalloons(bare.root)).toEqual([]);
  });
});

describe("virtual machine", () => {
  const rows: readonly [string, boolean | null][] = [
    ["flags\t\t: fpu vme hypervisor lahf_lm\nbugs\t\t:\n", true],
    ["flags\t\t: fpu vme hypervisor\n", true],
    ["flags\t\t: fpu vme lahf_lm\n", false],
    ["Features\t: fp asimd evtstrm\n", null],
    ["", null],
  ];
  for (const [text, expected] of rows) {
    test(JSON.stringify(text.slice(0, 30)), () => expect(parseIsVirtual(text)).toBe(expected));
  }
});

describe("file state", () => {
  test("says what opening would", () => {
    using tree = new Tree({ file: "x" });
    expect(fileState(tree.root, "/file", "both")).toBe("ok");
    expect(fileState(tree.root, "/none", "write")).toBe("missing");
    expect(fileState(tree.root, "/file/none", "read")).toBe("missing");
    mkdirSync(join(tree.root, "folder"));
    expect(fileState(tree.root, "/folder", "write")).toBe("failed");
    expect(tree.read("file")).toBe("x");
  });
});
