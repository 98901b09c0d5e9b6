/**
 * Where a daemon listens: `unix:///path`, or the bare absolute path. A control command also takes
 * `hvsock:///path:PORT`, a guest behind the unix socket of its VMM.
 */
import { Fault } from "./fault.ts";

/** Where the daemon listens unless it is told otherwise. */
export const defaultAddress = "unix:///run/mem-agent.sock";

/** A socket's path has 108 bytes in `sockaddr_un`, the last of them NUL; see unix(7). */
export const socketPathBytesMax = 107;

/** The socket's path. Fault `invalid` with every problem of the address. */
export function parseAddr(addr: string): string {
  const problems = addrProblems(addr);
  if (problems.length === 0) return pathOf(addr);
  throw new Fault("invalid", `cannot use the address ${JSON.stringify(addr)}: ${problems.join("; ")}`, { problems });
}

/** The port of the agent in a guest, where the address names none. */
export const vsockPort = 9469;

/** Where a control command finds its daemon: on this machine, or on `port` of the guest behind the VMM's socket. */
export interface AgentAddress {
  readonly path: string;
  readonly port: number | null;
}

const guestScheme = "hvsock://";
const vsockPortMax = 0xffff_ffff - 1;
/** VMADDR_CID_ANY, which is nobody's. */
export const vsockCidMax = 0xffff_ffff - 1;

/** The port of `vsock://:PORT`, null for what is no such address. Below 1024 only root with CAP_NET_BIND_SERVICE may. */
export function parseVsockListen(addr: string): number | null {
  const digits = /^vsock:\/\/:(\d{1,10})$/.exec(addr)?.[1];
  const port = Number(digits ?? 0);
  return port >= 1 && port <= vsockPortMax ? port : null;
}

/** Fault `invalid` with every problem of the address. */
export function parseAgentAddr(addr: string): AgentAddress {
  if (!addr.startsWith(guestScheme)) return { path: parseAddr(addr), port: null };
  const [, path = "", digits] = /^(.*?)(?::([^/:]*))?$/s.exec(addr.slice(guestScheme.length)) ?? [];
  const port = digits === undefined ? vsockPort : /^\d{1,10}$/.test(digits) ? Number(digits) : 0;
  const problems = path.startsWith("/") ? addrProblems(path) : ["it is not an absolute path; give hvsock:///path:PORT"];
  if (port < 1 || port > vsockPortMax) problems.push(`its port is not one of 1 to ${vsockPortMax}`);
  if (problems.length === 0) return { path, port };
  throw new Fault("invalid", `cannot use the address ${JSON.stringify(addr)}: ${problems.join("; ")}`, { problems });
}

function pathOf(addr: string): string {
  return addr.startsWith("unix://") ? addr.slice("unix://".length) : addr;
}

/** What keeps it from being an address; empty for a right one. */
export function addrProblems(addr: string): string[] {
  const path = pathOf(addr);
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
