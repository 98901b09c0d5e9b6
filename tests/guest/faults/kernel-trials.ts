/** What somebody else does to the kernel's switches, file systems, swap and clock. */
import { HeldMemory, swapBytes } from "../harness/agent.ts";
import { cgroupRoot, demand, type Scene, type Trial } from "./trial.ts";

const mib = 2 ** 20;
const yearSecs = 365 * 24 * 3600;

export const kernelTrials: readonly Trial[] = [
  {
    fault: "lru_gen switched off and on",
    expected: "one warning, said once; after three periods memory.reclaim stands in; lru_gen again when it is on",
    run: switchedOff,
  },
  {
    fault: "debugfs unmounted and mounted again",
    expected: "the open file goes on working; nothing is said",
    run: unmounted,
  },
  {
    fault: "lru_gen off and debugfs unmounted, then both back",
    expected: "one warning; memory.reclaim stands in; lru_gen again when both are back",
    run: unmountedAndOff,
  },
  {
    fault: "swap switched off in the middle of an eviction, and on again",
    expected: "no memory is lost; file cache goes on, anonymous memory when swap is back",
    run: withoutSwap,
  },
  {
    fault: "pressure files of a cgroup hidden while it is a target (cgroup.pressure 0) and shown again",
    expected: "the nearest parent's stand in, then its own again",
    run: hiddenPressure,
  },
  {
    fault: "wall clock set a year ahead, and back",
    expected: "runs keep their pace: no burst, no pause",
    run: steppedClock,
  },
];

/** Waits until cold memory is found in this way. */
async function foundBy(scene: Scene, backend: "lru_gen" | "memory_reclaim"): Promise<void> {
  await scene.until(({ memcg, warnings }) => memcg.backend === backend && warnings.length === 0, {
    deadlineMs: 30_000,
    what: `cold memory found by ${backend}`,
  });
}

async function switchedOff(scene: Scene): Promise<string> {
  const { guest } = scene;
  await scene.complaints();
  await guest.sh("echo 0 >/sys/kernel/mm/lru_gen/enabled");
  const { message } = await scene.until(({ warnings }) => warnings[0] ?? null, {
    deadlineMs: 20_000,
    what: "a warning that lru_gen is off",
  });
  await foundBy(scene, "memory_reclaim");
  await scene.moreRuns(1);
  const complaints = await scene.complaints();
  demand(complaints.length === 1, `${complaints.length} lines: ${complaints.join(" // ")}`);
  await guest.sh("echo 7 >/sys/kernel/mm/lru_gen/enabled");
  await foundBy(scene, "lru_gen");
  return `"${message.slice(0, 80)}", one line; memory.reclaim; lru_gen`;
}

async function unmounted(scene: Scene): Promise<string> {
  const { guest } = scene;
  await guest.sh("umount -l /sys/kernel/debug");
  await scene.moreRuns(2);
  const { warnings } = await scene.status();
  await guest.sh("mount -t debugfs debugfs /sys/kernel/debug");
  demand(warnings.length === 0, `warning: ${warnings[0]?.message}`);
  return "2 runs without the mount, no warning";
}

async function unmountedAndOff(scene: Scene): Promise<string> {
  const { guest } = scene;
  await scene.complaints();
  await guest.sh("echo 0 >/sys/kernel/mm/lru_gen/enabled; umount -l /sys/kernel/debug");
  await foundBy(scene, "memory_reclaim");
  await guest.sh("echo 7 >/sys/kernel/mm/lru_gen/enabled");
  await scene.moreRuns(2);
  const { backend } = (await scene.status()).memcg;
  await guest.sh(
    "mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null || grep -q ' /sys/kernel/debug debugfs' /proc/mounts",
  );
  await foundBy(scene, "lru_gen");
  const lines = await scene.complaints();
  demand(lines.length <= 2, `${lines.length} lines: ${lines.join(" // ")}`);
  return `memory_reclaim; lru_gen on: ${backend}; debugfs back: lru_gen; ${lines.length} lines`;
}

async function withoutSwap(scene: Scene): Promise<string> {
  const { guest } = scene;
  const held = await HeldMemory.hold(guest, "swapping", 96);
  const gone = await guest.sh(
    `tries=0
    until [ "$(cat ${cgroupRoot}/swapping/memory.swap.current)" -gt ${8 * mib} ] || [ $tries -gt 5000 ]; do tries=$((tries + 1)); done
    cat ${cgroupRoot}/swapping/memory.swap.current; swapoff /dev/zram0`,
    { timeoutMs: 60_000 },
  );
  await scene.moreRuns(2);
  const verdict = await held.verify();
  demand(verdict === "verified", verdict);
  const left = await swapBytes(guest, "swapping");
  demand(left === 0, `${left} bytes in swap without swap`);
  await guest.sh("swapon /dev/zram0");
  await guest.until(async () => (await swapBytes(guest, "swapping")) > 16 * mib, {
    deadlineMs: 60_000,
    what: "anonymous memory swapped out again",
  });
  const again = await held.verify();
  demand(again === "verified", again);
  await held.free();
  await guest.sh(`rmdir ${cgroupRoot}/swapping`);
  return `off with ${Math.round(Number(gone) / mib)} of 96 MiB swapped: ${verdict}; on again: swapped again, ${again}`;
}

async function hiddenPressure(scene: Scene): Promise<string> {
  const { guest } = scene;
  const at = `${cgroupRoot}/hidden`;
  const source = async (): Promise<string | null | undefined> =>
    (await scene.targets()).find(({ path }) => path === "/hidden")?.pressure_source;
  const becomes = (wanted: string): Promise<true> =>
    guest.until(async () => (await source()) === wanted || null, { deadlineMs: 20_000, what: `pressure of ${wanted}` });
  await guest.sh(`mkdir ${at}`);
  if ((await guest.run(`test -e ${at}/cgroup.pressure`)).status !== 0) {
    await guest.sh(`rmdir ${at}`);
    return "this kernel has no cgroup.pressure";
  }
  await becomes("/hidden");
  await guest.sh(`echo 0 >${at}/cgroup.pressure`);
  await becomes("/");
  await guest.sh(`echo 1 >${at}/cgroup.pressure`);
  await becomes("/hidden");
  await guest.sh(`rmdir ${at}`);
  return "/hidden, then /, then /hidden";
}

async function steppedClock(scene: Scene): Promise<string> {
  const paces: number[] = [];
  for (const step of [yearSecs, -yearSecs]) {
    const before = await scene.status();
    await scene.guest.sh(`date -s "@$(($(date +%s) + ${step}))" >/dev/null`);
    await Bun.sleep(4000);
    const after = await scene.status();
    const runs = after.memcg.runs - before.memcg.runs;
    const secs = after.own.uptime_secs - before.own.uptime_secs;
    paces.push(runs / secs);
    demand(runs >= 1 && runs <= secs + 2, `${runs} runs in ${secs.toFixed(1)} s`);
    demand((after.memcg.next_run_secs ?? 0) <= 1.1, `next run in ${after.memcg.next_run_secs} s`);
  }
  return `${paces.map((pace) => pace.toFixed(2)).join(" and ")} runs a second`;
}
