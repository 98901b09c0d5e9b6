/**
 * `/proc/cpuinfo`: whether this is a virtual machine, as far as the processor says so. proc_cpuinfo(5).
 *
 *     flags		: fpu vme de pse … hypervisor lahf_lm
 */
import { readText } from "../system/pseudo-file.ts";

/** x86 has a flag for it, which every hypervisor sets; null on other processors, which have none. Never throws. */
export function parseIsVirtual(text: string): boolean | null {
  const flags = /^flags\s*:(.*)$/m.exec(text)?.[1];
  return flags === undefined ? null : / hypervisor( |$)/.test(flags);
}

/** Faults: `missing`, `io`. */
export function readIsVirtual(root: string): boolean | null {
  return parseIsVirtual(readText(root, "/proc/cpuinfo"));
}
