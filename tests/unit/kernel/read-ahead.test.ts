/** How far the disk of a file is read ahead. */
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { readReadAhead } from "../../../src/kernel/read-ahead.ts";
import { Tree } from "./fixtures.ts";

/** Devices 254:0 and 254:1, as stat(2) gives them. */
const [disk, partition] = [254 * 256, 254 * 256 + 1];

function tree(text: string): Tree {
  const made = new Tree({
    "sys/devices/virtio0/block/vda/queue/read_ahead_kb": text,
    "sys/devices/virtio0/block/vda/vda1/partition": "1\n",
  });
  mkdirSync(join(made.root, "sys/dev/block"), { recursive: true });
  symlinkSync("../../devices/virtio0/block/vda", join(made.root, "sys/dev/block/254:0"));
  symlinkSync("../../devices/virtio0/block/vda/vda1", join(made.root, "sys/dev/block/254:1"));
  return made;
}

test("a disk and its partition say the same; a file system without a disk says nothing", () => {
  using files = tree("8192\n");
  expect(readReadAhead(files.root, disk)).toEqual({ disk: "vda", kib: 8192 });
  expect(readReadAhead(files.root, partition)).toEqual({ disk: "vda", kib: 8192 });
  expect(readReadAhead(files.root, 40)).toBeNull();
});

test("what is no number is malformed", () => {
  using files = tree("much\n");
  expect(() => readReadAhead(files.root, disk)).toThrow(expect.objectContaining({ kind: "malformed" }));
});
