/**
 * The daemon's two stages. The first reads the command line; then the process replaces itself (same PID) by one that
 * has the engine's options in its environment, where the engine reads them before any line of ours, and that loads
 * the daemon alone. What the first stage found out travels in one variable.
 */
import type { SettingsOverrides } from "../config/schema.ts";
import { ownExecutable } from "../system/self.ts";

export interface ServeOptions {
  /** Absolute path of the configuration file; `asked` when it was named, and then it has to be there. */
  readonly config: { readonly file: string; readonly asked: boolean };
  /** What the flags say. */
  readonly flags: SettingsOverrides;
  readonly dryRun: boolean;
}

interface Handover {
  /** The process that it is meant for: the variable says nothing to a child that inherited it. */
  readonly pid: number;
  readonly options: ServeOptions;
}

type Environment = Readonly<Record<string, string | undefined>>;

const handoverVariable = "MEM_AGENT_SERVE";

/** A string of an environment has at most 128 KiB, see execve(2). */
const handoverBytesMax = 120 * 1024;

/**
 * Options for a small heap at rest, and for rest. Measured on an idle daemon, private memory: 6.7 MB without, 5.9
 * with a small heap, 5.5 without the optimizing compiler as well, 5.2 with compiling on the main thread (and three
 * threads less). Without any compiler it would be 1.4 MB less after runs over 1,000 cgroups, at twice the CPU time.
 * Bun's timer for garbage wakes the process every second for a minute or more after work: trim.ts stands in for it.
 * The allocator's thread that gives freed pages back only adds wakeups: nothing is freed at rest.
 * An option that the engine does not know ends the process at once: another version of Bun needs them tried again.
 */
const engineOptions: Readonly<Record<string, string>> = {
  BUN_JSC_forceMiniVMMode: "1",
  BUN_JSC_useDFGJIT: "0",
  BUN_JSC_useConcurrentJIT: "0",
  BUN_JSC_thresholdForJITAfterWarmUp: "50000",
  BUN_JSC_thresholdForJITSoon: "5000",
  BUN_JSC_useRegExpJIT: "0",
  BUN_GC_TIMER_DISABLE: "1",
  MIMALLOC_SCAVENGER: "0",
};

/**
 * What the daemon may know of its surroundings: the service manager's words, time zone, colour and language, and where
 * a musl build finds its C++ library. Nothing that steers the runtime gets through.
 */
const keptVariables: ReadonlySet<string> = new Set([
  "NOTIFY_SOCKET",
  "WATCHDOG_USEC",
  "WATCHDOG_PID",
  "LISTEN_FDS",
  "LISTEN_PID",
  "LISTEN_FDNAMES",
  "INVOCATION_ID",
  "JOURNAL_STREAM",
  "TZ",
  "LANG",
  "LC_ALL",
  "TERM",
  "NO_COLOR",
  "LD_LIBRARY_PATH",
]);

/** The environment of the second stage; null where the options are too large for it. */
export function serveEnvironment(
  environment: Environment,
  options: ServeOptions,
  pid: number,
): Record<string, string> | null {
  const text = JSON.stringify({ pid, options } satisfies Handover);
  if (Buffer.byteLength(text) > handoverBytesMax) return null;
  const kept = Object.entries(environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && keptVariables.has(entry[0]),
  );
  return { ...Object.fromEntries(kept), ...engineOptions, [handoverVariable]: text };
}

/** What the first stage handed to this process, or null: then this is a first stage. */
export function readHandover(environment: Environment, pid: number): ServeOptions | null {
  const text = environment[handoverVariable];
  if (text === undefined) return null;
  try {
    const handover = JSON.parse(text) as Partial<Handover> | null;
    return handover?.pid === pid ? (handover.options ?? null) : null;
  } catch {
    return null;
  }
}

/** A child has no use for it. */
export function forgetHandover(environment: Record<string, string | undefined>): void {
  delete environment[handoverVariable];
}

/**
 * Becomes the second stage. Returns only where that cannot be: then the caller serves in this process, which costs
 * memory and nothing else.
 */
export function becomeServer(options: ServeOptions): void {
  const environment = serveEnvironment(process.env, options, process.pid);
  if (environment === null || !Bun.isStandaloneExecutable) return;
  try {
    const commandLine = [process.argv0, ...process.argv.slice(2)];
    process.execve?.(ownExecutable(process.execPath), commandLine, environment);
  } catch {
    // No /proc, or a security policy that forbids it.
  }
}
