import { expect, test } from "bun:test";
import { parseGuestCid } from "../../../src/kernel/guest-cids.ts";
import { parsePss } from "../../../src/kernel/smaps-rollup.ts";

test.each([
  ["qemu-system-x86_64\0-device\0vhost-vsock-pci,guest-cid=3\0-S\0", 3],
  ["qemu\0-device\0vhost-vsock-pci,id=v,guest-cid=42,disable-legacy=on\0", 42],
  ['qemu\0-device\0{"driver":"vhost-vsock-pci","id":"vsock0","guest-cid":7,"vhostfd":"31"}\0', 7],
  ['qemu\0-device\0{"driver":"vhost-vsock-pci","guest-cid": 8}\0', 8],
  ["qemu\0-name\0guest-cid=9\0", null],
  ["sh\0-c\0true\0", null],
  ["", null],
])("a context id in %p", (cmdline, cid) => {
  expect(parseGuestCid(cmdline)).toBe(cid);
});

test.each([
  ["55d0-7ffd ---p 00000000 00:00 0    [rollup]\nRss:      884 kB\nPss:      385 kB\nPss_Anon: 24 kB\n", 385 * 1024],
  ["Rss: 1 kB\n", null],
  ["", null],
])("a proportional set size in %p", (text, bytes) => {
  expect(parsePss(text)).toBe(bytes);
});
