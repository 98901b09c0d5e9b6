/** Who listens on a unix socket, as the kernel knows it: SO_PEERCRED of a connection, see unix(7). */
import { closeSync } from "node:fs";
import { addressFamilyUnix, beginConnect, peerProcess, streamSocket } from "./libc.ts";

/** sun_family and sun_path of struct sockaddr_un. */
const addressBytes = 110;

/** The struct sockaddr_un of a path; the caller sees to its length. Pure. */
export function unixAddress(path: string): Uint8Array {
  const bytes = new Uint8Array(addressBytes);
  bytes[0] = addressFamilyUnix;
  bytes.set(Buffer.from(path).subarray(0, addressBytes - 3), 2);
  return bytes;
}

/**
 * The process that made the socket listen; null where nobody listens, where it may not be asked, and where the service
 * manager listens in place of others. The connection is closed at once, with nothing said.
 */
export function ownerOf(path: string): number | null {
  const fd = streamSocket(addressFamilyUnix);
  try {
    if (!beginConnect(fd, unixAddress(path))) return null;
    const pid = peerProcess(fd);
    return pid > 1 ? pid : null;
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}
