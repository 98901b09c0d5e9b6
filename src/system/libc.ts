/**
 * The system calls that Bun has no function for, through the C library: the only place with bun:ffi.
 * The library is opened at the first call, so that a command that needs none does not pay for it.
 */
import { dlopen, read } from "bun:ffi";
import { Fault, faultFrom } from "../base/fault.ts";

/** glibc first; musl names its library after the machine. */
const libraryNames: readonly string[] = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

function load(name: string) {
  return dlopen(name, {
    poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
    mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
    umount2: { args: ["ptr", "i32"], returns: "i32" },
    madvise: { args: ["u64", "u64", "i32"], returns: "i32" },
    prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
    posix_fadvise: { args: ["i32", "i64", "i64", "i32"], returns: "i32" },
    syscall: { args: ["i64", "i64", "ptr", "ptr", "i64"], returns: "i64" },
    flock: { args: ["i32", "i32"], returns: "i32" },
    sysconf: { args: ["i32"], returns: "i64" },
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "usize", "i32", "ptr", "u32"], returns: "i64" },
    __errno_location: { args: [], returns: "ptr" },
  }).symbols;
}

/** Apart from the others, since each symbol costs memory and hardly a daemon needs these. */
function loadSockets(name: string) {
  return dlopen(name, {
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    listen: { args: ["i32", "i32"], returns: "i32" },
    connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
    getpeername: { args: ["i32", "ptr", "ptr"], returns: "i32" },
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
    ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  }).symbols;
}

/** Of the first stage, which is over when the daemon begins. */
function loadSignals(name: string) {
  return dlopen(name, { signal: { args: ["i32", "u64"], returns: "u64" } }).symbols;
}

let opened: ReturnType<typeof load> | null = null;
let openedSockets: ReturnType<typeof loadSockets> | null = null;

function libc(): ReturnType<typeof load> {
  opened ??= openFirst(load);
  return opened;
}

function sockets(): ReturnType<typeof loadSockets> {
  openedSockets ??= openFirst(loadSockets);
  return openedSockets;
}

function openFirst<Symbols>(load: (name: string) => Symbols): Symbols {
  const failures: string[] = [];
  for (const name of libraryNames) {
    try {
      return load(name);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Fault(
    "missing",
    `cannot open the C library: ${failures.join("; ")}; use the build for this machine's libc`,
  );
}

/** Errno names of Linux on x86-64 and arm64 (asm-generic), as far as our calls return them. */
const errnoNames: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  4: "EINTR",
  5: "EIO",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  19: "ENODEV",
  20: "ENOTDIR",
  22: "EINVAL",
  88: "ENOTSOCK",
  92: "ENOPROTOOPT",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  101: "ENETUNREACH",
  104: "ECONNRESET",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  113: "EHOSTUNREACH",
  115: "EINPROGRESS",
};

function errnoName(errno: number): string {
  return errnoNames[errno] ?? `errno ${errno}`;
}

function lastErrno(): string {
  const { __errno_location: errnoLocation } = libc();
  const location = errnoLocation();
  return errnoName(location === null ? 0 : read.i32(location));
}

function failure(doing: string): Fault {
  const errno = lastErrno();
  return faultFrom(Object.assign(new Error(errno), { code: errno }), doing);
}

/** The same numbers on x86-64 and arm64. */
const hangUp = 1;
const ignoring = 1n;

/**
 * SIGHUP is ignored from here on, until a handler is set: by what this process becomes with execve(2) too, which would
 * forget a handler. Fault `missing` where there is no C library to ask.
 */
export function ignoreHangUp(): void {
  openFirst(loadSignals).signal(hangUp, ignoring);
}

export const pollPriority = 0x002;
export const pollOut = 0x004;
export const pollError = 0x008;
export const pollHangUp = 0x010;
export const pollInvalid = 0x020;

/**
 * poll(2) with timeout 0: looks and never waits. `entries` holds `count` struct pollfd of 8 bytes each (int fd, short
 * events, short revents). Returns how many have events; an interrupted call counts as none. Fault `io`.
 */
export function pollNow(entries: Int32Array, count: number): number {
  const ready = libc().poll(entries, count, 0);
  if (ready >= 0) return ready;
  if (lastErrno() === "EINTR") return 0;
  throw failure("poll pressure triggers");
}

/** mount(2) without flags or data. Faults: `denied`, `busy` (it is mounted), `missing`, `vanished` (no such type). */
export function mount(source: string, target: string, fileSystem: string): void {
  const result = libc().mount(cString(source), cString(target), cString(fileSystem), 0, null);
  if (result !== 0) throw failure(`mount ${fileSystem} at ${target}`);
}

/** umount2(2) without flags. */
export function unmount(target: string): void {
  if (libc().umount2(cString(target), 0) !== 0) throw failure(`unmount ${target}`);
}

const prSetThpDisable = 41;

/**
 * prctl(PR_SET_THP_DISABLE), for this process and what it becomes. Seen on 7.2 without it: 10 MiB of the executable's
 * data mapped 2 MiB at a time, hardly any of it read by us; 0.6 MiB with it.
 */
export function noHugePages(): void {
  if (libc().prctl(prSetThpDisable, 1, 0, 0, 0) !== 0) throw failure("switch off huge pages for this process");
}

const madvNormal = 0;
const madvRandom = 1;
const madvDontNeed = 4;
const madvDontDump = 16;
const madvPageOut = 21;

/**
 * madvise(MADV_RANDOM): what is touched is read by itself, with no readahead around it. From Linux 6.16 on not so for
 * code, which is read ahead as far as the disk is set to.
 */
export function readByPage(address: number, bytes: number): void {
  if (libc().madvise(address, bytes, madvRandom) !== 0) throw failure("switch off readahead of own pages");
}

/** madvise(MADV_NORMAL): takes back `readByPage`. */
export function readAhead(address: number, bytes: number): void {
  if (libc().madvise(address, bytes, madvNormal) !== 0) throw failure("switch readahead of own pages on");
}

/** madvise(MADV_DONTNEED): takes these pages out of the process. What was written to a private mapping is lost. */
export function letGo(address: number, bytes: number): void {
  if (libc().madvise(address, bytes, madvDontNeed) !== 0) throw failure("let go of own pages");
}

/** madvise(MADV_DONTDUMP): parts this from the mapping around it. A core dump holds no unwritten file pages anyway. */
export function splitMapping(address: number, bytes: number): void {
  if (libc().madvise(address, bytes, madvDontDump) !== 0) throw failure("split own mapping");
}

/** madvise(MADV_PAGEOUT), Linux 5.4: asks the kernel to drop or write out these pages of ours now. Nothing is lost. */
export function pageOut(address: number, bytes: number): void {
  if (libc().madvise(address, bytes, madvPageOut) !== 0) throw failure("page out own memory");
}

const fadviseDontNeed = 4;

/** posix_fadvise(POSIX_FADV_DONTNEED): drops from the page cache what no process has mapped of the whole file. */
export function dropUnmapped(fd: number): void {
  const errno = libc().posix_fadvise(fd, 0, 0, fadviseDontNeed);
  if (errno !== 0) throw new Fault("io", `cannot drop own file from the page cache: errno ${errno}`);
}

/** The same number on x86-64 and arm64. */
const cachestatCall = 451;

/** cachestat(2), Linux 6.5: pages of the whole file that are in the page cache. Null where there is no such call. */
export function cachedPages(fd: number): number | null {
  // struct cachestat_range: offset, length (0: to the end); struct cachestat: five u64, the first are the cached pages.
  const [range, found] = [new BigUint64Array(2), new BigUint64Array(5)];
  const result = libc().syscall(cachestatCall, fd, range, found, 0);
  return Number(result) === 0 ? Number(found[0]) : null;
}

export const addressFamilyUnix = 1;
export const addressFamilyVsock = 40;
const socketStream = 1;
const socketDatagram = 2;
const socketNonBlocking = 0o4000;
const socketCloseOnExec = 0o2000000;
/** MSG_NOSIGNAL | MSG_DONTWAIT: a receiver that hangs must not hang us. */
const sendFlags = 0x4040;

/** A unix datagram socket, not bound, closed on exec. The caller closes it. Fault `io`. */
export function datagramSocket(): number {
  const fd = libc().socket(addressFamilyUnix, socketDatagram | socketCloseOnExec, 0);
  if (fd < 0) throw failure("make a datagram socket");
  return fd;
}

/** sendto(2) without waiting. `address` is a struct sockaddr_un. False when it was not taken whole. */
export function sendDatagram(fd: number, bytes: Uint8Array, address: Uint8Array): boolean {
  return Number(libc().sendto(fd, bytes, bytes.length, sendFlags, address, address.length)) === bytes.length;
}

/** LOCK_EX | LOCK_NB */
const lockExclusiveNow = 2 | 4;

/**
 * flock(2), exclusive, without waiting: false while somebody else holds it. Held until the descriptor is closed, and so at
 * the latest until the process ends, however it does. Fault `io`.
 */
export function tryLock(fd: number): boolean {
  if (libc().flock(fd, lockExclusiveNow) === 0) return true;
  const errno = lastErrno();
  if (errno === "EAGAIN" || errno === "EINTR") return false;
  throw failure("lock a file");
}

/** A stream socket that never waits, closed on exec. The caller closes it. Fault where the kernel has no such family. */
export function streamSocket(family: number): number {
  const fd = libc().socket(family, socketStream | socketCloseOnExec | socketNonBlocking, 0);
  if (fd < 0) throw failure("make a stream socket");
  return fd;
}

/** bind(2) and listen(2). `address` is the struct sockaddr of the socket's family. Fault `busy` when it is taken. */
export function bindAndListen(fd: number, address: Uint8Array, backlog: number): void {
  if (sockets().bind(fd, address, address.length) !== 0) throw failure("bind a socket");
  if (sockets().listen(fd, backlog) !== 0) throw failure("listen on a socket");
}

/** connect(2) of a socket that does not wait: true when it is connected, false while that is under way. */
export function beginConnect(fd: number, address: Uint8Array): boolean {
  if (sockets().connect(fd, address, address.length) === 0) return true;
  if (lastErrno() === "EINPROGRESS") return false;
  throw failure("connect a socket");
}

const socketLevel = 1;
const socketErrorOption = 4;

/** Whether a connection under way is there by now. Fault with the reason for which it never will be. */
export function isConnected(fd: number): boolean {
  const entry = new Int32Array(2);
  const words = new Int16Array(entry.buffer);
  entry[0] = fd;
  words[2] = pollOut;
  if (pollNow(entry, 1) === 0) return false;
  const [value, length] = [new Int32Array(1), new Uint32Array([4])];
  if (sockets().getsockopt(fd, socketLevel, socketErrorOption, value, length) !== 0) throw failure("ask a socket");
  if (value[0] === 0) return true;
  const errno = errnoName(value[0] ?? 0);
  throw faultFrom(Object.assign(new Error(errno), { code: errno }), "connect a socket");
}

const socketPeerOption = 17;

/** SO_PEERCRED of a unix socket: the process at the other end, see unix(7). */
export function peerProcess(fd: number): number {
  // struct ucred: pid, uid, gid.
  const [credentials, length] = [new Int32Array(3), new Uint32Array([12])];
  if (sockets().getsockopt(fd, socketLevel, socketPeerOption, credentials, length) !== 0) {
    throw failure("ask who is connected");
  }
  return credentials[0] ?? 0;
}

/** getpeername(2): the address that the kernel gave, at most `bytesMax` bytes of it. */
export function peerAddress(fd: number, bytesMax: number): Uint8Array {
  const [address, length] = [new Uint8Array(bytesMax), new Uint32Array([bytesMax])];
  if (sockets().getpeername(fd, address, length) !== 0) throw failure("ask who is connected");
  return address.subarray(0, Math.min(bytesMax, length[0] ?? 0));
}

/** ioctl(2) for a request that answers with one 32-bit number. */
export function ioctlNumber(fd: number, request: number): number {
  const answer = new Uint32Array(1);
  if (sockets().ioctl(fd, request, answer) !== 0) throw failure("ask a device");
  return answer[0] ?? 0;
}

const scPageSize = 30;

/** Bytes of a memory page, as sysconf(3) says. */
export function sysconfPageBytes(): number {
  const bytes = Number(libc().sysconf(scPageSize));
  if (bytes <= 0) throw failure("ask for the page size");
  return bytes;
}

function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}
