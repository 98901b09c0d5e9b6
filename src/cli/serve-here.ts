/** `serve`, second stage: this process is the daemon. */
import { runDaemon } from "../api/run-daemon.ts";
import { isFault } from "../base/fault.ts";
import { exitCodes } from "./failure.ts";
import type { ServeOptions } from "./handover.ts";
import { complain } from "./output.ts";
import { version } from "./version.ts";

/** Serves until a signal ends it; the exit code. What keeps it from starting is one line each on stderr. */
export async function serveHere(options: ServeOptions): Promise<number> {
  try {
    process.chdir("/");
    return await runDaemon({ ...options, version, environment: process.env });
  } catch (error) {
    if (!isFault(error)) throw error;
    complain(`mem-agent serve: ${error.message}`);
    if (error.problems.length > 1 || error.problems[0] !== error.message) {
      for (const problem of error.problems) complain(`mem-agent serve: ${problem}`);
    }
    return exitCodes.failed;
  }
}
