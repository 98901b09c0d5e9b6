/** What runs out or is taken away: disk, files, folders, descriptors, memory, the processor, the executable itself. */
import { coldCache, usageBytes } from "../harness/agent.ts";
import type { Guest } from "../harness/guest.ts";
import { busyFlags, cgroupRoot, configPath, demand, logPath, socketPath, type Scene, type Trial } from "./trial.ts";

const mib = 2 ** 20;
const binary = "/usr/bin/mem-agent";
/**
 * What the agent starts in with nothing of it in the page cache. Where the disk reads 8 MiB ahead (7.2) the kernel goes
 * round in circles below 56: at 48 the start took 40 s and read 2.8 GiB. 64 is the service's MemoryHigh.
 */
const ownLimitMiB = (guest: Guest): number => (guest.kernel === "7.2" ? 64 : 24);
const descriptorsMax = 32;
const stoppedMs = 6000;

export const machineTrials: readonly Trial[] = [
  {
    fault: "log on a full disk",
    expected: "runs go on, a warning counts the lost lines; over when there is room, and the log says how many",
    run: fullDisk,
  },
  {
    fault: "configuration folder replaced, and taken away and brought back",
    expected: "each change is followed within seconds",
    run: replacedFolder,
  },
  {
    fault: "a FIFO that nobody writes in place of the settings file, and the file back",
    expected: "refused with a warning, the settings stay, nothing waits",
    run: fifo,
  },
  {
    fault: "the executable replaced under the running daemon",
    expected: "a compaction still starts: the running one's own file",
    run: replacedExecutable,
  },
  {
    fault: "SIGSTOP for 6 s, SIGCONT (period 1 s)",
    expected: "one run for all that were missed",
    run: stopped,
  },
  {
    fault: `file descriptors limited to ${descriptorsMax}`,
    expected: "answers, evicts and compacts; fewer triggers are armed",
    run: fewDescriptors,
  },
  {
    fault: "control socket removed with its folder",
    expected: "both are back within a minute, mode 0600",
    run: removedSocket,
  },
];

/** Differs by kernel. */
export const limitTrials: readonly Trial[] = [
  {
    fault: "the agent's own cgroup limited to 24 MiB (7.2: 64 MiB), without swap, its executable not in the page cache",
    expected: "starts, answers and evicts, is not killed",
    run: littleMemory,
  },
];

async function fullDisk(scene: Scene): Promise<string> {
  const { guest } = scene;
  await guest.sh("dd if=/dev/zero of=/logs/filler bs=4k 2>/dev/null || true; df /logs | grep -q 100%");
  // Each change is a line of at least 60 bytes, and there may be up to 4 KiB of room in the log's last page.
  for (let line = 0; line < 72; line++) await scene.json("/v1/memcg", "PATCH", `{"swappiness_max":${60 + (line % 2)}}`);
  const { message } = await scene.until(({ warnings }) => warnings[0] ?? null, {
    deadlineMs: 20_000,
    what: "a warning about the log",
  });
  await scene.moreRuns(1);
  await guest.sh("rm /logs/filler");
  await scene.json("/v1/memcg", "PATCH", '{"swappiness_max":50}');
  await scene.until(({ warnings }) => warnings.length === 0, { deadlineMs: 20_000, what: "the warning over" });
  const told = /log lines were dropped.*/.exec(await guest.read(logPath))?.[0];
  demand(told !== undefined, "the log does not say that lines were dropped");
  return `"${message.slice(0, 90)}"; then in the log: "${told}"`;
}

function configText(limit: number): string {
  return `'[memcg]\\nperiod_secs = 1\\nswappiness_max = ${limit}\\n'`;
}

async function replacedFolder(scene: Scene): Promise<string> {
  const { guest } = scene;
  const follows = async (limit: number | null, change: string): Promise<number> => {
    const start = performance.now();
    await guest.sh(change);
    await guest.until(
      async () => {
        const shown = await scene.json<{ settings: { swappiness_max: number } }>("/v1/memcg");
        const target = (await scene.targets())[0];
        return (target?.settings ?? shown.settings).swappiness_max === (limit ?? 50) || null;
      },
      { deadlineMs: 15_000, what: `swappiness_max ${limit}` },
    );
    return (performance.now() - start) / 1000;
  };
  const took = [
    await follows(
      21,
      `mkdir /etc/new && printf ${configText(21)} >/etc/new/agent.toml && mv /etc/agent /etc/old && mv /etc/new /etc/agent`,
    ),
    await follows(22, `printf ${configText(22)} >${configPath}.new && mv ${configPath}.new ${configPath}`),
    await follows(null, `rm -r /etc/agent && sleep 1.5`),
    await follows(23, `mkdir -p /etc/agent && printf ${configText(23)} >${configPath}`),
    await follows(null, `printf '[memcg]\\nperiod_secs = 1\\n' >${configPath}`),
  ];
  await guest.sh("rm -rf /etc/old");
  return `followed after ${took.map((secs) => secs.toFixed(1)).join(", ")} s`;
}

async function fifo(scene: Scene): Promise<string> {
  const { guest } = scene;
  await guest.sh(`mv ${configPath} ${configPath}.kept && mkfifo ${configPath}`);
  const { message } = await scene.until(({ warnings }) => warnings[0] ?? null, {
    deadlineMs: 20_000,
    what: "a warning about the settings file",
  });
  await scene.moreRuns(1);
  await guest.sh(`mv ${configPath}.kept ${configPath}`);
  await scene.until(({ warnings }) => warnings.length === 0, { deadlineMs: 20_000, what: "the warning over" });
  return `"${message.slice(0, 110)}"`;
}

/** Asks for a compaction: with a client that waits, which half a connection would not be given. */
async function compacted(scene: Scene, program: string): Promise<{ readonly end: string; readonly error: string }> {
  const answer = await scene.guest.sh(`${program} run compact --json --addr ${socketPath}`);
  return JSON.parse(answer) as { readonly end: string; readonly error: string };
}

async function replacedExecutable(scene: Scene): Promise<string> {
  const { guest } = scene;
  await guest.sh(`mv ${binary} ${binary}-old && cp /bin/busybox ${binary}`);
  try {
    const { end, error } = await compacted(scene, `${binary}-old`);
    demand(end === "done", `the compaction ended with ${end}: ${error}`);
    return `compaction ${end}`;
  } finally {
    await guest.sh(`mv ${binary}-old ${binary}`);
  }
}

async function stopped(scene: Scene): Promise<string> {
  const { process } = scene;
  const before = await scene.status();
  await process.kill("STOP");
  await Bun.sleep(stoppedMs);
  await process.kill("CONT");
  const resumed = performance.now();
  await scene.answered();
  await Bun.sleep(1500);
  const after = await scene.status();
  const secs = (performance.now() - resumed) / 1000;
  const runs = after.memcg.runs - before.memcg.runs;
  demand(runs >= 1 && runs <= secs + 3, `${runs} runs within ${secs.toFixed(1)} s after it`);
  return `${runs} runs in the ${secs.toFixed(1)} s after it`;
}

/** Evicts a cold cgroup and compacts with the agent as it is. */
async function works(scene: Scene, name: string): Promise<string> {
  const { guest } = scene;
  await coldCache(guest, name, 96);
  await guest.until(async () => (await usageBytes(guest, name)) < 16 * mib, {
    deadlineMs: 90_000,
    what: `${name} evicted`,
  });
  const { end, error } = await compacted(scene, binary);
  demand(end === "done", `the compaction ended with ${end}: ${error}`);
  await guest.sh(`rmdir ${cgroupRoot}/${name}; rm /data/${name}`);
  return `evicted 96 MiB, compaction ${end}`;
}

async function fewDescriptors(scene: Scene): Promise<string> {
  await scene.end();
  await scene.start(busyFlags, `ulimit -n ${descriptorsMax};`);
  const { pid } = await scene.status();
  const limit = /^Max open files\s+(\d+)/m.exec(await scene.guest.read(`/proc/${pid}/limits`))?.[1];
  demand(limit === String(descriptorsMax), `the limit is ${limit}`);
  const seen = await works(scene, "few");
  const open = (await scene.guest.sh(`ls /proc/${pid}/fd | wc -l`)).trim();
  await scene.end();
  await scene.start();
  return `${seen}, ${open} descriptors at rest`;
}

async function littleMemory(scene: Scene): Promise<string> {
  const { guest } = scene;
  const at = `${cgroupRoot}/little`;
  await scene.end();
  await guest.sh(`mkdir ${at} && echo ${ownLimitMiB(guest)}M >${at}/memory.max && echo 0 >${at}/memory.swap.max`);
  await guest.sh("sync; echo 3 >/proc/sys/vm/drop_caches");
  await scene.start(busyFlags, `echo $$ >${at}/cgroup.procs;`);
  const seen = await works(scene, "cold");
  const events = await guest.read(`${at}/memory.events`);
  const [max = "", kills = ""] = ["max", "oom_kill"].map((key) => new RegExp(`^${key} (\\d+)$`, "m").exec(events)?.[1]);
  demand(kills === "0", `${kills} kills`);
  const peak = Number(await guest.read(`${at}/memory.current`)) / mib;
  await scene.end();
  await guest.sh(`rmdir ${at}`);
  await scene.start();
  return `${seen}; ${peak.toFixed(1)} MiB used, at its limit ${max} times, no kill`;
}

async function removedSocket(scene: Scene): Promise<string> {
  const { guest } = scene;
  const { pid } = await scene.status();
  const start = performance.now();
  await guest.sh(`rm -r ${socketPath.slice(0, socketPath.lastIndexOf("/"))}`);
  await scene.answered(75_000);
  const secs = (performance.now() - start) / 1000;
  const mode = (await guest.sh(`stat -c %a ${socketPath}`)).trim();
  demand(mode === "600", `mode ${mode}`);
  demand((await scene.status()).pid === pid, "it is another process");
  return `back after ${secs.toFixed(0)} s, mode 0600, same process`;
}
