/** What the agent takes, as its guest counts it. */
import { expect, test } from "bun:test";
import { ownCgroupBytes, ownCgroupPath, ownCost } from "../../../src/agent/own-cost.ts";
import { Tree } from "../kernel/fixtures.ts";

const folder = "sys/fs/cgroup/system.slice/mem-agent.service";

function tree(procs: string, own: string): Tree {
  return new Tree({
    "proc/self/mountinfo": "29 24 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu io memory\n",
    "proc/self/cgroup": own,
    [`${folder}/cgroup.procs`]: procs,
    [`${folder}/memory.current`]: "11534336\n",
  });
}

const rows: readonly (readonly [name: string, procs: string, own: string, bytes: number | null])[] = [
  ["alone in its cgroup: its charge", "42\n", "0::/system.slice/mem-agent.service\n", 11_534_336],
  ["with others in it: not told", "42\n43\n", "0::/system.slice/mem-agent.service\n", null],
  ["in the root: not told", "42\n", "0::/\n", null],
  ["on cgroup v1: not told", "42\n", "4:memory:/system.slice\n", null],
];
for (const [name, procs, own, bytes] of rows) {
  test(name, () => {
    using files = tree(procs, own);
    expect(ownCgroupBytes(files.root, 42)).toBe(bytes);
  });
}

const ownRows: readonly (readonly [name: string, procs: string, own: string, path: string | null])[] = [
  ["alone in it", "42\n", "0::/system.slice/mem-agent.service\n", "/system.slice/mem-agent.service"],
  ["with others in it", "42\n43\n", "0::/system.slice/mem-agent.service\n", null],
  ["in the root", "42\n", "0::/\n", null],
  ["in one that is gone", "42\n", "0::/gone.slice\n", null],
];
for (const [name, procs, own, path] of ownRows) {
  test(`the own cgroup, ${name}`, () => {
    using files = tree(procs, own);
    expect(ownCgroupPath(files.root, 42)).toBe(path);
  });
}

test("the own cgroup, in the memory hierarchy of version 1", () => {
  using files = new Tree({
    "proc/self/mountinfo": "29 24 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    "proc/self/cgroup": "5:cpu,cpuacct:/elsewhere\n4:memory:/agent\n0::/elsewhere\n",
    "sys/fs/cgroup/memory/agent/cgroup.procs": "42\n",
  });
  expect(ownCgroupPath(files.root, 42)).toBe("/agent");
  expect(ownCgroupPath(files.root, 43)).toBeNull();
});

test("it holds at least what is private", () => {
  const { charged_bytes: charged, private_bytes: own } = ownCost();
  if (charged !== null) expect(charged).toBeGreaterThanOrEqual(own ?? 0);
});
