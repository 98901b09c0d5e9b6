/** What goes on beside the agent during a soak, each until the time is over. Seeded: a soak can be had again. */
import { coldCache, joining } from "../harness/agent.ts";
import type { Guest, GuestProcess } from "../harness/guest.ts";

export const configPath = "/etc/soak.toml";
const cgroupRoot = "/sys/fs/cgroup";

export interface Activity {
  readonly name: string;
  readonly turn: (guest: Guest, random: () => number) => Promise<void>;
  readonly pauseMs: number;
  /** Ends what is still going on. */
  readonly end?: (guest: Guest) => Promise<void>;
}

/** A small seeded generator (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function oneOf<T>(values: readonly [T, ...T[]], random: () => number): T {
  return values[Math.floor(random() * values.length)] ?? values[0];
}

/** Fails for no other reason than the guest's end: what a command answers is the soak's business at its end. */
async function quietly(guest: Guest, script: string): Promise<void> {
  await guest.run(script, { timeoutMs: 120_000 });
}

const workloadsMax = 4;

/** Cgroups that are born, use memory in one of three ways, and die; names are used again. */
export function workloads(): Activity {
  const living: { readonly name: string; readonly process: GuestProcess | null }[] = [];
  let count = 0;
  const bury = async (guest: Guest): Promise<void> => {
    const oldest = living.shift();
    if (oldest === undefined) return;
    await oldest.process?.kill("KILL");
    await oldest.process?.exited;
    await quietly(guest, `rmdir ${cgroupRoot}/${oldest.name}; rm -f /data/${oldest.name}`);
  };
  return {
    name: "workloads",
    pauseMs: 2000,
    async turn(guest, random) {
      if (living.length >= workloadsMax) await bury(guest);
      const name = `soak${count++ % (workloadsMax + 2)}`;
      const kind = oneOf(["cold", "held", "hot"], random);
      if (kind !== "held") await coldCache(guest, name, 32 + Math.floor(random() * 64));
      const command =
        kind === "held" ? `workload hold 24 /run/${name}.fifo` : `workload read /data/${name} 0 >/dev/null`;
      const process = kind === "cold" ? null : await guest.spawn(`${joining(name)} && exec ${command}`);
      living.push({ name, process });
    },
    async end(guest) {
      for (let left = living.length; left > 0; left--) await bury(guest);
    },
  };
}

/** Settings through the socket, good ones and bad ones. */
export const settings: Activity = {
  name: "settings",
  pauseMs: 1500,
  turn: (guest, random) =>
    quietly(
      guest,
      `mem-agent ${oneOf(
        [
          `memcgset --memcg-swappiness-max ${Math.floor(random() * 200)}`,
          `memcgset --memcg-period-secs ${1 + Math.floor(random() * 3)}`,
          `memcgset --memcg-swap ${random() < 0.5}`,
          "memcgset --memcg-add path=/soak1,period-secs=2,swap=true",
          "memcgset --memcg-set path=/soak1,disabled=true",
          "memcgset --memcg-del path=/soak1",
          "memcgset --memcg-period-secs 0",
          `compactset --compact-order ${Math.floor(random() * 11)}`,
          `compactset --compact-period-secs ${2 + Math.floor(random() * 5)}`,
          "loglevelset debug",
          "loglevelset info",
        ],
        random,
      )}`,
    ),
};

/** The settings file written in place, replaced, broken, removed. */
export const edits: Activity = {
  name: "file edits",
  pauseMs: 2500,
  turn: (guest, random) => {
    const text = `printf '[memcg]\\nswappiness_max = ${Math.floor(random() * 200)}\\n[compact]\\norder = ${Math.floor(random() * 11)}\\n'`;
    return quietly(
      guest,
      oneOf(
        [
          `${text} >${configPath}`,
          `${text} >${configPath}.new && mv ${configPath}.new ${configPath}`,
          `echo 'swap = nonsense' >>${configPath}`,
          `rm -f ${configPath}`,
          "mem-agent reload",
        ],
        random,
      ),
    );
  },
};

/** Whatever a person or a monitor asks. */
export const commands: Activity = {
  name: "commands",
  pauseMs: 200,
  turn: (guest, random) =>
    quietly(
      guest,
      `mem-agent ${oneOf(
        [
          "status",
          "status --json",
          "memcgstatus",
          "memcgstatus --json",
          "compactstatus",
          "metrics",
          "config show",
          "run memcg",
          "run memcg --dry-run",
          "run compact",
          "nonsense",
        ],
        random,
      )}`,
    ),
};
