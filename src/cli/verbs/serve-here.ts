/** `serve`, second stage: the daemon in this process, until a signal ends it. */
import { runDaemon } from "../../api/run-daemon.ts";
import { isFault } from "../../base/fault.ts";
import { exitCodes } from "../failure.ts";
import { forgetHandover, type ServeOptions } from "../handover.ts";
import { logsToJournal } from "../../system/notify.ts";
import { complain } from "../output.ts";
import { version } from "../version.ts";

/** Returns the exit code. What keeps the daemon from starting is on stderr by then, one problem a line. */
export async function serveHere(options: ServeOptions): Promise<number> {
  forgetHandover(process.env);
  // The directory that it was started in may be a mount that somebody wants to take away.
  process.chdir("/");
  try {
    return await runDaemon({ ...options, version, environment: process.env });
  } catch (error) {
    if (!isFault(error)) throw error;
    // journald takes a line's priority from its start; see sd-daemon(3).
    const priority = logsToJournal(process.env) ? "<3>" : "";
    for (const problem of error.problems) complain(`${priority}mem-agent serve: ${problem}`);
    return exitCodes.failed;
  }
}
