/**
 * Shows on any machine what mem-agent is for: a guest whose memory is full of what nobody needs any more, what the host
 * pays for it, and how that falls.
 *
 *     npm run demo                      on kernel 6.1
 *     npm run demo -- --kernel 7.2
 *
 * Ends with a summary, and leaves the course as a picture in dist/demo.svg.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TimedEvent } from "../../src/agent/events.ts";
import type { MemcgRunReport } from "../../src/agent/status.ts";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { messageOf } from "../../src/base/fault.ts";
import { bytesText } from "../../src/base/units.ts";
import { padText } from "../../src/cli/screens/text.ts";
import { median, type Moment, type Sample } from "./demo/course.ts";
import { passTimes, readFelt } from "./demo/hot.ts";
import { Screen } from "./demo/screen.ts";
import { summaryRows } from "./demo/summary.ts";
import { renderSvg } from "./demo/svg.ts";
import { accelerator } from "./harness/accelerator.ts";
import { agentFiles, coldCache, GuestAgent, hotCache } from "./harness/agent.ts";
import { Guest, type GuestProcess } from "./harness/guest.ts";
import { chosenKernels, type KernelName, kernelNames } from "./harness/kernels.ts";

const memoryMiB = 2048;
const idleMiB = 768;
const hotMiB = 128;
const periodSecs = 5;
const sampleMs = 500;
/** How long the workloads are watched without the agent. */
const quietSecs = 6;
const settleSecsMax = 60;
/** The host's memory counts as settled when it did not fall by more than this for so long. */
const settledMiB = 8;
const settledSecs = 12;

const serveFlags = `--memcg-period-secs ${periodSecs} --memcg-spread-percent 0 --compact-period-secs ${2 * periodSecs}`;

const root = join(import.meta.dir, "../..");
const screen = new Screen();

/** The guest with its two workloads, and what is seen of it over time. */
class Scene {
  readonly guest: Guest;
  readonly #title: string;
  readonly #startMs = systemClock.monotonicMs();
  readonly samples: Sample[] = [];
  readonly marks: Moment[] = [];
  readonly #notes: Moment[] = [];
  #events: GuestProcess | null = null;
  #eventsSeen = 0;
  #evicted = false;

  constructor(guest: Guest) {
    this.guest = guest;
    this.#title = `mem-agent in a guest of ${memoryMiB} MiB, Linux ${guest.release}`;
  }

  get atSecs(): number {
    return (systemClock.monotonicMs() - this.#startMs) / 1000;
  }

  note(text: string): void {
    const moment = { atSecs: this.atSecs, text };
    this.#notes.push(moment);
    screen.note(moment);
  }

  mark(text: string): void {
    this.marks.push({ atSecs: this.atSecs, text });
  }

  /** One look at everything, shown. */
  async sample(): Promise<Sample> {
    const cgroups = "/sys/fs/cgroup";
    const used = await this.guest.sh(
      `cat ${cgroups}/idle/memory.current ${cgroups}/hot/memory.current 2>/dev/null || true`,
    );
    const [idle = 0, hot = 0] = used
      .trim()
      .split("\n")
      .map((line) => Number(line) / 2 ** 20);
    const sample = { atSecs: this.atSecs, hostMiB: this.guest.hostMiB(), idleMiB: idle, hotMiB: hot };
    this.samples.push(sample);
    await this.#noteEvents();
    screen.show({ title: this.#title, course: this, notes: this.#notes });
    return sample;
  }

  /** Samples until `done` says so, or the time is over. Returns the last one. */
  async watch(secsMax: number, done: (sample: Sample) => boolean): Promise<Sample> {
    const end = this.atSecs + secsMax;
    for (;;) {
      const sample = await this.sample();
      if (done(sample) || sample.atSecs >= end) return sample;
      await sleep(systemClock, sampleMs);
    }
  }

  /** Samples while something goes on, and returns what came of it. */
  async during<T>(work: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => void (over = true);
    work.then(end, end);
    await this.watch(settleSecsMax, () => over);
    return await work;
  }

  /** True once the host's memory falls no more, `sinceSecs` being when it could begin to fall. */
  hasSettled(sinceSecs: number): boolean {
    const recent = this.samples.filter(({ atSecs }) => atSecs > Math.max(sinceSecs, this.atSecs - settledSecs));
    const values = recent.map((sample) => sample.hostMiB);
    const span = (recent.at(-1)?.atSecs ?? 0) - (recent[0]?.atSecs ?? 0);
    return span > settledSecs * 0.8 && Math.max(...values) - Math.min(...values) < settledMiB;
  }

  async follow(): Promise<void> {
    this.#events = await this.guest.spawn("exec mem-agent events");
  }

  #noteRun(report: MemcgRunReport): void {
    this.note(runText(report));
    if (this.#evicted || evictedBytes(report) === 0) return;
    this.#evicted = true;
    this.marks.push({ atSecs: this.atSecs - report.wall_secs, text: "evicts what is cold" });
  }

  async #noteEvents(): Promise<void> {
    const lines = ((await this.#events?.stdout()) ?? "").split("\n").slice(0, -1);
    for (const line of lines.slice(this.#eventsSeen)) {
      const event = line === "" ? null : (JSON.parse(line) as TimedEvent);
      if (event?.event === "memcg_run") this.#noteRun(event.report);
    }
    this.#eventsSeen = lines.length;
  }
}

function evictedBytes({ evicted_bytes: evicted }: MemcgRunReport): number {
  return evicted.file_bytes + evicted.anon_bytes;
}

function runText(report: MemcgRunReport): string {
  const bytes = evictedBytes(report);
  const result = bytes === 0 ? "nothing evicted" : `evicted ${bytesText(bytes)} in ${report.wall_secs.toFixed(1)} s`;
  return `run ${report.run}: aged ${report.aged}, ${result}`;
}

function hostOf(samples: readonly Sample[]): number {
  return median(samples.map((sample) => sample.hostMiB)) ?? 0;
}

/** The workloads: one writes its files and is done, the other reads its own all the time. */
async function fill(scene: Scene): Promise<GuestProcess> {
  scene.note(`one workload writes ${idleMiB} MiB and goes idle, one reads ${hotMiB} MiB all along`);
  await scene.during(coldCache(scene.guest, "idle", idleMiB));
  return await scene.during(hotCache(scene.guest, "hot", hotMiB));
}

async function play(guest: Guest): Promise<void> {
  const scene = new Scene(guest);
  const hot = await fill(scene);
  scene.note("no agent yet: the host keeps paying");
  const quiet = await readFelt(guest, hot, scene.atSecs);
  const before = await scene.watch(quietSecs, () => false);
  const started = await readFelt(guest, hot, scene.atSecs);
  const hostBefore = hostOf(scene.samples.slice(-6));

  scene.mark("mem-agent starts");
  scene.note(`mem-agent serve ${serveFlags}`);
  await using agent = await scene.during(GuestAgent.serve(guest, `${serveFlags} --log-level warn`));
  await scene.follow();
  const withAgent = Math.max(hostBefore, (await scene.sample()).hostMiB);

  await scene.watch(settleSecsMax, (sample) => sample.idleMiB < idleMiB * 0.1);
  const evictedSecs = scene.atSecs;
  await scene.watch(settleSecsMax, () => scene.hasSettled(evictedSecs));
  const after = await scene.sample();
  const hostAfter = hostOf(scene.samples.slice(-4));
  const ended = await readFelt(guest, hot, scene.atSecs);
  const { memcg, own } = await agent.status();
  const hotEvicted = (await agent.target("/hot")).evicted_bytes;
  const rows = summaryRows({
    host: {
      bareMiB: scene.samples[0]?.hostMiB ?? 0,
      beforeMiB: hostBefore,
      withAgentMiB: withAgent,
      afterMiB: hostAfter,
    },
    idle: { beforeMiB: before.idleMiB, afterMiB: after.idleMiB },
    hot: {
      beforeMiB: before.hotMiB,
      afterMiB: after.hotMiB,
      felt: [quiet, started, ended],
      evictedBytes: hotEvicted.file_bytes + hotEvicted.anon_bytes,
      passMs: await passTimes(hot),
    },
    evictedBytes: memcg.evicted_bytes.file_bytes + memcg.evicted_bytes.anon_bytes,
    own,
    refaultsCounted: memcg.refault_source === "refaults",
  });
  await agent.stop();
  screen.say("");
  screen.heading("What came of it");
  for (const [name, value] of rows) screen.say(`${padText(name, 22, "left")} ${value}`);
  picture(scene, hostBefore, hostAfter);
}

function picture(scene: Scene, beforeMiB: number, afterMiB: number): void {
  const title = `The host pays ${beforeMiB.toFixed(0)} MiB for this guest, then ${afterMiB.toFixed(0)} MiB`;
  const about = `Linux ${scene.guest.release}, ${memoryMiB} MiB, free page reporting; mem-agent with a period of ${periodSecs} s`;
  mkdirSync(join(root, "dist"), { recursive: true });
  writeFileSync(join(root, "dist/demo.svg"), renderSvg(scene, title, about));
  screen.say("");
  screen.say("The course as a picture: dist/demo.svg");
}

async function build(): Promise<void> {
  const child = Bun.spawn([process.execPath, "build.ts"], { cwd: root, stdin: "ignore", stdout: "ignore" });
  if ((await child.exited) !== 0) throw new Error("cannot build dist/mem-agent: see above");
}

function kernelOf(words: readonly string[]): KernelName | null {
  const [flag, name, ...rest] = words;
  if (flag === undefined) return chosenKernels(process.env)[0] ?? null;
  if (flag !== "--kernel" || rest.length > 0) return null;
  return kernelNames.find((known) => known === name) ?? null;
}

async function main(words: readonly string[]): Promise<number> {
  const kernel = kernelOf(words);
  if (kernel === null) {
    console.error(`usage: npm run demo -- [--kernel ${kernelNames.join("|")}]`);
    return 2;
  }
  screen.say("building mem-agent");
  await build();
  screen.say(
    `booting a guest of ${memoryMiB} MiB with free page reporting, Linux ${kernel}, under ${await accelerator()}`,
  );
  await using guest = await Guest.boot({ kernel, memoryMiB, diskMiB: 1100, files: await agentFiles() });
  endWith(guest);
  await play(guest);
  return 0;
}

let interrupted = false;

/** Ctrl-C and the like end the guest first, and say nothing of what dies with it. */
function endWith(guest: Guest): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    // A terminal sends it to everyone, and who started us passes it on: the second changes nothing.
    process.on(signal, () => {
      if (interrupted) return;
      interrupted = true;
      void guest[Symbol.asyncDispose]().finally(() => process.exit(130));
    });
  }
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  // An interruption ends the process itself, as soon as the guest is gone.
  if (!interrupted) {
    console.error(`demo: ${messageOf(error)}`);
    process.exit(1);
  }
}
