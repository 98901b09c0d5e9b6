/** The agent inside a guest, as a person would start it, ask it and stop it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { AgentStatus, MemcgStatus, RunReport, TargetStatus } from "../../../src/agent/status.ts";
import type { Guest, GuestProcess } from "./guest.ts";
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

  /** Starts `mem-agent serve` with these flags, and resolves when it answers. */
  static async serve(guest: Guest, flags: string): Promise<GuestAgent> {
    const process = await guest.spawn(`exec mem-agent serve ${flags}`);
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
    const found = (await this.memcg()).targets.find((target) => target.path === path && target.node === node);
    if (found === undefined) throw new Error(`the agent does not know ${path} on node ${node}`);
    return found;
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

/** Bytes that a cgroup and its children use. */
export async function usageBytes(guest: Guest, name: string): Promise<number> {
  return Number(await guest.read(`${cgroupRoot}/${name}/memory.current`));
}

/** Makes a cgroup and fills the page cache from a new file, charged to it. */
export async function coldCache(guest: Guest, name: string, mib: number): Promise<void> {
  await guest.sh(
    `mkdir -p ${cgroupRoot}/${name} && ` +
      `sh -c 'echo $$ >${cgroupRoot}/${name}/cgroup.procs && exec dd if=/dev/zero of=/data/${name} bs=1M count=${mib} 2>/dev/null' && sync`,
    { timeoutMs: 180_000 },
  );
}

/** A process in the cgroup that reads its own file all the time. */
export async function hotCache(guest: Guest, name: string, mib: number): Promise<GuestProcess> {
  await coldCache(guest, name, mib);
  return guest.spawn(`echo $$ >${cgroupRoot}/${name}/cgroup.procs; exec workload read /data/${name} 0`);
}
