/**
 * A cgroup that reads its file again and again, just when it has become cold, beside one that never does: by age alone the
 * first is evicted each time; priced by what came back it is left alone. Both in guests of their own, at the same time.
 *
 * The experiment takes six minutes, and a fifth of that where all its times and sizes are a fifth. In full:
 *
 *     MEM_AGENT_GUEST_LONG=true bun test ./tests/guest/refaults.test.ts
 */
import { expect, test } from "bun:test";
import type { TargetStatus } from "../../src/agent/status.ts";
import { messageOf } from "../../src/base/fault.ts";
import { agentFiles, coldCache, GuestAgent, joining, usageBytes } from "./harness/agent.ts";
import { Guest } from "./harness/guest.ts";
import { kernelsOf, type KernelName } from "./harness/kernels.ts";

interface Experiment {
  readonly periodSecs: number;
  readonly readEverySecs: number;
  readonly fileMiB: number;
  readonly lengthSecs: number;
}

/** Nothing is evicted before the third aging: six minutes from then on. */
const full: Experiment = { periodSecs: 5, readEverySecs: 40, fileMiB: 300, lengthSecs: 15 + 360 };
const fifth: Experiment = { periodSecs: 1, readEverySecs: 8, fileMiB: 60, lengthSecs: 3 + 72 };

interface Arm {
  readonly name: string;
  readonly refaultPercentLimit: number;
}

const byAge: Arm = { name: "by age alone", refaultPercentLimit: 0 };
const priced: Arm = { name: "priced", refaultPercentLimit: 0.2 };

interface Result {
  readonly busy: TargetStatus;
  readonly refaultedMiB: number;
  readonly idleLeftMiB: number;
}

const mib = 2 ** 20;
const pagesOfMib = 256;

async function measure(guest: Guest, arm: Arm, experiment: Experiment): Promise<Result> {
  const { periodSecs, readEverySecs, fileMiB, lengthSecs } = experiment;
  await coldCache(guest, "idle", fileMiB);
  await coldCache(guest, "busy", fileMiB);
  const again = `while :; do workload read /data/busy 1 & sleep ${readEverySecs}; done`;
  await using agent = await GuestAgent.serve(
    guest,
    `--memcg-period-secs ${periodSecs} --memcg-spread-percent 0 --compact-disabled true ` +
      "--memcg-period-psi-percent-limit 100 --memcg-eviction-psi-percent-limit 100 " +
      `--memcg-refault-percent-limit ${arm.refaultPercentLimit}`,
  );
  const reader = await guest.spawn(`${joining("busy")} && ${again}`);
  await Bun.sleep(lengthSecs * 1000);
  const refaulted = /^workingset_refault_file (\d+)$/m.exec(await guest.read("/sys/fs/cgroup/busy/memory.stat"))?.[1];
  const result = {
    busy: await agent.target("/busy"),
    refaultedMiB: Number(refaulted) / pagesOfMib,
    idleLeftMiB: (await usageBytes(guest, "idle")) / mib,
  };
  await reader.kill("KILL");
  expect(await agent.stop()).toBe(0);
  return result;
}

async function inGuest(kernel: KernelName, arm: Arm, experiment: Experiment): Promise<Result> {
  const { fileMiB } = experiment;
  await using guest = await Guest.boot({
    kernel,
    cpus: 1,
    memoryMiB: 384 + 2 * fileMiB,
    diskMiB: 64 + 2 * fileMiB,
    files: await agentFiles(),
  });
  try {
    return await measure(guest, arm, experiment);
  } catch (error) {
    console.error(`guest: console and dmesg in ${await guest.keepEvidence(messageOf(error))}`);
    throw error;
  }
}

function table(kernel: KernelName, rows: readonly (readonly [Arm, Result])[]): string {
  const lines = rows.map(([{ name }, { busy, refaultedMiB, idleLeftMiB }]) =>
    [
      kernel,
      name,
      busy.evictions,
      busy.ends.refaults,
      (busy.evicted_bytes.file_bytes / mib).toFixed(0),
      refaultedMiB.toFixed(0),
      idleLeftMiB.toFixed(0),
    ].join(" | "),
  );
  return [
    "| kernel | evictions | of the busy cgroup | sat out | MiB evicted | MiB came back | MiB left of the idle one |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ...lines.map((line) => `| ${line} |`),
  ].join("\n");
}

const isLong = process.env["MEM_AGENT_GUEST_LONG"] === "true";

for (const kernel of kernelsOf({ kernels: ["6.12", "7.2"] }, process.env)) {
  test(`${kernel}: what always comes back is left alone, what is idle is not`, async () => {
    const experiment = isLong ? full : fifth;
    const [aged, learnt] = await Promise.all([inGuest(kernel, byAge, experiment), inGuest(kernel, priced, experiment)]);
    console.log(
      table(kernel, [
        [byAge, aged],
        [priced, learnt],
      ]),
    );
    expect(aged.busy.evictions).toBeGreaterThanOrEqual(6);
    expect(aged.busy.ends.refaults).toBe(0);
    // One return of the file may follow upon several evictions of its parts.
    expect(learnt.busy.evicted_bytes.file_bytes).toBeLessThan(3 * experiment.fileMiB * mib);
    expect(learnt.busy.ends.refaults).toBeGreaterThan(0);
    expect(learnt.refaultedMiB).toBeLessThanOrEqual(aged.refaultedMiB / 4);
    for (const { idleLeftMiB } of [aged, learnt]) expect(idleLeftMiB).toBeLessThan(experiment.fileMiB * 0.1);
  }, 600_000);
}
