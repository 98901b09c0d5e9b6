/** The size of a page of memory: 4 KiB on x86-64; 4, 16 or 64 KiB on arm64. sysconf(3), _SC_PAGESIZE. */
import { sysconfPageBytes } from "./libc.ts";

let known: number | null = null;

/** Bytes of a page. It cannot change while the machine runs, so it is asked once. */
export function pageBytes(): number {
  known ??= sysconfPageBytes();
  return known;
}
