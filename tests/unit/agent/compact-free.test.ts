import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freeStatus, readFreeBlocks, readFreeByOrder, readReportedOrder } from "../../../src/agent/compact/free.ts";
import { CompactKernel } from "./compact-kernel.ts";

const twoZones = {
  buddyinfo: [
    "Node 0, zone    DMA32      3      2      0      1 ",
    "Node 1, zone   Normal 150000      1      1      4 ",
    "",
  ],
  pagetypeinfo: [
    "Page block order: 9",
    "Pages per block:  512",
    "",
    "Free pages count per migrate type at order       0      1      2      3 ",
    "Node    0, zone    DMA32, type    Unmovable      1      0      0      1 ",
    "Node    0, zone    DMA32, type      Movable      2      2      0      0 ",
    "Node    1, zone   Normal, type    Unmovable     40      1      0      0 ",
    "Node    1, zone   Normal, type      Movable >100000      0      1      4 ",
    "Node    1, zone   Normal, type          CMA     10      0      0      0 ",
    "",
    "Number of blocks type     Unmovable      Movable          CMA ",
    "Node 0, zone    DMA32            1            2            0 ",
    "",
  ],
};

test("free blocks of all zones and nodes, and the movable ones among them", () => {
  using kernel = new CompactKernel();
  for (const [name, lines] of Object.entries(twoZones)) {
    writeFileSync(join(kernel.root, "proc", name), lines.join("\n"));
  }
  expect(readFreeByOrder(kernel.root)).toEqual([150_003, 3, 1, 5]);
  expect(readFreeBlocks(kernel.root)).toEqual({
    freePages: 150_003 + 6 + 4 + 40,
    blocks: [150_003, 3, 1, 5],
    movableBlocks: [149_952, 2, 1, 4],
  });
});

test("free bytes by order", () => {
  const blocks = [4, 0, 1, 2];
  expect(freeStatus(blocks, 2, 3)).toEqual({
    free_bytes: 24 * 4096,
    order_bytes: 20 * 4096,
    reportable_bytes: 16 * 4096,
  });
  expect(freeStatus(blocks, 4, null)).toEqual({ free_bytes: 24 * 4096, order_bytes: 0, reportable_bytes: null });
});

test.each([
  ["without a balloon, what the kernel says", [], 9],
  ["with a balloon that reports", [true], 9],
  ["with one of two that reports", [false, true], 9],
  ["with a balloon that does not report, none", [false], null],
] as const)("the reported order: %s", (_name, balloons, expected) => {
  using kernel = new CompactKernel();
  for (const [index, reports] of balloons.entries()) {
    const device = join(kernel.root, `sys/bus/virtio/devices/virtio${index}`);
    mkdirSync(device, { recursive: true });
    writeFileSync(join(device, "device"), "0x0005\n");
    writeFileSync(join(device, "features"), `00000${reports ? 1 : 0}${"0".repeat(58)}\n`);
  }
  expect(readReportedOrder(kernel.root)).toBe(expected);
});
