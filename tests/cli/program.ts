/** The compiled program, built once for all tests of a run, and a way to call it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTarget, ownTarget } from "../../build.ts";

let built: Promise<string> | null = null;

async function build(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "mem-agent-program-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "mem-agent");
  await buildTarget(ownTarget(), path);
  return path;
}

/** Path of the executable. */
export function program(): Promise<string> {
  built ??= build();
  return built;
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Environment without anything that a developer's machine may say to mem-agent. */
const bareEnvironment = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", TZ: "UTC" };
const endMsMax = 20_000;

/** Runs a command to its end, with both outputs in pipes. */
export async function runToEnd(
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  cwd = "/",
): Promise<Ended> {
  const child = Bun.spawn([...command], {
    cwd,
    env: { ...bareEnvironment, ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: endMsMax,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** Runs mem-agent with these arguments. */
export async function call(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return runToEnd([await program(), ...args], environment);
}
