/**
 * Where the program starts: as the daemon's second stage, as the child that compacts, or as a command. What is loaded
 * from here on is only what that one needs.
 */
import { compactChildWord } from "./agent/compact/word.ts";
import { readHandover } from "./cli/handover.ts";

async function start(): Promise<number> {
  const handover = readHandover(process.env, process.pid);
  if (handover !== null) {
    // Before the daemon is loaded. A command is over too soon to gain by it: it leaves as much, and takes longer.
    const { startSparingly } = await import("./system/executable-pages.ts");
    startSparingly();
    const { serveHere } = await import("./cli/verbs/serve-here.ts");
    return serveHere(handover);
  }
  const argv = process.argv.slice(2);
  if (argv[0] === compactChildWord) {
    const { sayAtOnce } = await import("./system/self.ts");
    const { runCompactChild } = await import("./agent/compact/child.ts");
    return runCompactChild(
      argv.slice(1),
      () => sayAtOnce("ready\n"),
      (line) => void process.stderr.write(line),
    );
  }
  if (argv[0] === "serve") {
    // It would end the process until the second stage has its handler, and that reads the settings file in any case.
    const { ignoreHangUp } = await import("./system/libc.ts");
    try {
      ignoreHangUp();
    } catch {
      // The environment may keep the engine from calling C. The second stage starts without that environment.
    }
  }
  const { command } = await import("./cli/command.ts");
  return command(process.argv0, argv);
}

// What is still open (a connection that is kept alive) must not keep a finished command waiting.
process.exit(await start());
