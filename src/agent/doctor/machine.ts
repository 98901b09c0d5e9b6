/**
 * What `doctor` says of kernel and machine: the prerequisites, and what makes the agent work well or less well. Nothing
 * in this file keeps the agent from starting; that is all in prerequisites.ts.
 */
import { vsockPort } from "../../base/address.ts";
import { bytesText } from "../../base/units.ts";
import { readDoctorFacts, type DoctorFacts } from "./machine-facts.ts";
import { refaultSourceOf } from "../../core/refault.ts";
import { readPrerequisiteFacts, type PrerequisiteFacts } from "./facts.ts";
import { chooseBackend, isLruGenOn, type BackendChoice } from "./backend-choice.ts";
import { checkOf, runAsRoot, type Check, type Found } from "./check.ts";
import { judgePrerequisites, type PrerequisiteSettings } from "./prerequisites.ts";

/** The VM's side of free page reporting: it has to be switched on there. */
const balloonRemedy = [
  "QEMU: -device virtio-balloon-pci,free-page-reporting=on",
  "libvirt: <memballoon model='virtio' freePageReporting='on'/>",
  "Cloud Hypervisor: --balloon size=0,free_page_reporting=on",
  'Firecracker (1.14): PUT /balloon {"amount_mib":0,"deflate_on_oom":true,"free_page_reporting":true}',
].join("\n");

function judgeKernel({ release, lruGenIds, isVirtual }: DoctorFacts): Found {
  const ids = { numbers: "lru_gen ids are numbers of its own", inodes: "lru_gen ids are inodes" };
  const parts = [
    release === null ? "release unknown" : `Linux ${release.release}`,
    lruGenIds === null ? null : ids[lruGenIds],
    isVirtual === null ? null : isVirtual ? "virtual machine" : "no virtual machine",
  ];
  return { state: "info", observed: parts.filter((part) => part !== null).join(", ") };
}

/** Every kernel takes a window of this length; where only longer ones are taken, a capability is lacking. */
const windowMsMax = 1000;

function judgePressureWindow({ triggerWindowMs }: DoctorFacts, pressure: PrerequisiteFacts["pressure"]): Found {
  if (pressure.state === "absent") return { state: "info", observed: "none without pressure" };
  if (triggerWindowMs === null) {
    const observed = "cannot be armed: evictions are stopped by the totals alone";
    return { state: "warning", observed, remedy: runAsRoot };
  }
  const observed = `shortest window that is taken: ${triggerWindowMs} ms`;
  if (triggerWindowMs <= windowMsMax) return { state: "ok", observed };
  return {
    state: "warning",
    observed,
    remedy: "AmbientCapabilities=CAP_SYS_RESOURCE (in the unit's [Service] section)",
  };
}

function judgeCgroupPressure({ cgroupPressure }: DoctorFacts, prerequisites: PrerequisiteFacts): Found {
  if (prerequisites.pressure.state === "absent") return { state: "info", observed: "none without pressure" };
  if (cgroupPressure === null) return { state: "info", observed: "there is no cgroup to check" };
  const { path, source } = cgroupPressure;
  if (source === path) return { state: "ok", observed: "each cgroup has its own" };
  const standIn = source === "system" ? "the whole system's" : `that of ${source}`;
  return {
    state: "warning",
    observed: `${path} has none of its own; ${standIn} stands in`,
    remedy:
      prerequisites.cgroup?.version === 1
        ? "systemd.unified_cgroup_hierarchy=1 (on the kernel's command line)"
        : `echo 1 > ${prerequisites.cgroup?.path ?? "/sys/fs/cgroup"}${path}/cgroup.pressure`,
  };
}

const zramLine = "modprobe zram && echo 1G > /sys/block/zram0/disksize && mkswap /dev/zram0 && swapon /dev/zram0";
/** With less than this share of it free, swap is as good as full. */
const swapFreeShareMin = 0.05;

function judgeSwap({ swap }: DoctorFacts, { memcg }: PrerequisiteSettings): Found {
  if (swap === null) return { state: "info", observed: "unknown" };
  const { totalBytes, freeBytes } = swap;
  const wanted = memcg.swap && !memcg.disabled;
  const size =
    totalBytes === 0 ? "none" : `${bytesText(totalBytes)}, free ${Math.round((freeBytes / totalBytes) * 100)} %`;
  if (!wanted) return { state: "info", observed: `${size}; not used while memcg.swap is false` };
  if (totalBytes > 0 && freeBytes >= totalBytes * swapFreeShareMin) return { state: "ok", observed: size };
  return { state: "warning", observed: `${size}; anonymous pages have nowhere to go`, remedy: zramLine };
}

function judgeReclaimSwappiness({ reclaimSwappiness }: DoctorFacts, choice: BackendChoice): Found {
  if (reclaimSwappiness === null) return { state: "info", observed: "not tried" };
  if (reclaimSwappiness) return { state: "ok", observed: "memory.reclaim takes swappiness=" };
  const observed = "memory.reclaim takes no swappiness=, which came with Linux 6.10";
  if (choice.backend !== "memory_reclaim") return { state: "info", observed };
  return { state: "warning", observed, remedy: "use a kernel of 6.10 or newer, or one with lru_gen" };
}

function judgePageReporting({ reportingOrder, balloons, isVirtual }: DoctorFacts): Found {
  const reporter = balloons.find((balloon) => balloon.reports);
  if (reporter !== undefined) {
    const blocks = reportingOrder === null ? "free blocks" : `free blocks of order ${reportingOrder} and larger`;
    return { state: "ok", observed: `${reporter.name} reports ${blocks} to the host` };
  }
  if (balloons.some((balloon) => !balloon.hasDriver)) {
    return { state: "warning", observed: "there is a balloon without a driver", remedy: "modprobe virtio_balloon" };
  }
  if (balloons.length > 0) {
    const observed = "the balloon does not report: the host keeps what the guest frees";
    return { state: "warning", observed, remedy: balloonRemedy };
  }
  if (isVirtual === false) return { state: "info", observed: "no virtual machine: what is freed is free" };
  return { state: "warning", observed: "no balloon: the host keeps what the guest frees", remedy: balloonRemedy };
}

/** The largest order that the settings take. */
const orderMax = 10;

function judgeCompactOrder({ reportingOrder }: DoctorFacts, { compact }: PrerequisiteSettings): Found {
  if (compact.disabled) return { state: "info", observed: "compaction is disabled" };
  if (reportingOrder === null) return { state: "info", observed: `order ${compact.order}; nothing is reported` };
  const observed = `order ${compact.order}; reported are blocks from order ${reportingOrder} on`;
  if (compact.order >= reportingOrder || compact.order >= orderMax) return { state: "ok", observed };
  return { state: "warning", observed, remedy: `order = ${Math.min(reportingOrder, orderMax)} (under [compact])` };
}

function judgeRefaults({ release }: DoctorFacts, { lruGenMask }: PrerequisiteFacts, choice: BackendChoice): Found {
  const lruGenOn = choice.backend === "lru_gen" || (lruGenMask !== null && isLruGenOn(lruGenMask));
  if (release !== null && refaultSourceOf(release, lruGenOn) === "refaults") {
    return { state: "ok", observed: "counted by the kernel" };
  }
  return { state: "info", observed: "not counted reliably by this kernel; the io stall of a cgroup stands in" };
}

/** More than that is hardly ever used of what is read, and stays in the page cache. */
const readAheadKibMax = 512;

function judgeReadAhead({ readAhead }: DoctorFacts): Found {
  if (readAhead === null) return { state: "info", observed: "unknown for the disk that holds the executable" };
  const { disk, kib } = readAhead;
  const observed = `${bytesText(kib * 1024)} on ${disk}, which holds the executable`;
  if (kib <= readAheadKibMax) return { state: "ok", observed };
  return {
    state: "warning",
    observed: `${observed}: each start and many commands read up to 100 MiB of it into the page cache`,
    remedy: `ACTION=="add|change", KERNEL=="${disk}", ATTR{queue/read_ahead_kb}="128" (in /etc/udev/rules.d/60-read-ahead.rules)`,
  };
}

/** VMADDR_CID_HOST */
const hostCid = 2;

/** The VM's side of vsock. The id is the host's choice, from 3 on, another for each guest. */
const vsockRemedy = [
  "QEMU: -device vhost-vsock-pci,guest-cid=3",
  "libvirt: <vsock model='virtio'><cid auto='yes'/></vsock>",
  "Cloud Hypervisor: --vsock cid=3,socket=/run/vm/v.sock",
  'Firecracker: PUT /vsock {"guest_cid":3,"uds_path":"/run/vm/v.sock"}',
  "Kata Containers: each sandbox has one",
].join("\n");

function judgeVsock({ cid, isVirtual }: DoctorFacts): Found {
  if (cid !== null) {
    if (cid === hostCid) return { state: "info", observed: "this machine is a host: it reaches guests by vsock" };
    const observed = `context id ${cid}: with control.vsock = "vsock://:${vsockPort}" the host reaches this agent at vsock://${cid}:${vsockPort}`;
    return { state: "ok", observed };
  }
  if (isVirtual === false) return { state: "info", observed: "none; no virtual machine" };
  const observed = "none: the host cannot reach this agent; the VM option that adds it:";
  return { state: "info", observed, remedy: vsockRemedy };
}

/** Judges what was seen beyond the prerequisites. Pure. */
export function judgeMachine(
  facts: DoctorFacts,
  prerequisites: PrerequisiteFacts,
  settings: PrerequisiteSettings,
): readonly Check[] {
  const choice = chooseBackend(prerequisites, settings.memcg.backend);
  const found: readonly (readonly [key: string, title: string, found: Found])[] = [
    ["pressure_window", "pressure triggers", judgePressureWindow(facts, prerequisites.pressure)],
    ["cgroup_pressure", "pressure of cgroups", judgeCgroupPressure(facts, prerequisites)],
    ["reclaim_swappiness", "reclaim swappiness", judgeReclaimSwappiness(facts, choice)],
    ["refaults", "refaults", judgeRefaults(facts, prerequisites, choice)],
    ["swap", "swap", judgeSwap(facts, settings)],
    ["page_reporting", "free page reporting", judgePageReporting(facts)],
    ["compact_order", "compaction order", judgeCompactOrder(facts, settings)],
    ["read_ahead", "readahead", judgeReadAhead(facts)],
    ["vsock", "vsock", judgeVsock(facts)],
    ["kernel", "kernel", judgeKernel(facts)],
  ];
  return found.map(([key, title, each]) => checkOf(key, title, false, each));
}

export interface Examination {
  readonly checks: readonly Check[];
  readonly choice: BackendChoice;
}

/** Looks at the machine under `root` and says what is well and what is not. Throws nothing, changes nothing. */
export function examine(root: string, settings: PrerequisiteSettings): Examination {
  const prerequisites = readPrerequisiteFacts(root);
  return {
    checks: [
      ...judgePrerequisites(prerequisites, settings),
      ...judgeMachine(readDoctorFacts(root), prerequisites, settings),
    ],
    choice: settings.memcg.disabled
      ? { backend: null, why: "memcg is disabled by the settings" }
      : chooseBackend(prerequisites, settings.memcg.backend),
  };
}
