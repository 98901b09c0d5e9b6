/**
 * What the agent needs of the kernel and the machine: one list of checks, which the start of the agent obeys and
 * `doctor` prints, so that both say the same.
 *
 * facts.ts reads; this file judges. A feature that is disabled needs nothing.
 */
import { Fault, messageOf } from "../../base/fault.ts";
import type { Logger } from "../../base/log.ts";
import type { MemcgSettings, Settings } from "../../config/schema.ts";
import {
  chooseBackend,
  isLockedDown,
  isLruGenOn,
  mayMount,
  maySwitchOn,
  type BackendChoice,
  type JudgedWhen,
} from "./backend-choice.ts";
import { checkOf, runAsRoot, type Check, type CheckState, type Found } from "./check.ts";
import { readPrerequisiteFacts, type PressureAbsence, type PrerequisiteFacts } from "./facts.ts";
import { lruGenEnabledAll, writeEnabled } from "../../kernel/lru-gen.ts";
import { mountDebugfs } from "../../kernel/debugfs.ts";
import type { FileState } from "../../kernel/file-state.ts";

/** The settings that decide what is needed. */
export type PrerequisiteSettings = Pick<Settings, "compact"> & { readonly memcg: MemcgSettings };

/** What is wrong counts as a failure only where an enabled feature needs it. */
function wrong(needed: boolean): CheckState {
  return needed ? "failure" : "info";
}

function checkRoot(facts: PrerequisiteFacts, needed: boolean): Check {
  const title = "privileges";
  const { userId, capabilities } = facts;
  if (userId !== 0 && capabilities?.dacOverride !== true) {
    const observed = userId === null ? "user unknown" : `user ${userId} without CAP_DAC_OVERRIDE`;
    return checkOf("root", title, needed, { state: wrong(needed), observed, remedy: runAsRoot });
  }
  if (capabilities === null) {
    return checkOf("root", title, needed, { state: "ok", observed: `user ${userId}, capabilities unknown` });
  }
  const lacking = [
    capabilities.sysAdmin ? null : "CAP_SYS_ADMIN",
    capabilities.sysResource ? null : "CAP_SYS_RESOURCE",
    capabilities.dacOverride ? null : "CAP_DAC_OVERRIDE",
  ].filter((name) => name !== null);
  const observed = `user ${userId}, ${lacking.length === 0 ? "all capabilities that it uses" : `without ${lacking.join(", ")}`}`;
  if (lacking.length === 0) return checkOf("root", title, needed, { state: "ok", observed });
  return checkOf("root", title, needed, {
    state: "warning",
    observed,
    remedy: "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_RESOURCE CAP_DAC_OVERRIDE (in the unit's [Service] section)",
  });
}

function checkCgroup(facts: PrerequisiteFacts, needed: boolean): Check {
  const title = "memory cgroups";
  if (facts.cgroup !== null) {
    const { version, path, view } = facts.cgroup;
    if (view !== "machine")
      return checkOf("cgroup", title, needed, { state: wrong(needed), ...foreignPaths(facts.cgroup) });
    return checkOf("cgroup", title, needed, { state: "ok", observed: `version ${version} at ${path}` });
  }
  return checkOf("cgroup", title, needed, {
    state: wrong(needed),
    observed: "no hierarchy with a memory controller is mounted",
    remedy: "mount -t cgroup2 cgroup2 /sys/fs/cgroup (and remove cgroup_disable=memory from the kernel's command line)",
  });
}

/** Where the names of cgroups mean others than the kernel's files do: what is read of one would be written to another. */
function foreignPaths({
  version,
  path,
  view,
}: NonNullable<PrerequisiteFacts["cgroup"]>): Omit<Required<Found>, "state"> {
  if (view === "folder") {
    return {
      observed: `${path} shows a part of the hierarchy, and lru_gen names cgroups from its top`,
      remedy: version === 1 ? `mount -t cgroup -o memory cgroup ${path}` : "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    };
  }
  return {
    observed: `this process is in a container's cgroup namespace: lru_gen names the host's cgroups, ${path} the container's`,
    remedy: "--cgroupns=host (for docker run and podman run), or run it on the host itself",
  };
}

const pressureAbsences: Readonly<Record<PressureAbsence, { observed: string; remedy: string }>> = {
  not_built: {
    observed: "the kernel was built without it",
    remedy: "CONFIG_PSI=y (in the kernel's configuration)",
  },
  off_by_parameter: {
    observed: "built in, switched off by psi=0",
    remedy: "psi=1 instead of psi=0 (on the kernel's command line)",
  },
  off_by_default: {
    observed: "built in, off by default (CONFIG_PSI_DEFAULT_DISABLED)",
    remedy: "psi=1 (on the kernel's command line)",
  },
  unknown: {
    observed: "off, or not built in",
    remedy: "psi=1 (on the kernel's command line; the kernel needs CONFIG_PSI=y)",
  },
};

function checkPressure(facts: PrerequisiteFacts, needed: boolean): Check {
  const title = "pressure (PSI)";
  if (facts.pressure.state === "ok") {
    return checkOf("pressure", title, needed, { state: "ok", observed: "on, read from /proc/pressure" });
  }
  return checkOf("pressure", title, needed, { state: wrong(needed), ...pressureAbsences[facts.pressure.why] });
}

/** What the checks of lru_gen go by. */
interface LruGenCase {
  readonly facts: PrerequisiteFacts;
  readonly when: JudgedWhen;
  /** True when cold memory is to be found by lru_gen, and by nothing else. */
  readonly needed: boolean;
  /** What a shortcoming is: a failure only where nothing stands in for lru_gen. */
  readonly bad: CheckState;
  /** The state of what the agent fixes when it starts. */
  readonly fixable: CheckState;
}

function lruGenCase(
  facts: PrerequisiteFacts,
  settings: PrerequisiteSettings,
  choice: BackendChoice,
  when: JudgedWhen,
): LruGenCase {
  const wanted = !settings.memcg.disabled && settings.memcg.backend !== "memory_reclaim";
  const needed = wanted && choice.backend !== "memory_reclaim";
  const bad = needed ? "failure" : wanted ? "warning" : "info";
  return { facts, when, needed, bad, fixable: when === "after_setup" ? bad : wanted ? "warning" : "info" };
}

const debugfsMountLine = "mount -t debugfs debugfs /sys/kernel/debug";

function checkDebugfs({ facts, when, needed, bad, fixable }: LruGenCase): Check {
  const made = (found: Found): Check => checkOf("debugfs", "debugfs", needed, found);
  if (facts.debugfs === "not_built") {
    return made({
      state: bad,
      observed: "the kernel has none, or it is switched off by debugfs=off",
      remedy: "CONFIG_DEBUG_FS=y (in the kernel's configuration; and no debugfs=off on its command line)",
    });
  }
  if (facts.debugfs === "not_mounted" && facts.lruGenMask === null) {
    return made({ state: "info", observed: "not mounted; of no use without lru_gen" });
  }
  if (facts.debugfs === "not_mounted") {
    if (!mayMount(facts)) return made({ state: bad, observed: "not mounted", remedy: debugfsMountLine });
    const observed = when === "after_setup" ? "not mounted" : "not mounted; the agent mounts it when it starts";
    return made({ state: fixable, observed, remedy: debugfsMountLine });
  }
  if (facts.lruGenFile === "denied" && isLockedDown(facts)) {
    return made({
      state: bad,
      observed: `mounted, but closed by kernel lockdown (${facts.lockdown})`,
      remedy: "lockdown=none (on the kernel's command line; with Secure Boot, switch that off in the VM)",
    });
  }
  return made({ state: "ok", observed: "mounted at /sys/kernel/debug" });
}

function checkLruGen({ facts, when, needed, bad, fixable }: LruGenCase): Check {
  const made = (found: Found): Check => checkOf("lru_gen", "multi-gen LRU", needed, found);
  if (facts.lruGenMask === null) {
    return made({
      state: bad,
      observed: "not built in",
      remedy: "CONFIG_LRU_GEN=y CONFIG_LRU_GEN_ENABLED=y (in the configuration of a kernel of 6.1 or newer)",
    });
  }
  const mask = `mask 0x${facts.lruGenMask.toString(16).padStart(4, "0")}`;
  if (!isLruGenOn(facts.lruGenMask)) {
    const remedy = `echo ${lruGenEnabledAll} > /sys/kernel/mm/lru_gen/enabled`;
    const observed = `built in, ${mask}: off`;
    if (!maySwitchOn(facts)) return made({ state: bad, observed: `${observed}, and may not be switched on`, remedy });
    if (when === "after_setup") return made({ state: fixable, observed, remedy });
    return made({ state: fixable, observed: `${observed}; the agent switches it on when it starts`, remedy });
  }
  if (facts.debugfs !== "mounted" || facts.lruGenFile === "ok") {
    return made({ state: "ok", observed: `built in, ${mask}: on` });
  }
  const opened: Readonly<Record<Exclude<FileState, "ok">, string>> = {
    missing: "is not there",
    denied: "may not be opened",
    failed: "cannot be read",
  };
  return made({
    state: bad,
    observed: `on, ${mask}, but /sys/kernel/debug/lru_gen ${opened[facts.lruGenFile]}`,
    remedy: isLockedDown(facts) ? "lockdown=none (on the kernel's command line)" : runAsRoot,
  });
}

function checkMemoryReclaim(facts: PrerequisiteFacts, settings: PrerequisiteSettings, choice: BackendChoice): Check {
  const { memcg } = settings;
  const required = !memcg.disabled && (memcg.backend === "memory_reclaim" || choice.backend === "memory_reclaim");
  const made = (found: Found): Check => checkOf("memory_reclaim", "memory.reclaim", required, found);
  if (facts.memoryReclaim === "ok") {
    const observed = required ? "there, and used" : "there, in reserve for lru_gen";
    return made({ state: "ok", observed });
  }
  if (facts.memoryReclaim === "denied") {
    return made({ state: wrong(required), observed: "may not be written", remedy: runAsRoot });
  }
  const old = facts.cgroup?.version === 1;
  return made({
    state: wrong(required),
    observed: old ? "none: cgroup version 1 has no such file" : "none: the kernel is older than 5.19",
    ...(required
      ? {
          remedy: old
            ? "systemd.unified_cgroup_hierarchy=1 (on the kernel's command line)"
            : "a kernel of 5.19 or newer",
        }
      : {}),
  });
}

function checkCompaction(facts: PrerequisiteFacts, needed: boolean): Check {
  const title = "compaction";
  if (facts.compactMemory === "ok" && facts.freeBlocks === "ok") {
    return checkOf("compaction", title, needed, {
      state: "ok",
      observed: "compact_memory and pagetypeinfo can be used",
    });
  }
  const files = [
    facts.compactMemory === "ok" ? null : `/proc/sys/vm/compact_memory ${facts.compactMemory}`,
    facts.freeBlocks === "ok" ? null : `/proc/pagetypeinfo ${facts.freeBlocks}`,
  ].filter((text) => text !== null);
  const absent = facts.compactMemory === "missing" || facts.freeBlocks === "missing";
  return checkOf("compaction", title, needed, {
    state: wrong(needed),
    observed: files.join(", "),
    remedy: absent
      ? "CONFIG_COMPACTION=y (in the kernel's configuration), or disabled = true under [compact]"
      : runAsRoot,
  });
}

/** Judges what was seen: every check, in the order in which a person would fix them. Pure. */
export function judgePrerequisites(
  facts: PrerequisiteFacts,
  settings: PrerequisiteSettings,
  when: JudgedWhen = "before_setup",
): readonly Check[] {
  const memcg = !settings.memcg.disabled;
  const compact = !settings.compact.disabled;
  const choice = chooseBackend(facts, settings.memcg.backend, when);
  const lruGen = lruGenCase(facts, settings, choice, when);
  return [
    checkRoot(facts, memcg || compact),
    checkCgroup(facts, memcg),
    checkPressure(facts, memcg || compact),
    checkDebugfs(lruGen),
    checkLruGen(lruGen),
    checkMemoryReclaim(facts, settings, choice),
    checkCompaction(facts, compact),
  ];
}

/** One line for a check that fails: *cannot start: <what>: <state>; <what to do>*. */
export function problemOf(check: Check): string {
  return `${check.title}: ${check.observed}${check.remedy === null ? "" : `; ${check.remedy}`}`;
}

/** What was fixed is logged here. */
export type PrerequisiteLog = Pick<Logger, "info" | "warn">;

/**
 * Mounts debugfs where it is not mounted and switches lru_gen on (7) where it is off, and says so in the log, then reads
 * them again. Does nothing for a feature that is disabled, or where memory_reclaim was asked for. With `look` nothing is fixed.
 *
 * @returns what was found afterwards, and the backend that follows from it (null with memcg disabled).
 * @throws Fault `missing` with one problem for each prerequisite that an enabled feature lacks.
 */
export function meetPrerequisites(
  root: string,
  settings: PrerequisiteSettings,
  log: PrerequisiteLog,
  fixing: "fix" | "look" = "fix",
): { readonly facts: PrerequisiteFacts; readonly choice: BackendChoice } {
  const facts = fixing === "fix" ? setUpPrerequisites(root, settings, log) : readPrerequisiteFacts(root);
  const problems = judgePrerequisites(facts, settings, "after_setup")
    .filter((check) => check.state === "failure" && check.needed)
    .map(problemOf);
  if (problems.length > 0) {
    const count = problems.length === 1 ? "a prerequisite is" : `${problems.length} prerequisites are`;
    throw new Fault("missing", `cannot start: ${count} missing; see \`mem-agent doctor\``, { problems });
  }
  return { facts, choice: chooseBackend(facts, settings.memcg.backend, "after_setup") };
}

/**
 * Mounts debugfs where it is not mounted, switches lru_gen on where it is off, says so in the log, and returns what is
 * there now. What cannot be fixed is logged and left to the judge.
 */
export function setUpPrerequisites(
  root: string,
  settings: PrerequisiteSettings,
  log: PrerequisiteLog,
): PrerequisiteFacts {
  const facts = readPrerequisiteFacts(root);
  if (settings.memcg.disabled || settings.memcg.backend === "memory_reclaim" || facts.lruGenMask === null) return facts;
  // The host's switches are not a container's to turn.
  if (facts.cgroup?.view === "namespace") return facts;
  const mounted = facts.debugfs === "not_mounted" && attempt(log, () => mountDebugfs(root), "mounted debugfs");
  const switched =
    !isLruGenOn(facts.lruGenMask) &&
    attempt(log, () => writeEnabled(root, lruGenEnabledAll), `switched lru_gen on (${lruGenEnabledAll})`);
  return mounted || switched ? readPrerequisiteFacts(root) : facts;
}

function attempt(log: PrerequisiteLog, act: () => void, done: string): boolean {
  try {
    act();
    log.info(done);
    return true;
  } catch (error) {
    log.warn(messageOf(error));
    return false;
  }
}
