/** SIGKILL and SIGTERM in each phase of the agent's life. */
import { coldCache } from "../harness/agent.ts";
import { busyFlags, cgroupRoot, demand, logPath, socketPath, type Scene, type Trial } from "./trial.ts";

const mib = 2 ** 20;
const coldMiB = 256;
/**
 * Of so many ends in each phase most take less than two seconds, and all less than the service manager waits. One second is
 * wanted: emulated, beside much else, an end while 7.2 compacts took 1.2 to 1.5, all of it running.
 */
const ends = 3;
const stopSecsMax = 2;
const stopSecsMost = 5;
/** RssFile of an agent that has dropped its executable, as it does three seconds after its start; 25 MiB and more before. */
const droppedKib = 12 * 1024;
/** Each takes a few milliseconds: half a minute or so. */
const triesMax = 3000;

interface Phase {
  readonly name: string;
  /** A command of the shell that succeeds once the phase is there. */
  readonly reached: string;
  readonly flags: string;
  /** Whether it needs something cold to evict. */
  readonly cold: boolean;
}

const evicting = busyFlags.replace("aging-count-min 1", "aging-count-min 0");
const compacting = `${busyFlags} --compact-force-times 0`.replace("period-secs 3600", "period-secs 1");

const phases: readonly Phase[] = [
  { name: "starting", reached: `[ -S ${socketPath} ]`, flags: busyFlags, cold: false },
  { name: "first run", reached: `grep -q started ${logPath}.end`, flags: busyFlags, cold: false },
  {
    name: "evicting",
    reached: `[ "$(cat ${cgroupRoot}/cold/memory.current)" -lt ${(coldMiB - 16) * mib} ]`,
    flags: evicting,
    cold: true,
  },
  {
    name: "at rest, its code dropped",
    reached: `grep -q started ${logPath}.end && [ "$(awk '/^RssFile/ { print $2 }' /proc/$agent/status)" -lt ${droppedKib} ]`,
    flags: busyFlags,
    cold: false,
  },
  { name: "compacting", reached: '[ -n "$(cat /proc/$agent/task/*/children)" ]', flags: compacting, cold: false },
];

export const endTrials: readonly Trial[] = [
  {
    fault: `SIGTERM while ${phases.map(({ name }) => name).join(", ")}`,
    expected: "exit 0, of three ends most within two seconds, no socket and no child left",
    run: terminated,
  },
  {
    fault: `SIGKILL while ${phases.map(({ name }) => name).join(", ")}`,
    expected: "no child left, the next start works",
    run: killed,
  },
];

interface End {
  readonly status: number;
  readonly secs: number;
}

/** Starts an agent, and sends it the signal as soon as it is in the phase. */
async function endIn(phase: Phase, signal: "TERM" | "KILL", scene: Scene): Promise<End> {
  const { guest } = scene;
  if (phase.cold) await coldCache(guest, "cold", coldMiB);
  const answer = await guest.sh(
    `rm -f ${logPath}.end ${socketPath}
    mem-agent serve ${phase.flags.replace(logPath, `${logPath}.end`)} & agent=$!
    tries=0
    until ${phase.reached}; do
      tries=$((tries + 1)); [ $tries -lt ${triesMax} ] || { kill -KILL $agent; echo "never ${phase.name}"; exit; }
      usleep 1000
    done 2>/dev/null
    start=$(cut -d' ' -f1 /proc/uptime)
    kill -${signal} $agent; wait $agent; status=$?
    echo "$status $start $(cut -d' ' -f1 /proc/uptime)"`,
    { timeoutMs: 90_000 },
  );
  demand(!answer.startsWith("never"), `never seen: ${phase.name}`);
  if (phase.cold) await guest.sh(`rmdir ${cgroupRoot}/cold; rm /data/cold`);
  const [status = -1, start = 0, end = 0] = answer.trim().split(" ").map(Number);
  return { status, secs: end - start };
}

async function childrenLeft(scene: Scene): Promise<number> {
  const all = await scene.guest.sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '");
  return all.split("compact-child").length - 1;
}

async function terminated(scene: Scene): Promise<string> {
  await scene.end();
  const seen: string[] = [];
  for (const phase of phases) {
    const took: number[] = [];
    while (took.length < ends) {
      const { status, secs } = await endIn(phase, "TERM", scene);
      const left = (await scene.guest.run(`test -e ${socketPath}`)).status === 0;
      demand(status === 0, `${phase.name}: exit ${status}`);
      demand(!left, `${phase.name}: the socket is left`);
      demand((await childrenLeft(scene)) === 0, `${phase.name}: a child is left`);
      took.push(secs);
    }
    const text = `${phase.name} ${took.map((secs) => secs.toFixed(2)).join(", ")} s`;
    const quick = took.filter((secs) => secs <= stopSecsMax).length;
    demand(quick > ends / 2 && Math.max(...took) <= stopSecsMost, text);
    seen.push(text);
  }
  await scene.start();
  return `exit 0: ${seen.join("; ")}`;
}

async function killed(scene: Scene): Promise<string> {
  await scene.end();
  for (const phase of phases) {
    const { status } = await endIn(phase, "KILL", scene);
    demand(status === 137, `${phase.name}: exit ${status}`);
    await scene.guest.until(async () => (await childrenLeft(scene)) === 0, {
      deadlineMs: 5000,
      what: `${phase.name}: the child's end`,
    });
    await scene.start();
    await scene.end();
  }
  await scene.start();
  return `${phases.length} of ${phases.length} starts after it worked`;
}
