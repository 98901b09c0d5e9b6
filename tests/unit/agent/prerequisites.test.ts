import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { readPrerequisiteFacts, type PrerequisiteFacts } from "../../../src/agent/doctor/facts.ts";
import { chooseBackend, type JudgedWhen } from "../../../src/agent/doctor/backend-choice.ts";
import type { Check } from "../../../src/agent/doctor/check.ts";
import {
  judgePrerequisites,
  meetPrerequisites,
  type PrerequisiteSettings,
} from "../../../src/agent/doctor/prerequisites.ts";
import { Fault } from "../../../src/base/fault.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { defaultSettings, type MemcgSettings } from "../../../src/config/schema.ts";

const good: PrerequisiteFacts = {
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

interface SettingsOf {
  readonly memcg?: Partial<MemcgSettings>;
  readonly compactDisabled?: boolean;
}

function settingsWith({ memcg = {}, compactDisabled = false }: SettingsOf): PrerequisiteSettings {
  return {
    memcg: { ...defaultSettings.memcg, ...memcg },
    compact: { ...defaultSettings.compact, disabled: compactDisabled },
  };
}

/** The checks that are not as they should be, as `key state`. */
function amiss(checks: readonly Check[]): string[] {
  return checks.filter(({ state }) => state !== "ok").map(({ key, state }) => `${key} ${state}`);
}

const judgements: readonly {
  readonly name: string;
  readonly facts: Partial<PrerequisiteFacts>;
  readonly settings?: SettingsOf;
  readonly when?: JudgedWhen;
  readonly amiss: readonly string[];
}[] = [
  { name: "all is there", facts: {}, amiss: [] },
  { name: "not root", facts: { userId: 1000, capabilities: null }, amiss: ["root failure"] },
  {
    name: "root without the capability to arm short triggers",
    facts: { capabilities: { sysAdmin: true, sysResource: false, dacOverride: true } },
    amiss: ["root warning"],
  },
  { name: "no memory controller", facts: { cgroup: null }, amiss: ["cgroup failure"] },
  {
    name: "a container's cgroup namespace",
    facts: { cgroup: { version: 2, path: "/sys/fs/cgroup", view: "namespace" } },
    amiss: ["cgroup failure"],
  },
  {
    name: "a container's cgroup namespace, and only compaction wanted",
    facts: { cgroup: { version: 2, path: "/sys/fs/cgroup", view: "namespace" } },
    settings: { memcg: { disabled: true } },
    amiss: ["cgroup info"],
  },
  {
    name: "a part of the hierarchy",
    facts: { cgroup: { version: 1, path: "/sys/fs/cgroup/memory", view: "folder" } },
    amiss: ["cgroup failure"],
  },
  { name: "no pressure", facts: { pressure: { state: "absent", why: "off_by_default" } }, amiss: ["pressure failure"] },
  { name: "debugfs not mounted", facts: { debugfs: "not_mounted", lruGenFile: "missing" }, amiss: ["debugfs warning"] },
  { name: "lru_gen off for good", facts: { lruGenMask: 0, lruGenSwitch: "denied" }, amiss: ["lru_gen warning"] },
  {
    name: "debugfs not mounted, and neither may be nor is anything in its place",
    facts: {
      debugfs: "not_mounted",
      lruGenFile: "missing",
      memoryReclaim: "missing",
      capabilities: { sysAdmin: false, sysResource: true, dacOverride: true },
    },
    amiss: ["root warning", "debugfs failure", "memory_reclaim info"],
  },
  {
    name: "kernel without lru_gen falls back",
    facts: { lruGenMask: null, lruGenFile: "missing" },
    amiss: ["lru_gen warning"],
  },
  {
    name: "kernel without lru_gen that was asked for",
    facts: { lruGenMask: null, lruGenFile: "missing" },
    settings: { memcg: { backend: "lru_gen" } },
    amiss: ["lru_gen failure"],
  },
  {
    name: "kernel with neither",
    facts: { lruGenMask: null, lruGenFile: "missing", memoryReclaim: "missing" },
    amiss: ["lru_gen failure", "memory_reclaim info"],
  },
  {
    name: "lru_gen off",
    facts: { lruGenMask: 0 },
    amiss: ["lru_gen warning"],
  },
  {
    name: "lru_gen that could not be switched on",
    facts: { lruGenMask: 0, memoryReclaim: "missing" },
    when: "after_setup",
    amiss: ["lru_gen failure", "memory_reclaim info"],
  },
  {
    name: "lru_gen that could not be switched on, with something in its place",
    facts: { lruGenMask: 0 },
    when: "after_setup",
    amiss: ["lru_gen warning"],
  },
  {
    name: "debugfs that could not be mounted",
    facts: { debugfs: "not_mounted", lruGenFile: "missing" },
    settings: { memcg: { backend: "lru_gen" } },
    when: "after_setup",
    amiss: ["debugfs failure"],
  },
  {
    name: "lockdown closes debugfs",
    facts: { lruGenFile: "denied", lockdown: "integrity" },
    settings: { memcg: { backend: "lru_gen" } },
    amiss: ["debugfs failure", "lru_gen failure"],
  },
  {
    name: "memory_reclaim asked for needs no lru_gen",
    facts: { lruGenMask: null, lruGenFile: "missing", debugfs: "not_built" },
    settings: { memcg: { backend: "memory_reclaim" } },
    amiss: ["debugfs info", "lru_gen info"],
  },
  {
    name: "memory_reclaim asked for and not there",
    facts: { memoryReclaim: "missing" },
    settings: { memcg: { backend: "memory_reclaim" } },
    amiss: ["memory_reclaim failure"],
  },
  {
    name: "memcg disabled needs no lru_gen and no cgroups",
    facts: { lruGenMask: null, lruGenFile: "missing", cgroup: null, memoryReclaim: "missing" },
    settings: { memcg: { disabled: true } },
    amiss: ["cgroup info", "lru_gen info", "memory_reclaim info"],
  },
  { name: "no compaction", facts: { compactMemory: "missing" }, amiss: ["compaction failure"] },
  {
    name: "no compaction where none is wanted",
    facts: { compactMemory: "missing" },
    settings: { compactDisabled: true },
    amiss: ["compaction info"],
  },
  {
    name: "everything disabled needs nothing",
    facts: { userId: 1000, capabilities: null, pressure: { state: "absent", why: "not_built" }, freeBlocks: "denied" },
    settings: { memcg: { disabled: true }, compactDisabled: true },
    amiss: ["root info", "pressure info", "compaction info"],
  },
];

describe("judgePrerequisites", () => {
  for (const row of judgements) {
    test(row.name, () => {
      const checks = judgePrerequisites({ ...good, ...row.facts }, settingsWith(row.settings ?? {}), row.when);
      expect(amiss(checks)).toEqual([...row.amiss]);
      for (const check of checks) {
        if (check.state === "failure" || check.state === "warning") expect(check.remedy).not.toBeNull();
        if (check.state === "failure") expect(check.needed).toBe(true);
        expect(check.observed).not.toContain("\n");
      }
    });
  }

  test("the remedy of absent pressure is the one of its cause", () => {
    const remedies = (["not_built", "off_by_parameter", "off_by_default"] as const).map((why) => {
      const checks = judgePrerequisites({ ...good, pressure: { state: "absent", why } }, settingsWith({}));
      return checks.find(({ key }) => key === "pressure")?.remedy;
    });
    expect(remedies[0]).toStartWith("CONFIG_PSI=y");
    expect(remedies[1]).toStartWith("psi=1 instead of psi=0");
    expect(remedies[2]).toStartWith("psi=1 (");
  });
});

describe("chooseBackend", () => {
  const rows: readonly [string, Partial<PrerequisiteFacts>, MemcgSettings["backend"], string | null][] = [
    ["auto takes lru_gen", {}, "auto", "lru_gen"],
    ["auto takes lru_gen that can be mounted", { debugfs: "not_mounted", lruGenFile: "missing" }, "auto", "lru_gen"],
    ["auto falls back", { lruGenMask: null }, "auto", "memory_reclaim"],
    ["auto falls back under lockdown", { lruGenFile: "denied", lockdown: "integrity" }, "auto", "memory_reclaim"],
    ["auto takes lru_gen that can be switched on", { lruGenMask: 0 }, "auto", "lru_gen"],
    ["auto falls back where it cannot", { lruGenMask: 0, lruGenSwitch: "denied" }, "auto", "memory_reclaim"],
    ["auto finds nothing", { lruGenMask: null, memoryReclaim: "missing" }, "auto", null],
    ["lru_gen is not replaced", { debugfs: "not_built" }, "lru_gen", null],
    ["memory_reclaim as asked", {}, "memory_reclaim", "memory_reclaim"],
    ["memory_reclaim is not replaced", { memoryReclaim: "missing" }, "memory_reclaim", null],
  ];
  for (const [name, facts, wanted, backend] of rows) {
    test(name, () => {
      const choice = chooseBackend({ ...good, ...facts }, wanted);
      expect(choice.backend).toBe(backend as typeof choice.backend);
      expect(choice.why).not.toBe("");
    });
  }
});

/** A tree of files under a temporary folder, removed afterwards. */
function withTree(files: Readonly<Record<string, string | Uint8Array>>, use: (root: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), "mem-agent-prerequisites-"));
  try {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const pressureText = "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
const machine: Readonly<Record<string, string>> = {
  "/proc/self/status": "Name:\tx\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n",
  "/proc/self/mountinfo":
    "30 1 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n31 1 0:7 / /sys/kernel/debug rw - debugfs debugfs rw\n",
  "/proc/filesystems": "nodev\tproc\nnodev\tdebugfs\n\text4\n",
  "/proc/pressure/memory": pressureText,
  "/proc/cmdline": "quiet\n",
  "/proc/sys/kernel/osrelease": "6.1.0-test\n",
  "/proc/sys/vm/compact_memory": "",
  "/proc/pagetypeinfo": "",
  "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
  "/sys/fs/cgroup/memory.reclaim": "",
  "/sys/kernel/mm/lru_gen/enabled": "0x0007\n",
  "/sys/kernel/debug/lru_gen": "",
  "/sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
};

function without(...paths: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(machine).filter(([path]) => !paths.includes(path)));
}

describe("readPrerequisiteFacts", () => {
  test("sees a machine where all is well", () => {
    withTree(machine, (root) => expect(readPrerequisiteFacts(root)).toEqual(good));
  });

  test("sees nothing in an empty tree", () => {
    withTree({}, (root) => {
      expect(readPrerequisiteFacts(root)).toEqual({
        userId: null,
        capabilities: null,
        cgroup: null,
        pressure: { state: "absent", why: "unknown" },
        lruGenMask: null,
        debugfs: "not_built",
        lruGenFile: "missing",
        lruGenSwitch: "missing",
        lockdown: null,
        memoryReclaim: "missing",
        compactMemory: "missing",
        freeBlocks: "missing",
      });
    });
  });

  test("a container's cgroup namespace, in which nothing of the host's is switched", () => {
    withTree({ ...machine, "/sys/kernel/mm/lru_gen/enabled": "0x0000\n" }, (root) => {
      mkdirSync(join(root, "proc/self/ns"));
      symlinkSync("cgroup:[4026532447]", join(root, "proc/self/ns/cgroup"));
      expect(readPrerequisiteFacts(root).cgroup).toEqual({ version: 2, path: "/sys/fs/cgroup", view: "namespace" });
      expect(() => meetPrerequisites(root, settingsWith({}), recordingLog())).toThrow("a prerequisite is missing");
      expect(readFileSync(join(root, "sys/kernel/mm/lru_gen/enabled"), "utf8")).toBe("0x0000\n");
    });
  });

  test("a v1 memory hierarchy beside a v2 tree without the controller", () => {
    const mounts =
      "30 1 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n31 1 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    withTree(
      { ...machine, "/proc/self/mountinfo": mounts, "/sys/fs/cgroup/unified/cgroup.controllers": "\n" },
      (root) => {
        const facts = readPrerequisiteFacts(root);
        expect(facts.cgroup).toEqual({ version: 1, path: "/sys/fs/cgroup/memory", view: "machine" });
        expect(facts.memoryReclaim).toBe("missing");
        expect(facts.debugfs).toBe("not_mounted");
      },
    );
  });

  test("capabilities are those of the effective set", () => {
    const status = "Uid:\t0\t65534\t0\t0\nCapEff:\t0000000001200000\n";
    withTree({ ...machine, "/proc/self/status": status }, (root) => {
      const facts = readPrerequisiteFacts(root);
      expect(facts.userId).toBe(65534);
      expect(facts.capabilities).toEqual({ sysAdmin: true, sysResource: true, dacOverride: false });
    });
  });

  const off = without("/proc/pressure/memory");
  const builtOff = "CONFIG_PSI=y\nCONFIG_PSI_DEFAULT_DISABLED=y\n";
  const absences: readonly [string, Record<string, string | Uint8Array>, string][] = [
    ["switched off by the parameter", { ...off, "/proc/cmdline": "psi=1 psi=0 quiet\n" }, "off_by_parameter"],
    ["off by default, by /boot", { ...off, "/boot/config-6.1.0-test": builtOff }, "off_by_default"],
    ["off by default, by /proc/config.gz", { ...off, "/proc/config.gz": gzipSync(builtOff) }, "off_by_default"],
    ["not built", { ...off, "/boot/config-6.1.0-test": "# CONFIG_PSI is not set\nCONFIG_X=y\n" }, "not_built"],
    ["built, by the symbols", { ...off, "/proc/kallsyms": "0000 T psi_memstall_enter\n" }, "off_by_default"],
    ["not built, by the symbols", { ...off, "/proc/kallsyms": "0000 T schedule\n" }, "not_built"],
    ["nobody knows", off, "unknown"],
  ];
  for (const [name, files, why] of absences) {
    test(`pressure ${name}`, () => {
      withTree(files, (root) => {
        expect(readPrerequisiteFacts(root).pressure).toEqual({ state: "absent", why: why as "unknown" });
      });
    });
  }
});

describe("meetPrerequisites", () => {
  test("switches lru_gen on and says so", () => {
    withTree({ ...machine, "/sys/kernel/mm/lru_gen/enabled": "0x0000\n" }, (root) => {
      const log = recordingLog();
      // A file of a fixture tree keeps what was written, where the kernel would answer 0x0007.
      expect(() => meetPrerequisites(root, settingsWith({}), log)).not.toThrow();
      expect(readFileSync(join(root, "/sys/kernel/mm/lru_gen/enabled"), "utf8")).toStartWith("7\n");
      expect(log.entries).toEqual([{ level: "info", message: "switched lru_gen on (7)", fields: {} }]);
    });
  });

  test("leaves lru_gen alone where memcg is disabled", () => {
    withTree({ ...machine, "/sys/kernel/mm/lru_gen/enabled": "0x0000\n" }, (root) => {
      const log = recordingLog();
      meetPrerequisites(root, settingsWith({ memcg: { disabled: true } }), log);
      expect(readFileSync(join(root, "/sys/kernel/mm/lru_gen/enabled"), "utf8")).toBe("0x0000\n");
      expect(log.entries).toEqual([]);
    });
  });

  test("tells every missing prerequisite at once", () => {
    withTree(without("/proc/pressure/memory", "/sys/fs/cgroup/cgroup.controllers"), (root) => {
      let fault: unknown = null;
      try {
        meetPrerequisites(root, settingsWith({}), recordingLog());
      } catch (error) {
        fault = error;
      }
      expect(fault).toBeInstanceOf(Fault);
      const { kind, problems } = fault as Fault;
      expect(kind).toBe("missing");
      expect(problems).toHaveLength(2);
      expect(problems[0]).toStartWith("memory cgroups: no hierarchy");
      expect(problems[1]).toContain("psi=1");
    });
  });

  test("the backend follows from what is there", () => {
    withTree(without("/sys/kernel/mm/lru_gen/enabled", "/sys/kernel/debug/lru_gen"), (root) => {
      const { choice } = meetPrerequisites(root, settingsWith({}), recordingLog());
      expect(choice.backend).toBe("memory_reclaim");
    });
  });
});
