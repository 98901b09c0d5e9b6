/** One fault after the other, done to one machine under a running agent; each leaves a row of the table of faults. */
import { messageOf } from "../../../src/base/fault.ts";
import type { AgentStatus, TargetStatus } from "../../../src/agent/status.ts";
import type { Guest, GuestProcess, UntilOptions } from "../harness/guest.ts";

export interface Trial {
  readonly fault: string;
  readonly expected: string;
  /** Does it, and says in a few words what was seen. Throws when that is not what was expected. */
  readonly run: (scene: Scene) => Promise<string>;
}

export interface Row {
  readonly fault: string;
  readonly expected: string;
  readonly seen: string;
  readonly held: boolean;
  readonly secs: number;
}

export const socketPath = "/run/agent/control.sock";
export const configPath = "/etc/agent/agent.toml";
/** On a file system of its own, which a fault fills up. */
export const logPath = "/logs/agent.log";
export const cgroupRoot = "/sys/fs/cgroup";

const quiet = "--memcg-spread-percent 0 --memcg-refault-percent-limit 0";
const limits = "--memcg-period-psi-percent-limit 90 --memcg-eviction-psi-percent-limit 90";

/** Runs each second, evicts all that is cold, and heeds pressure only where it is extreme: the faults are to meet runs. */
export const busyFlags =
  `--config ${configPath} --addr ${socketPath} --log-file ${logPath} ${quiet} ${limits} ` +
  "--memcg-swap true --memcg-eviction-run-aging-count-min 1 --compact-period-secs 3600 " +
  "--compact-period-psi-percent-limit 100 --compact-psi-percent-limit 100";

/** The machine and its agent, for as long as the trials last. */
export class Scene {
  readonly guest: Guest;
  #process: GuestProcess | null = null;
  #logLines = 0;

  constructor(guest: Guest) {
    this.guest = guest;
  }

  /** The folders that the agent's files are in, and the agent itself. */
  async set(): Promise<void> {
    await this.guest.sh(`
      mkdir -p /etc/agent /logs /run/agent
      mount -t tmpfs -o size=1m logs /logs
      printf '[memcg]\\nperiod_secs = 1\\n' >${configPath}`);
    await this.start();
  }

  get process(): GuestProcess {
    if (this.#process === null) throw new Error("the agent is not started");
    return this.#process;
  }

  /** @param before words of the shell before the agent's own, such as a limit. */
  async start(flags = busyFlags, before = ""): Promise<void> {
    const command = `${before} export MEM_AGENT_ADDR=${socketPath}; exec mem-agent serve ${flags}`;
    this.#process = await this.guest.spawn(command);
    await this.answered();
  }

  async end(): Promise<void> {
    await this.#process?.kill("KILL");
    await this.#process?.exited;
    this.#process = null;
  }

  /** Waits until the agent answers. */
  async answered(deadlineMs = 30_000): Promise<void> {
    await this.guest.until(async () => (await this.ask("/healthz")) !== null, { deadlineMs, what: "the agent answer" });
  }

  /** One request without a process of ours to start; the answer's text, null where nobody answers. */
  async ask(path: string, method = "GET", body = ""): Promise<string | null> {
    const head = `${method} ${path} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n`;
    const { status, stdout } = await this.guest.run(`printf '${head}${body}' | probe send ${socketPath}`);
    return status === 0 && stdout.startsWith("HTTP/1.1 200") ? stdout.slice(stdout.indexOf("\r\n\r\n") + 4) : null;
  }

  async json<T>(path: string, method = "GET", body = ""): Promise<T> {
    const text = await this.ask(path, method, body);
    if (text === null) throw new Error(`no answer to ${method} ${path} ${body}`);
    return JSON.parse(text) as T;
  }

  status(): Promise<AgentStatus> {
    return this.json("/v1/status");
  }

  async targets(): Promise<readonly TargetStatus[]> {
    return (await this.json<{ targets: readonly TargetStatus[] }>("/v1/memcg")).targets;
  }

  /** Polls what the agent says of itself. */
  until<T>(wanted: (status: AgentStatus) => T | false | null, until: UntilOptions): Promise<T> {
    return this.guest.until(async () => wanted(await this.status()), until);
  }

  /** Waits for more runs that come to their end. */
  async moreRuns(count: number): Promise<void> {
    const { runs } = (await this.status()).memcg;
    await this.until(({ memcg }) => memcg.runs >= runs + count, { deadlineMs: 40_000, what: `${count} more runs` });
  }

  /** Lines of the log since the last call, at the level of a warning or above. */
  async complaints(): Promise<readonly string[]> {
    const lines = (await this.guest.read(logPath)).split("\n").slice(0, -1);
    const fresh = lines.slice(this.#logLines);
    this.#logLines = lines.length;
    return fresh.filter((line) => / (warn|error|critical) /i.test(line));
  }

  /** A cgroup as a folder's path in the shell. */
  folder(name: string): string {
    return `${cgroupRoot}/${name}`;
  }
}

/** A trial's own checks. */
export function demand(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** More complaints in one trial than this are a warning in each period. */
const complaintsMax = 6;

/**
 * Runs a trial, then looks whether all is well again: the agent answers, runs, and has no warning and no failed target.
 * What goes wrong is the row's; the agent is started anew where it is gone.
 */
export async function perform(trial: Trial, scene: Scene): Promise<Row> {
  const start = performance.now();
  const row = (seen: string, held: boolean): Row => ({
    fault: trial.fault,
    expected: trial.expected,
    seen,
    held,
    secs: (performance.now() - start) / 1000,
  });
  try {
    const failedBefore = (await scene.status()).memcg.ends.error;
    const seen = await trial.run(scene);
    await scene.moreRuns(2);
    const { memcg } = await scene.until((now) => now.warnings.length === 0 && now, {
      deadlineMs: 30_000,
      what: `no warning after: ${trial.fault}`,
    });
    const failed = memcg.ends.error - Math.min(failedBefore, memcg.ends.error);
    demand(failed === 0, `${seen}; but ${failed} ends with an error`);
    const complaints = await scene.complaints();
    demand(complaints.length <= complaintsMax, `${seen}; but ${complaints.length} complaints: ${complaints[0]}`);
    return row(seen, true);
  } catch (error) {
    const text = messageOf(error).split("\n")[0] ?? "";
    if ((await scene.ask("/healthz")) === null) {
      await scene.end();
      await scene.start();
    }
    return row(text, false);
  }
}

/** The table, as Markdown. */
export function tableOf(rows: readonly Row[], title: string): string {
  const cells = rows.map((row) => [row.fault, row.expected, row.held ? row.seen : `FAILED: ${row.seen}`]);
  const lines = [["fault", `expected`, `seen on ${title}`], ["---", "---", "---"], ...cells];
  return lines.map((cell) => `| ${cell.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}
