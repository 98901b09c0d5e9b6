import { describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { readDoctorFacts, type DoctorFacts } from "../../../src/agent/doctor/machine-facts.ts";
import { examine, judgeMachine } from "../../../src/agent/doctor/machine.ts";
import type { PrerequisiteFacts } from "../../../src/agent/doctor/facts.ts";
import type { CheckState } from "../../../src/agent/doctor/check.ts";
import type { PrerequisiteSettings } from "../../../src/agent/doctor/prerequisites.ts";
import { defaultSettings } from "../../../src/config/schema.ts";
import { guestFile, guestNames, Tree } from "../kernel/fixtures.ts";

const machine: DoctorFacts = {
  release: { release: "6.12.95-cloud", major: 6, minor: 12 },
  lruGenIds: "numbers",
  triggerWindowMs: 100,
  cgroupPressure: { path: "/a", source: "/a" },
  swap: { totalBytes: 2 ** 30, freeBytes: 2 ** 29 },
  reclaimSwappiness: true,
  reportingOrder: 9,
  balloons: [{ name: "virtio1", hasDriver: true, reports: true }],
  isVirtual: true,
  readAhead: { disk: "vda", kib: 128 },
  cid: 3,
};

const prerequisites: PrerequisiteFacts = {
  userId: 0,
  capabilities: { sysAdmin: true, sysResource: true, dacOverride: true },
  cgroup: { version: 2, path: "/sys/fs/cgroup", view: "machine" },
  pressure: { state: "ok" },
  lruGenMask: 7,
  lruGenSwitch: "ok",
  debugfs: "mounted",
  lruGenFile: "ok",
  lockdown: "none",
  memoryReclaim: "ok",
  compactMemory: "ok",
  freeBlocks: "ok",
};

const swapping: PrerequisiteSettings = {
  memcg: { ...defaultSettings.memcg, swap: true },
  compact: defaultSettings.compact,
};
const compactOrder = (order: number, disabled = false): PrerequisiteSettings => ({
  memcg: defaultSettings.memcg,
  compact: { ...defaultSettings.compact, order, disabled },
});

interface Row {
  readonly name: string;
  readonly key: string;
  readonly facts?: Partial<DoctorFacts>;
  readonly before?: Partial<PrerequisiteFacts>;
  readonly settings?: PrerequisiteSettings;
  readonly state: CheckState;
  /** A part of the remedy; null: there is none. */
  readonly remedy: string | null;
}

const rows: readonly Row[] = [
  { name: "vsock with an id", key: "vsock", state: "ok", remedy: null },
  { name: "vsock of a host", key: "vsock", facts: { cid: 2 }, state: "info", remedy: null },
  {
    name: "vsock without a device",
    key: "vsock",
    facts: { cid: null },
    state: "info",
    remedy: "-device vhost-vsock-pci,guest-cid=3",
  },
  {
    name: "no vsock on a machine that is none",
    key: "vsock",
    facts: { cid: null, isVirtual: false },
    state: "info",
    remedy: null,
  },
  { name: "short window", key: "pressure_window", state: "ok", remedy: null },
  {
    name: "window of 6.1",
    key: "pressure_window",
    facts: { triggerWindowMs: 500 },
    state: "ok",
    remedy: null,
  },
  {
    name: "window without the capability",
    key: "pressure_window",
    facts: { triggerWindowMs: 2000 },
    state: "warning",
    remedy: "CAP_SYS_RESOURCE",
  },
  {
    name: "no trigger for this user",
    key: "pressure_window",
    facts: { triggerWindowMs: null },
    state: "warning",
    remedy: "root",
  },
  {
    name: "no trigger without pressure",
    key: "pressure_window",
    facts: { triggerWindowMs: null },
    before: { pressure: { state: "absent", why: "not_built" } },
    state: "info",
    remedy: null,
  },
  { name: "own pressure", key: "cgroup_pressure", state: "ok", remedy: null },
  {
    name: "the system's pressure with v1",
    key: "cgroup_pressure",
    facts: { cgroupPressure: { path: "/a", source: "system" } },
    before: { cgroup: { version: 1, path: "/sys/fs/cgroup/memory", view: "machine" } },
    state: "warning",
    remedy: "systemd.unified_cgroup_hierarchy=1",
  },
  {
    name: "a cgroup with its pressure switched off",
    key: "cgroup_pressure",
    facts: { cgroupPressure: { path: "/a", source: "/" } },
    state: "warning",
    remedy: "echo 1 > /sys/fs/cgroup/a/cgroup.pressure",
  },
  { name: "no cgroup", key: "cgroup_pressure", facts: { cgroupPressure: null }, state: "info", remedy: null },
  { name: "swappiness", key: "reclaim_swappiness", state: "ok", remedy: null },
  {
    name: "no swappiness, and none needed",
    key: "reclaim_swappiness",
    facts: { reclaimSwappiness: false },
    state: "info",
    remedy: null,
  },
  {
    name: "no swappiness where memory.reclaim does the work",
    key: "reclaim_swappiness",
    facts: { reclaimSwappiness: false },
    before: { lruGenMask: null },
    state: "warning",
    remedy: "6.10",
  },
  { name: "swap that is not wanted", key: "swap", state: "info", remedy: null },
  { name: "swap", key: "swap", settings: swapping, state: "ok", remedy: null },
  {
    name: "no swap where it is wanted",
    key: "swap",
    facts: { swap: { totalBytes: 0, freeBytes: 0 } },
    settings: swapping,
    state: "warning",
    remedy: "swapon",
  },
  {
    name: "full swap",
    key: "swap",
    facts: { swap: { totalBytes: 2 ** 30, freeBytes: 2 ** 20 } },
    settings: swapping,
    state: "warning",
    remedy: "swapon",
  },
  { name: "reporting", key: "page_reporting", state: "ok", remedy: null },
  {
    name: "a balloon that does not report",
    key: "page_reporting",
    facts: { balloons: [{ name: "virtio1", hasDriver: true, reports: false }] },
    state: "warning",
    remedy: "QEMU: -device virtio-balloon-pci,free-page-reporting=on\nlibvirt: ",
  },
  {
    name: "a balloon without a driver",
    key: "page_reporting",
    facts: { balloons: [{ name: "virtio1", hasDriver: false, reports: false }] },
    state: "warning",
    remedy: "modprobe virtio_balloon",
  },
  {
    name: "no balloon",
    key: "page_reporting",
    facts: { balloons: [] },
    state: "warning",
    remedy: "Cloud Hypervisor: --balloon size=0,free_page_reporting=on",
  },
  {
    name: "no balloon on bare metal",
    key: "page_reporting",
    facts: { balloons: [], isVirtual: false },
    state: "info",
    remedy: null,
  },
  { name: "order as reported", key: "compact_order", state: "ok", remedy: null },
  {
    name: "order below what is reported",
    key: "compact_order",
    settings: compactOrder(8),
    state: "warning",
    remedy: "order = 9 (",
  },
  {
    name: "order as large as can be",
    key: "compact_order",
    facts: { reportingOrder: 13 },
    settings: compactOrder(10),
    state: "ok",
    remedy: null,
  },
  {
    name: "no compaction",
    key: "compact_order",
    settings: compactOrder(2, true),
    state: "info",
    remedy: null,
  },
  { name: "nothing reports", key: "compact_order", facts: { reportingOrder: null }, state: "info", remedy: null },
  { name: "refaults counted", key: "refaults", state: "ok", remedy: null },
  {
    name: "refaults of 6.1",
    key: "refaults",
    facts: { release: { release: "6.1.0", major: 6, minor: 1 } },
    state: "info",
    remedy: null,
  },
  { name: "kernel", key: "kernel", state: "info", remedy: null },
  { name: "short readahead", key: "read_ahead", state: "ok", remedy: null },
  {
    name: "long readahead",
    key: "read_ahead",
    facts: { readAhead: { disk: "vda", kib: 8192 } },
    state: "warning",
    remedy: 'KERNEL=="vda", ATTR{queue/read_ahead_kb}="128"',
  },
  { name: "readahead unknown", key: "read_ahead", facts: { readAhead: null }, state: "info", remedy: null },
];

describe("judgeMachine", () => {
  for (const { name, key, facts, before, settings, state, remedy } of rows) {
    test(name, () => {
      const checks = judgeMachine(
        { ...machine, ...facts },
        { ...prerequisites, ...before },
        settings ?? defaultSettings,
      );
      const check = checks.find((each) => each.key === key);
      expect(check?.state).toBe(state);
      if (remedy === null) expect(check?.remedy).toBeNull();
      else expect(check?.remedy).toContain(remedy);
      // None of them may keep the agent from starting.
      expect(checks.some((each) => each.needed || each.state === "failure")).toBe(false);
    });
  }
});

/** Reading arms a trigger, which in a tree of plain files writes: so the guest's files are copied. */
function copyOf(name: string, paths: readonly string[]): Tree {
  const tree = new Tree();
  for (const path of paths) tree.write(path, guestFile(name, path).toString("latin1"));
  return tree;
}

const guestPaths = [
  "/proc/meminfo",
  "/proc/pressure/memory",
  "/proc/self/mountinfo",
  "/proc/sys/kernel/osrelease",
  "/sys/kernel/debug/lru_gen",
  "/sys/module/page_reporting/parameters/page_reporting_order",
];

describe("readDoctorFacts", () => {
  for (const name of guestNames) {
    test(`of ${name}`, () => {
      using tree = copyOf(name, guestPaths);
      const facts = readDoctorFacts(tree.root);
      expect(facts.release?.release).toStartWith(name.split("-")[0] ?? "");
      expect(facts.swap?.totalBytes).toBe(67_104_768);
      expect(facts.reportingOrder).toBe(9);
      expect(facts.triggerWindowMs).toBe(100);
      expect(facts.balloons).toEqual([]);
    });
  }

  test("an empty tree has nothing to say and throws nothing", () => {
    using tree = new Tree();
    const facts = readDoctorFacts(tree.root);
    expect(Object.values(facts).filter((fact) => fact !== null && !Array.isArray(fact))).toEqual([]);
  });

  test("ids that are inodes", () => {
    using tree = new Tree({
      "/proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
      "/sys/fs/cgroup/cgroup.controllers": "memory\n",
      "/sys/fs/cgroup/a/memory.stat": "",
    });
    const { ino } = statSync(`${tree.root}/sys/fs/cgroup/a`);
    tree.write("/sys/kernel/debug/lru_gen", `memcg 1 /\nmemcg ${ino} /a\n node 0\n 0 1 2 3\n`);
    expect(readDoctorFacts(tree.root).lruGenIds).toBe("inodes");
    tree.write("/sys/kernel/debug/lru_gen", `memcg 1 /\nmemcg ${ino + 1} /a\n node 0\n 0 1 2 3\n`);
    expect(readDoctorFacts(tree.root).lruGenIds).toBe("numbers");
  });
});

test("examine puts the prerequisites first, each check once", () => {
  using tree = new Tree();
  const { checks, choice } = examine(tree.root, defaultSettings);
  const keys = checks.map(({ key }) => key);
  expect(keys.slice(0, 3)).toEqual(["root", "cgroup", "pressure"]);
  expect(new Set(keys).size).toBe(keys.length);
  expect(choice.backend).toBeNull();
});

test("examine looks for no cold memory where memcg is disabled", () => {
  using tree = new Tree();
  const settings = { ...swapping, memcg: { ...defaultSettings.memcg, disabled: true } };
  expect(examine(tree.root, settings).choice).toEqual({ backend: null, why: "memcg is disabled by the settings" });
});
