/**
 * `/proc/sys/kernel/osrelease`: the kernel's release, as uname(2) says it. For people and for hints only: what a
 * kernel can do is tried, not guessed from its number.
 *
 *     6.1.0-53-cloud-amd64
 */
import { malformed, readText } from "../system/pseudo-file.ts";

export interface KernelRelease {
  readonly release: string;
  readonly major: number;
  readonly minor: number;
}

const place = "/proc/sys/kernel/osrelease";

/** Fault `malformed`. */
export function parseKernelRelease(text: string): KernelRelease {
  const match = /^(\d{1,4})\.(\d{1,4})(?!\d)\S*\n?$/.exec(text);
  if (match === null) throw malformed(place, "no release", text);
  return { release: text.trim(), major: Number(match[1]), minor: Number(match[2]) };
}

/** Faults: `missing`, `malformed`, `io`. */
export function readKernelRelease(root: string): KernelRelease {
  return parseKernelRelease(readText(root, place));
}
