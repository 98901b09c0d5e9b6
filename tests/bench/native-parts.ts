/** Parts that need no guest: commands, start-up, runs over a tree of idle cgroups, sizes. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseLruGen, scanLruGen, LruGenScanner } from "../../src/kernel/lru-gen-scan.ts";
import type { Figure } from "./figures.ts";
import { runCold, runIdle, runIdleHour } from "./idle-process.ts";
import { IdleTree } from "./idle-tree.ts";
import { parseMib } from "./process-cost.ts";
import type { Bench } from "./programs.ts";

/** A daemon that is asked to do nothing needs nothing of the machine that it runs on. */
const idleFlags = ["--memcg-disabled", "true", "--compact-disabled", "true"];
const deadlineMs = 20_000;

class IdleDaemon implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "mem-agent-bench-"));
  readonly socket = join(this.folder, "socket");
  readonly pid: number;
  /** From exec to the socket's file, which leads to a listening socket from its first moment. */
  readonly listeningMs: number;
  readonly #child: Bun.Subprocess;

  constructor(binary: string) {
    const config = join(this.folder, "none.toml");
    const command = [binary, "serve", "--addr", this.socket, "--log-file", join(this.folder, "log"), ...idleFlags];
    const startMs = performance.now();
    this.#child = Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"], env: {} });
    while (!existsSync(this.socket)) {
      if (performance.now() - startMs > deadlineMs) throw new Error(`${config}: the daemon does not listen`);
      Bun.sleepSync(0.2);
    }
    this.listeningMs = performance.now() - startMs;
    this.pid = this.#child.pid;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

interface Spawned {
  readonly wallMs: number;
  readonly cpuMs: number;
}

function spawned(command: readonly string[]): Spawned {
  const startMs = performance.now();
  const { success, stderr, resourceUsage } = Bun.spawnSync([...command], { env: {} });
  const wallMs = performance.now() - startMs;
  if (!success) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return { wallMs, cpuMs: Number(resourceUsage?.cpuTime.total ?? 0) / 1000 };
}

/** Longer than the daemon takes to trim itself. */
const trimmedMs = 24_000;

/** Private memory, from the bare runtime to the daemon that has started, trimmed itself and knows of no cgroup. */
export async function runtimeFigures({ binary, weight }: Bench): Promise<Figure[]> {
  const ladder = ["runtime", "server", "modules"].map((what): Figure => {
    const runs = [1, 2, 3].map(() => {
      const { success, stdout, stderr } = Bun.spawnSync([weight, what], { env: {} });
      if (!success) throw new Error(`weight ${what}: ${stderr.toString()}`);
      return Number(stdout.toString());
    });
    return { part: "runtime", name: `RssAnon of the ${what}`, unit: "MiB", runs };
  });
  using daemon = new IdleDaemon(binary);
  await Bun.sleep(trimmedMs);
  const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  const resting: Figure = {
    part: "runtime",
    name: "RssAnon of the daemon without a cgroup, at rest",
    unit: "MiB",
    runs: [parseMib(status, "RssAnon")],
  };
  return [...ladder, resting];
}

/** Control commands as processes, beside a program of the same runtime that does nothing, in turn. */
export function commandFigures({ binary, nothing }: Bench): Figure[] {
  using daemon = new IdleDaemon(binary);
  const addr = ["--addr", daemon.socket];
  const commands: readonly (readonly string[])[] = [
    ["memcgset", "--memcg-swappiness-max", "60", ...addr],
    ["memcgstatus", ...addr],
    ["status", ...addr],
    ["--version"],
  ];
  return commands.flatMap((words): Figure[] => {
    const [runs, references]: [Spawned[], Spawned[]] = [[], []];
    for (let round = 0; round < 30; round++) {
      references.push(spawned([nothing]));
      runs.push(spawned([binary, ...words]));
    }
    const name = words[0] ?? "";
    const reference = "an empty program";
    return [
      {
        part: "command",
        name: `${name}: wall`,
        unit: "ms",
        runs: runs.map(({ wallMs }) => wallMs),
        reference: { name: reference, runs: references.map(({ wallMs }) => wallMs) },
        limit: { of: "value", max: 15 },
      },
      {
        part: "command",
        name: `${name}: CPU`,
        unit: "ms",
        runs: runs.map(({ cpuMs }) => cpuMs),
        reference: { name: reference, runs: references.map(({ cpuMs }) => cpuMs) },
      },
    ];
  });
}

export async function startFigures({ binary, nothing }: Bench): Promise<Figure[]> {
  const listening: number[] = [];
  const references: number[] = [];
  const rssAnon: number[] = [];
  for (let round = 0; round < 15; round++) {
    references.push(spawned([nothing]).wallMs);
    using daemon = new IdleDaemon(binary);
    listening.push(daemon.listeningMs);
    await Bun.sleep(200);
    rssAnon.push(parseMib(readFileSync(`/proc/${daemon.pid}/status`, "utf8"), "RssAnon"));
  }
  return [
    {
      part: "start",
      name: "exec to listening",
      unit: "ms",
      runs: listening,
      reference: { name: "an empty program", runs: references },
      limit: { of: "value", max: 50 },
    },
    { part: "start", name: "RssAnon, features disabled", unit: "MiB", runs: rssAnon },
  ];
}

/** System calls of one run: those of a process that makes eleven, less those of one that makes one. */
function callsOfRun(root: string): number | null {
  if (Bun.which("strace") === null) return null;
  const calls = (runs: number): number => {
    const { stderr } = runIdle(root, runs, { wrapper: ["strace", "-f", "-c", "-U", "name,calls"] });
    let sum = 0;
    // Without what the engine's threads do among themselves: it differs from run to run.
    for (const [, name = "", count] of stderr.matchAll(/^(\w+) +(\d+)$/gm)) {
      if (/^(open|openat|close|read|pread64|write|pwrite64|stat|statx|lseek|poll|ppoll)$/.test(name))
        sum += Number(count);
    }
    return sum;
  };
  return (calls(11) - calls(1)) / 10;
}

/** A run over idle cgroups: what is warm first left out, and the rest of the runs. */
export function idleFigures(): Figure[] {
  return [10, 100, 1000, 5000].flatMap((cgroups): Figure[] => {
    using tree = new IdleTree(cgroups);
    const { report } = runIdle(tree.root, 13);
    const cpuMs = report.runs.map((run) => run.cpuMs);
    const trimmed = runIdle(tree.root, 9, { trimmed: true }).report.runs.slice(2);
    const calls = callsOfRun(tree.root);
    const limit = cgroups === 1000 ? ({ limit: { of: "value", max: 50 } } as const) : {};
    return [
      {
        part: "idle",
        name: `run over ${cgroups} idle cgroups: CPU`,
        unit: "ms",
        runs: cpuMs.slice(3),
        ...limit,
      },
      {
        part: "idle",
        name: `run over ${cgroups}, trimmed before: CPU`,
        unit: "ms",
        runs: trimmed.map((run) => run.cpuMs),
        ...limit,
      },
      { part: "idle", name: `run over ${cgroups}: first run`, unit: "ms", runs: cpuMs.slice(0, 1) },
      ...(calls === null
        ? []
        : ([{ part: "idle", name: `run over ${cgroups}: file system calls`, unit: "count", runs: [calls] }] as const)),
    ];
  });
}

/** What an hour with default settings costs: of one CPU a thousandth is 3.6 s. */
export function hourFigures(): Figure[] {
  return [20, 1000].flatMap((cgroups): Figure[] => {
    using tree = new IdleTree(cgroups);
    const hours = [1, 2, 3].map(() => runIdleHour(tree.root));
    const counts = hours.slice(0, 1);
    const limit = cgroups === 20 ? ({ limit: { of: "value", max: 3.6 } } as const) : {};
    const part = "hour";
    return [
      { part, name: `${cgroups} idle cgroups: CPU`, unit: "s", runs: hours.map(({ cpuMs }) => cpuMs / 1000), ...limit },
      { part, name: `${cgroups} idle cgroups: wakeups`, unit: "count", runs: counts.map(({ looks }) => looks) },
      { part, name: `${cgroups} idle cgroups: agings`, unit: "count", runs: counts.map(({ agings }) => agings) },
    ];
  });
}

/** How long a run holds the event loop at most, where all of many cgroups have something cold. */
export function holdFigures(): Figure[] {
  const cgroups = 2000;
  using tree = new IdleTree(cgroups, 64);
  return [
    {
      part: "hold",
      name: `run over ${cgroups} cgroups with 256 KiB cold: longest hold of the event loop`,
      unit: "ms",
      runs: [...runCold(tree.root, 8)].slice(1),
      limit: { of: "value", max: 20 },
    },
  ];
}

/** Microseconds of each call, without the first ones. */
function timed(work: () => void): number[] {
  return Array.from({ length: 60 }, () => {
    const startMs = performance.now();
    work();
    return (performance.now() - startMs) * 1000;
  }).slice(10);
}

/** Reading 1,000 cgroups out of lru_gen's text, by the scanner of the hot path and as values. */
export function scannerFigures(): Figure[] {
  using tree = new IdleTree(1000);
  const whole = readFileSync(join(tree.root, "sys/kernel/debug/lru_gen"));
  const text = whole.subarray(whole.length - tree.textBytes);
  const scanner = new LruGenScanner();
  let sum = 0;
  const kept = timed(() => scanner.scan(text, text.length, (_id, _path, node) => (sum += node)));
  const fresh = timed(() => scanLruGen(text, text.length, (_id, _path, node) => (sum += node)));
  const values = timed(() => (sum += parseLruGen(text).length));
  const reference = { name: "as values", runs: values };
  if (sum === 0) throw new Error("the scanner found nothing");
  return [
    { part: "scanner", name: "1,000 cgroups, kept names", unit: "us", runs: kept, reference },
    { part: "scanner", name: "1,000 cgroups, new names", unit: "us", runs: fresh, reference },
  ];
}

function mib(bytes: number): number {
  return bytes / 2 ** 20;
}

export function sizeFigures({ binary }: Bench): Figure[] {
  const others = ["linux-arm64", "linux-x64-musl", "linux-arm64-musl"].map((target) => ({
    name: target,
    path: join(import.meta.dir, `../../dist/mem-agent-${target}`),
  }));
  const compressed = Bun.zstdCompressSync(readFileSync(binary), { level: 19 }).length;
  return [
    { part: "size", name: "executable", unit: "MiB", runs: [mib(statSync(binary).size)] },
    { part: "size", name: "executable, zstd -19", unit: "MiB", runs: [mib(compressed)] },
    ...others
      .filter(({ path }) => existsSync(path))
      .map(({ name, path }): Figure => ({ part: "size", name, unit: "MiB", runs: [mib(statSync(path).size)] })),
  ];
}
