/** Starts idle-runs.ts with the engine options of the daemon. */
import { join } from "node:path";
import { serveEnvironment } from "../../src/cli/handover.ts";
import type { IdleHour } from "./idle-hour.ts";
import type { IdleReport } from "./idle-runs.ts";

/** Runs over a tree with something cold in each cgroup: how long each held the event loop. */
export function runCold(root: string, runs: number): readonly number[] {
  const command = [process.execPath, join(import.meta.dir, "cold-runs.ts"), root, String(runs)];
  return JSON.parse(runScript(command).stdout) as number[];
}

/** An hour over idle cgroups, as in idle-hour.ts. */
export function runIdleHour(root: string): IdleHour {
  return JSON.parse(runScript([process.execPath, join(import.meta.dir, "idle-hour.ts"), root]).stdout) as IdleHour;
}

function runScript(command: readonly string[]): { readonly stdout: string; readonly stderr: string } {
  const environment = serveEnvironment({}, { config: { file: "", asked: false }, flags: {}, dryRun: false }, 0) ?? {};
  const { success, stdout, stderr } = Bun.spawnSync([...command], { env: { ...process.env, ...environment } });
  if (!success) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return { stdout: stdout.toString(), stderr: stderr.toString() };
}

/** `wrapper` is a program that runs the command after it, such as strace; `trimmed` as in idle-runs.ts. */
export function runIdle(
  root: string,
  runs: number,
  { trimmed = false, wrapper = [] }: { readonly trimmed?: boolean; readonly wrapper?: readonly string[] } = {},
): { readonly report: IdleReport; readonly stderr: string } {
  const { stdout, stderr } = runScript([
    ...wrapper,
    process.execPath,
    join(import.meta.dir, "idle-runs.ts"),
    root,
    String(runs),
    ...(trimmed ? ["trimmed"] : []),
  ]);
  return { report: JSON.parse(stdout) as IdleReport, stderr };
}
