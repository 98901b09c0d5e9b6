/** Where a daemon listens: `unix:///path`, or the bare absolute path. */
import { Fault } from "./fault.ts";

/** A socket's path has 108 bytes in `sockaddr_un`, the last of them NUL; see unix(7). */
export const socketPathBytesMax = 107;

/** The socket's path. Fault `invalid` with every problem of the address. */
export function parseAddr(addr: string): string {
  const path = addr.startsWith("unix://") ? addr.slice("unix://".length) : addr;
  const problems = addrProblems(path, addr);
  if (problems.length === 0) return path;
  throw new Fault("invalid", `cannot use the address ${JSON.stringify(addr)}: ${problems.join("; ")}`, { problems });
}

function addrProblems(path: string, addr: string): string[] {
  const problems: string[] = [];
  if (!path.startsWith("/")) {
    const scheme = /^([a-z]+):\/\//.exec(addr)?.[1];
    const what = scheme === undefined || scheme === "unix" ? "it is not an absolute path" : `${scheme} is not served`;
    problems.push(`${what}; give unix:///path or an absolute path`);
  } else if (path.endsWith("/")) {
    problems.push("it names a directory; give the path of a socket");
  }
  if (path.includes("\0")) problems.push("it holds a NUL byte; leave it out");
  const bytes = Buffer.byteLength(path);
  if (bytes > socketPathBytesMax)
    problems.push(`it is ${bytes} bytes long; a socket's path has at most ${socketPathBytesMax}`);
  return problems;
}
