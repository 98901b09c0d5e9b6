/** `serve`, first stage: checks the command line, makes its paths absolute, and becomes the daemon. */
import { resolve } from "node:path";
import { becomeServer, type ServeOptions } from "../handover.ts";
import { type Invocation, isOn, textOf } from "../invocation.ts";

const defaultConfigFile = "/etc/mem-agent.toml";

export async function serve(invocation: Invocation): Promise<number> {
  const options = serveOptions(invocation, process.cwd());
  becomeServer(options);
  const { serveHere } = await import("./serve-here.ts");
  return serveHere(options);
}

/** @param directory what relative paths are relative to: the daemon itself stands in the root directory */
export function serveOptions(invocation: Invocation, directory: string): ServeOptions {
  const { overrides } = invocation;
  const config = textOf(invocation, "config");
  const logFile = overrides.log?.file;
  const log = typeof logFile === "string" ? { ...overrides.log, file: resolve(directory, logFile) } : overrides.log;
  return {
    config: { file: resolve(directory, config ?? defaultConfigFile), asked: config !== null },
    flags: log === undefined ? overrides : { ...overrides, log },
    dryRun: isOn(invocation, "dry-run"),
  };
}
