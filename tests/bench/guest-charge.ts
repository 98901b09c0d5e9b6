/**
 * What a guest pays for the agent, as the guest's own kernel counts it: the agent alone in a cgroup, started with
 * nothing of it in the page cache, as after a boot. RSS leaves out what readahead brought and nobody mapped.
 */
import type { Guest, GuestProcess } from "../guest/harness/guest.ts";

export const agentCgroup = "/sys/fs/cgroup/agent-alone";
const commandCgroup = "/sys/fs/cgroup/command-alone";
/** A copy of the agent's file, for questions that must not bring the agent's own file into the page cache. */
const asker = "/usr/bin/mem-agent-copy";

export interface Charge {
  readonly currentMib: number;
  readonly anonMib: number;
  readonly fileMib: number;
  /** Of the file pages those that a process has mapped. */
  readonly mappedMib: number;
  readonly kernelMib: number;
  /** What the agent read from disks so far. */
  readonly readMib: number;
  readonly memFreeMib: number;
}

const bytesPerMib = 2 ** 20;

/** What a cgroup is charged with now, and for the agent's what `pid` read. */
export async function chargeOf(guest: Guest, cgroup: string, pid: number | "self" = "self"): Promise<Charge> {
  const text = await guest.sh(
    `cd ${cgroup} && echo current $(cat memory.current) && cat memory.stat && grep ^read_bytes /proc/${pid}/io | tr -d : && ` +
      `grep ^MemFree /proc/meminfo | tr -d :`,
  );
  const field = (name: string): number => Number(new RegExp(`^${name}\\s+(\\d+)`, "m").exec(text)?.[1]) / bytesPerMib;
  return {
    currentMib: field("current"),
    anonMib: field("anon"),
    fileMib: field("file"),
    mappedMib: field("file_mapped"),
    kernelMib: field("kernel"),
    readMib: field("read_bytes"),
    memFreeMib: field("MemFree") * 1024,
  };
}

/** `memory.peak` came with 5.19. */
export async function peakMib(guest: Guest): Promise<number> {
  return Number(await guest.sh(`cat ${agentCgroup}/memory.peak`)) / bytesPerMib;
}

export function chargeText({ currentMib, anonMib, fileMib, mappedMib, kernelMib, readMib }: Charge): string {
  const [current, anon, file, mapped, kernel, read] = [currentMib, anonMib, fileMib, mappedMib, kernelMib, readMib].map(
    (mib) => mib.toFixed(1),
  );
  return `${current} MiB (anon ${anon}, file ${file} of which mapped ${mapped}, kernel ${kernel}; read ${read})`;
}

/** Makes the cgroups and the copy, and empties the page cache. */
export async function prepareAlone(guest: Guest): Promise<void> {
  await guest.sh(
    `echo +memory >/sys/fs/cgroup/cgroup.subtree_control; mkdir -p ${agentCgroup} ${commandCgroup} && ` +
      `cp /usr/bin/mem-agent ${asker} && sync && echo 3 >/proc/sys/vm/drop_caches && sleep 1 && echo 3 >/proc/sys/vm/drop_caches`,
    { timeoutMs: 120_000 },
  );
}

/** Starts the agent in its cgroup and resolves when it says that it has started; asks it nothing. */
export async function serveAlone(guest: Guest, flags: string): Promise<GuestProcess> {
  const agent = await guest.spawn(`echo $$ >${agentCgroup}/cgroup.procs && exec mem-agent serve ${flags}`);
  await guest.until(async () => / started /.test(` ${await agent.stderr()} `), {
    deadlineMs: 60_000,
    what: "the agent's start",
  });
  return agent;
}

/** A command of the agent's that leaves the page cache of the agent's own file as it is. */
export async function askAside(guest: Guest, command: string): Promise<string> {
  return await guest.sh(`${asker} ${command}`, { timeoutMs: 120_000 });
}

export interface CommandCost {
  /** What it left in the page cache: in its own cgroup, and what the agent's was charged with meanwhile. */
  readonly leftMib: number;
  readonly readMib: number;
}

/** Runs a control command from a cgroup of its own, and waits for what is let go after it. */
export async function commandCost(guest: Guest, command: string, settleMs: number): Promise<CommandCost> {
  const before = [await chargeOf(guest, commandCgroup), await chargeOf(guest, agentCgroup)] as const;
  const sectors = async (): Promise<number> =>
    Number((await guest.sh("cat /sys/block/vda/stat")).trim().split(/\s+/)[2]);
  const sectorsBefore = await sectors();
  await guest.sh(`echo $$ >${commandCgroup}/cgroup.procs && exec mem-agent ${command} >/dev/null`);
  const read = (await sectors()) - sectorsBefore;
  await Bun.sleep(settleMs);
  const after = [await chargeOf(guest, commandCgroup), await chargeOf(guest, agentCgroup)] as const;
  return {
    leftMib: after[0].fileMib - before[0].fileMib + after[1].fileMib - before[1].fileMib,
    readMib: (read * 512) / bytesPerMib,
  };
}
