/** Programs of the host that are run to their end. */

import { basename } from "node:path";

import { Fault } from "../../../src/base/fault.ts";

/**
 * Runs a program and returns its output.
 *
 * @throws Fault `io` with the end of its error output when it fails.
 */
export async function checked(command: readonly string[], folder: string): Promise<{ readonly out: string }> {
  const child = Bun.spawn([...command], { cwd: folder, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const outputs = [new Response(child.stdout).text(), new Response(child.stderr).text()] as const;
  const [out, err, status] = await Promise.all([...outputs, child.exited]);
  if (status !== 0) {
    const tail = err.trim().slice(-2000);
    throw new Fault("io", `cannot run ${basename(command[0] ?? "")} ${command.at(-1)}: exit ${status}; ${tail}`);
  }
  return { out };
}
