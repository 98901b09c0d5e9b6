/**
 * vsock(7): sockets between a guest and its host, without a network. Linux 4.8; between processes of one machine
 * (vsock_loopback) 5.6.
 *
 *     struct sockaddr_vm { u16 family; u16 reserved; u32 port; u32 cid; u8 zero[4]; }
 */
import { closeSync, openSync } from "node:fs";
import { Fault } from "../base/fault.ts";
import {
  addressFamilyVsock,
  beginConnect,
  bindAndListen,
  ioctlNumber,
  isConnected,
  peerAddress,
  streamSocket,
} from "./libc.ts";
import { under } from "./pseudo-file.ts";

const addressBytes = 16;
/** VMADDR_CID_ANY: in every address that this machine has. */
const cidAny = 0xffff_ffff;
/** VMADDR_CID_LOCAL */
const cidLocal = 1;
const backlog = 128;

/** The address as the kernel takes it. Pure. */
export function vsockAddress(cid: number, port: number): Uint8Array {
  const bytes = new Uint8Array(addressBytes);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, addressFamilyVsock, true);
  view.setUint32(4, port, true);
  view.setUint32(8, cid, true);
  return bytes;
}

/** The context id in an address that the kernel gave; null for a short one and for another family's. Pure. */
export function cidOf(address: Uint8Array): number | null {
  if (address.length < addressBytes) return null;
  const view = new DataView(address.buffer, address.byteOffset, address.length);
  return view.getUint16(0, true) === addressFamilyVsock ? view.getUint32(8, true) : null;
}

/** A socket that listens on this port; the caller closes it. Faults: no vsock in the kernel, the port is taken. */
export function listenVsock(port: number): number {
  const fd = vsockSocket();
  try {
    bindAndListen(fd, vsockAddress(cidAny, port), backlog);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function vsockSocket(): number {
  try {
    return streamSocket(addressFamilyVsock);
  } catch (error) {
    throw new Fault("unsupported", "cannot use vsock: this kernel has none; load its module", {
      cause: error,
    });
  }
}

/** Who is at the other end of a connection: the kernel knows, no process can lie. Null where it does not say. */
export function peerCid(fd: number): number | null {
  try {
    return cidOf(peerAddress(fd, addressBytes));
  } catch {
    // The peer has gone already.
    return null;
  }
}

/** The first look is after so long, each next one twice as much later. */
const lookMsMin = 1;
const lookMsMax = 20;

/** A connected socket; the caller closes it. Faults: as connect(2) has them; the signal's reason. */
export async function connectVsock(cid: number, port: number, signal: AbortSignal | null): Promise<number> {
  signal?.throwIfAborted();
  const fd = vsockSocket();
  try {
    let connected = beginConnect(fd, vsockAddress(cid, port));
    for (let ms = lookMsMin; !connected; ms = Math.min(lookMsMax, ms * 2)) {
      await Bun.sleep(ms);
      signal?.throwIfAborted();
      connected = isConnected(fd);
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

const vsockDevice = "/dev/vsock";
/** IOCTL_VM_SOCKETS_GET_LOCAL_CID, include/uapi/linux/vm_sockets.h */
const getLocalCid = 0x7b9;

/** The id that others reach this machine by; null where its kernel or its VMM gives it none. Throws nothing. */
export function readLocalCid(root: string): number | null {
  try {
    const fd = openSync(under(root, vsockDevice), "r");
    try {
      const cid = ioctlNumber(fd, getLocalCid);
      return cid === cidAny || cid === cidLocal ? null : cid;
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
}
