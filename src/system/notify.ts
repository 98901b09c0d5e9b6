/**
 * sd_notify(3): tells the service manager that the daemon is ready, reloading, stopping, or alive.
 *
 * One datagram on the unix socket that NOTIFY_SOCKET names (an absolute path, or `@name` for an abstract one). Bun has
 * no unix datagrams, so that libc's socket(2) and sendto(2) send it.
 */
import { closeSync, fstatSync } from "node:fs";
import { Fault } from "../base/fault.ts";
import { addressFamilyUnix, datagramSocket, sendDatagram } from "./libc.ts";

/** `sun_family` comes before the path; see unix(7). */
const pathOffset = 2;
const pathBytesMax = 108;
const standardError = 2;

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

/** The manager's socket and ours, for as long as the daemon runs. */
export class ServiceManager implements Disposable {
  readonly #address: Uint8Array;
  #fd: number | null;

  private constructor(address: Uint8Array, fd: number) {
    this.#address = address;
    this.#fd = fd;
  }

  /**
   * The service manager that NOTIFY_SOCKET names; null when the process was not started by one.
   * Faults: `unsupported` when the variable names no unix socket, `io`.
   */
  static fromEnvironment(environment: Readonly<Record<string, string | undefined>>): ServiceManager | null {
    const name = environment["NOTIFY_SOCKET"] ?? "";
    if (name === "") return null;
    const address = notifyAddress(name);
    if (address === null) {
      throw new Fault("unsupported", "cannot notify the service manager: NOTIFY_SOCKET names no unix socket; unset it");
    }
    return new ServiceManager(address, datagramSocket());
  }

  /** Sends assignments such as `READY=1`, one a line. False when the manager did not take them: it may be restarting. */
  notify(...assignments: readonly string[]): boolean {
    if (this.#fd === null) return false;
    return sendDatagram(this.#fd, new TextEncoder().encode(assignments.join("\n")), this.#address);
  }

  [Symbol.dispose](): void {
    if (this.#fd === null) return;
    closeSync(this.#fd);
    this.#fd = null;
  }
}

/**
 * Whether a stream of this device and inode leads to the journal: JOURNAL_STREAM names both, `8:12345`, and is inherited
 * by what has its output elsewhere; see systemd.exec(5). Pure.
 */
export function isJournal(text: string | undefined, stream: { readonly dev: number; readonly ino: number }): boolean {
  return text === `${stream.dev}:${stream.ino}`;
}

/** Whether standard error leads to the journal. */
export function logsToJournal(environment: Readonly<Record<string, string | undefined>>): boolean {
  const text = environment["JOURNAL_STREAM"];
  if (text === undefined) return false;
  try {
    return isJournal(text, fstatSync(standardError));
  } catch {
    return false;
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
