/**
 * Where a daemon listens: `unix:///path`, or the bare absolute path. A control command also takes a guest's:
 * `vsock://CID:PORT`, and `hvsock:///path:PORT` behind the unix socket of its VMM.
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

/** A guest's agent: by its context id, or behind its VMM's socket. */
export type GuestAddress =
  | { readonly kind: "vsock"; readonly cid: number; readonly port: number }
  | { readonly kind: "hvsock"; readonly path: string; readonly port: number };

/** Where a control command finds its daemon. */
export type AgentAddress = { readonly kind: "unix"; readonly path: string } | GuestAddress;

const vsockScheme = "vsock://";
const vmmScheme = "hvsock://";
const vsockPortMax = 0xffff_ffff - 1;
/** VMADDR_CID_ANY, the next one, is nobody's. */
export const vsockCidMax = 0xffff_ffff - 1;

/** Fault `invalid` with every problem of the address. */
export function parseAgentAddr(addr: string): AgentAddress {
  const parsed = addr.startsWith(vmmScheme)
    ? parseVmmAddr(addr.slice(vmmScheme.length))
    : addr.startsWith(vsockScheme)
      ? parseVsockAddr(addr.slice(vsockScheme.length))
      : null;
  if (parsed === null) return { kind: "unix", path: parseAddr(addr) };
  const { problems, address } = parsed;
  if (problems.length === 0) return address;
  throw new Fault("invalid", `cannot use the address ${JSON.stringify(addr)}: ${problems.join("; ")}`, { problems });
}

interface GuestAddressRead {
  readonly address: GuestAddress;
  readonly problems: readonly string[];
}

function parseVmmAddr(text: string): GuestAddressRead {
  const [, path = "", digits] = /^(.*?)(?::([^/:]*))?$/s.exec(text) ?? [];
  const problems = path.startsWith("/") ? addrProblems(path) : ["it is not an absolute path; give hvsock:///path:PORT"];
  const port = readPort(digits, problems);
  return { address: { kind: "hvsock", path, port }, problems };
}

function parseVsockAddr(text: string): GuestAddressRead {
  const [, id = "", digits] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  const cid = /^\d{1,10}$/.test(id) ? Number(id) : Infinity;
  const problems: string[] = [];
  if (cid > vsockCidMax) problems.push(`its context id is not one of 0 to ${vsockCidMax}; give vsock://CID:PORT`);
  const port = readPort(digits, problems);
  return { address: { kind: "vsock", cid, port }, problems };
}

function readPort(digits: string | undefined, problems: string[]): number {
  const port = digits === undefined ? vsockPort : /^\d{1,10}$/.test(digits) ? Number(digits) : 0;
  if (port < 1 || port > vsockPortMax) problems.push(`its port is not one of 1 to ${vsockPortMax}`);
  return port;
}

/** The port of `vsock://:PORT`, null for what is no such address. Below 1024 only root with CAP_NET_BIND_SERVICE may. */
export function parseVsockListen(addr: string): number | null {
  const digits = /^vsock:\/\/:(\d{1,10})$/.exec(addr)?.[1];
  const port = Number(digits ?? 0);
  return port >= 1 && port <= vsockPortMax ? port : null;
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
