/** The agent inside a guest, as a person would start it, ask it and stop it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { AgentStatus, MemcgStatus, RunReport, TargetStatus } from "../../../src/agent/status.ts";
import type { Guest, GuestProcess, UntilOptions } from "./guest.ts";
import { chosenKernels, type KernelName } from "./kernels.ts";
import { workloadFiles } from "./workload.ts";

export const binary = join(import.meta.dir, "../../../dist/mem-agent");

/** For `Guest.boot({ files })`: the binary in the search path, and the workload. */
export async function agentFiles(): Promise<Readonly<Record<string, string>>> {
  if (!existsSync(binary)) throw new Error(`cannot bring the agent: ${binary} is not there; npm run build`);
  return { "/usr/bin/mem-agent": binary, ...(await workloadFiles()) };
}

export class GuestAgent implements AsyncDisposable {
  readonly guest: Guest;
  readonly process: GuestProcess;

  private constructor(guest: Guest, process: GuestProcess) {
    this.guest = guest;
    this.process = process;
  }

  /** Starts `mem-agent serve` with these flags, through `launcher`'s words if any, and resolves when it answers. */
  static async serve(guest: Guest, flags: string, launcher = ""): Promise<GuestAgent> {
    const process = await guest.spawn(`exec ${launcher} mem-agent serve ${flags}`);
    const agent = new GuestAgent(guest, process);
    const ended = process.exited.then((answer) => `${answer.status}: ${answer.stderr}`);
    await guest.until(
      async () => {
        const early = await Promise.race([ended, Bun.sleep(0).then(() => null)]);
        if (early !== null) throw new Error(`mem-agent serve ended with ${early}`);
        return (await guest.run("mem-agent status --json")).status === 0;
      },
      { deadlineMs: 30_000, what: "the agent answer" },
    );
    return agent;
  }

  async json<T>(command: string): Promise<T> {
    return JSON.parse(await this.guest.sh(`mem-agent ${command} --json`)) as T;
  }

  status(): Promise<AgentStatus> {
    return this.json("status");
  }

  memcg(): Promise<MemcgStatus> {
    return this.json("memcgstatus");
  }

  run(what: "memcg" | "compact", flags = ""): Promise<RunReport> {
    return this.json(`run ${what} ${flags}`);
  }

  async target(path: string, node = 0): Promise<TargetStatus> {
    const found = await this.find(path, node);
    if (found === null) throw new Error(`the agent does not know ${path} on node ${node}`);
    return found;
  }

  /** As `target`, null while the agent does not know it. */
  async find(path: string, node = 0): Promise<TargetStatus | null> {
    return (await this.memcg()).targets.find((target) => target.path === path && target.node === node) ?? null;
  }

  /** Waits until the target is as wanted, and returns it. */
  async untilTarget(
    path: string,
    wanted: (target: TargetStatus) => boolean,
    until: UntilOptions,
    node = 0,
  ): Promise<TargetStatus> {
    return await this.guest.until(async () => {
      const target = await this.find(path, node);
      return target !== null && wanted(target) ? target : null;
    }, until);
  }

  /** SIGTERM; the exit status. */
  async stop(): Promise<number> {
    await this.process.kill("TERM");
    return (await this.process.exited).status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.kill("KILL").catch(() => null);
  }
}

const cgroupRoot = "/sys/fs/cgroup";

/** The first of the chosen kernels: for what does not differ between kernels. */
export const firstKernel: readonly KernelName[] = chosenKernels(process.env).slice(0, 1);

/** Bytes that a cgroup and its children use. */
export async function usageBytes(guest: Guest, name: string): Promise<number> {
  return Number(await guest.read(`${cgroupRoot}/${name}/memory.current`));
}

/** Bytes of a cgroup and its children that are in swap. */
export async function swapBytes(guest: Guest, name: string): Promise<number> {
  return Number(await guest.read(`${cgroupRoot}/${name}/memory.swap.current`));
}

/** Words that make the shell they stand in a member of the cgroup, which is made where it is not there. */
export function joining(name: string, hierarchy = cgroupRoot): string {
  return `mkdir -p ${hierarchy}/${name} && echo $$ >${hierarchy}/${name}/cgroup.procs`;
}

export interface CacheOptions {
  /** Mount point of the memory hierarchy. */
  readonly hierarchy?: string;
  /** Name of the file under /data; the cgroup's otherwise. */
  readonly file?: string;
  /** The processor to write it on, and so the node whose memory it takes. */
  readonly cpu?: number;
}

/** Makes a cgroup and fills the page cache from a new file, charged to it. */
export async function coldCache(guest: Guest, name: string, mib: number, options: CacheOptions = {}): Promise<void> {
  const { hierarchy = cgroupRoot, file = name, cpu } = options;
  const pinned = cpu === undefined ? "" : `taskset ${(1 << cpu).toString(16)} `;
  const write = `exec ${pinned}dd if=/dev/zero of=/data/${file} bs=1M count=${mib} 2>/dev/null`;
  await guest.sh(`sh -c '${joining(name, hierarchy)} && ${write}' && sync`, { timeoutMs: 180_000 });
}

/** A process in the cgroup that reads its own file all the time. */
export async function hotCache(guest: Guest, name: string, mib: number): Promise<GuestProcess> {
  await coldCache(guest, name, mib);
  return guest.spawn(`${joining(name)} && exec workload read /data/${name} 0`);
}

/** Anonymous memory in the cgroup that nobody touches, and that can tell whether it is still what it was. */
export class HeldMemory {
  readonly #guest: Guest;
  readonly #process: GuestProcess;
  readonly #orders: string;

  private constructor(guest: Guest, process: GuestProcess, orders: string) {
    this.#guest = guest;
    this.#process = process;
    this.#orders = orders;
  }

  static async hold(guest: Guest, name: string, mib: number): Promise<HeldMemory> {
    const orders = `/run/held-${name}`;
    const held = await guest.spawn(`${joining(name)} && exec workload hold ${mib} ${orders}`);
    await guest.until(async () => (await held.stdout()).includes("held"), {
      deadlineMs: 60_000,
      what: `${mib} MiB held`,
    });
    return new HeldMemory(guest, held, orders);
  }

  /** Reads all of it back: `verified`, or `broken` with the first page that is not what it was. */
  async verify(): Promise<string> {
    await this.#guest.sh(`echo verify >${this.#orders}`);
    return await this.#guest.until(
      async () => /^(verified|broken \d+)$/m.exec(await this.#process.stdout())?.[0] ?? null,
      { deadlineMs: 60_000, what: "the held memory read back" },
    );
  }

  async free(): Promise<void> {
    await this.#guest.sh(`echo quit >${this.#orders}`);
    await this.#process.exited;
  }
}
