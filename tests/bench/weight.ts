/**
 * What the runtime weighs before any work: compiled as the agent is, it prints its private memory in MiB and ends.
 *
 *     weight runtime     a timer and nothing else
 *     weight server      with a server on a unix socket, which nobody asks anything
 *     weight modules     with every module that the daemon has loaded once it serves, of which none is started
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseMib } from "./process-cost.ts";

/** The runtime gives free pages back some moments after the collection. */
const settleMs = 1500;

const [what = ""] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "mem-agent-weight-"));
const server =
  what === "runtime" ? null : Bun.serve({ unix: join(folder, "socket"), fetch: () => new Response("nothing") });
if (what === "modules") await import("../../src/api/run-daemon.ts");
await Bun.sleep(settleMs);
Bun.gc(true);
await Bun.sleep(settleMs);
console.log(parseMib(readFileSync("/proc/self/status", "utf8"), "RssAnon"));
await server?.stop(true);
rmSync(folder, { recursive: true });
