/**
 * sd_notify(3): tells the service manager that the daemon is ready, reloading, stopping, or alive.
 *
 * One datagram on the unix socket that NOTIFY_SOCKET names (an absolute path, or `@name` for an abstract one). Bun has
 * no unix datagrams, so that libc's socket(2) and sendto(2) send it.
 */
import { dlopen, ptr } from "bun:ffi";
import { Fault } from "../base/fault.ts";

const addressFamilyUnix = 1;
const socketDatagram = 2;
const closeOnExec = 0o2000000;
/** MSG_NOSIGNAL | MSG_DONTWAIT: a manager that hangs must not hang the agent. */
const sendFlags = 0x4040;
/** `sun_family` comes before the path; see unix(7). */
const pathOffset = 2;
const pathBytesMax = 108;

/** The `struct sockaddr_un` for a NOTIFY_SOCKET, or null for a text that names none. Pure. */
export function notifyAddress(name: string): Uint8Array | null {
  if (!name.startsWith("/") && !name.startsWith("@")) return null;
  const path = new TextEncoder().encode(name);
  if (path.length < 2 || path.length >= pathBytesMax || path.includes(0)) return null;
  const abstract = name.startsWith("@");
  if (abstract) path[0] = 0;
  // A path ends with a NUL byte; an abstract name is exactly as long as the address says.
  const address = new Uint8Array(pathOffset + path.length + (abstract ? 0 : 1));
  address[0] = addressFamilyUnix;
  address.set(path, pathOffset);
  return address;
}

/** Name of the C library of this process, for dlopen. */
function libcNames(): readonly string[] {
  const musl = process.arch === "arm64" ? "libc.musl-aarch64.so.1" : "libc.musl-x86_64.so.1";
  return ["libc.so.6", musl];
}

function openLibc() {
  for (const name of libcNames()) {
    try {
      return dlopen(name, {
        socket: { args: ["i32", "i32", "i32"], returns: "i32" },
        sendto: { args: ["i32", "ptr", "usize", "i32", "ptr", "u32"], returns: "i64" },
        close: { args: ["i32"], returns: "i32" },
      }).symbols;
    } catch {
      continue;
    }
  }
  return null;
}

export class ServiceManager {
  readonly #address: Uint8Array;
  readonly #libc: NonNullable<ReturnType<typeof openLibc>>;
  readonly #descriptor: number;

  private constructor(address: Uint8Array, libc: NonNullable<ReturnType<typeof openLibc>>, descriptor: number) {
    this.#address = address;
    this.#libc = libc;
    this.#descriptor = descriptor;
  }

  /**
   * The service manager that NOTIFY_SOCKET names; null when the process was not started by one.
   *
   * @throws Fault `unsupported` when the variable names no socket, `io` when none can be made.
   */
  static fromEnvironment(environment: Readonly<Record<string, string | undefined>>): ServiceManager | null {
    const name = environment["NOTIFY_SOCKET"];
    if (name === undefined || name === "") return null;
    const address = notifyAddress(name);
    if (address === null) {
      throw new Fault("unsupported", "cannot notify the service manager: NOTIFY_SOCKET names no unix socket; unset it");
    }
    const libc = openLibc();
    const descriptor = libc?.socket(addressFamilyUnix, socketDatagram | closeOnExec, 0) ?? -1;
    if (libc === null || descriptor < 0) {
      throw new Fault("io", "cannot notify the service manager: no datagram socket; check the limit of descriptors");
    }
    return new ServiceManager(address, libc, descriptor);
  }

  /** Sends assignments such as `READY=1`, one a line. False when the manager did not take them: it may be restarting. */
  notify(...assignments: readonly string[]): boolean {
    const text = new TextEncoder().encode(assignments.join("\n"));
    const sent = this.#libc.sendto(
      this.#descriptor,
      ptr(text),
      text.length,
      sendFlags,
      ptr(this.#address),
      this.#address.length,
    );
    return Number(sent) === text.length;
  }

  [Symbol.dispose](): void {
    this.#libc.close(this.#descriptor);
  }
}

/**
 * How often to send `WATCHDOG=1`, in milliseconds: half of WATCHDOG_USEC, as sd_watchdog_enabled(3) advises. Null when no
 * watchdog waits for this process. Pure.
 */
export function watchdogPeriodMs(
  environment: Readonly<Record<string, string | undefined>>,
  processId: number,
): number | null {
  const forProcess = environment["WATCHDOG_PID"];
  if (forProcess !== undefined && forProcess !== "" && forProcess !== String(processId)) return null;
  const text = environment["WATCHDOG_USEC"] ?? "";
  if (!/^[1-9][0-9]{0,15}$/.test(text)) return null;
  return Math.max(1, Math.floor(Number(text) / 2000));
}
