/**
 * `/sys/module/page_reporting/parameters/page_reporting_order`: free page reporting tells the host of free blocks of at
 * least 2^N pages, which it may take. Linux 5.7, mm/page_reporting.c; a parameter since 5.14.
 *
 *     9
 *
 * Kernels since 6.5 say 4294967295 (-1) until a driver has switched reporting on: see virtio-balloon.ts for whether one has.
 */
import { decimalOrNull, malformed, readTextIfThere } from "../system/pseudo-file.ts";

const place = "/sys/module/page_reporting/parameters/page_reporting_order";
/** Above every order that a kernel has (10; 13 with 64 KiB pages). */
const orderLimit = 32;

/** Null for the number that stands for "not on yet". Fault `malformed`. */
export function parseReportingOrder(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === "-1") return null;
  const order = decimalOrNull(trimmed);
  if (order === null) throw malformed(place, "no order", text);
  return order < orderLimit ? order : null;
}

/** Least order that is reported; null where the kernel cannot report, or does not yet. Faults: `malformed`, `io`. */
export function readReportingOrder(root: string): number | null {
  const text = readTextIfThere(root, place);
  return text === null ? null : parseReportingOrder(text);
}
