/**
 * `/sys/kernel/security/lockdown` (5.4+): how far the kernel is closed to root. From `integrity` on, files of debugfs
 * that can be written cannot be opened. See kernel_lockdown(7).
 *
 *     none [integrity] confidentiality
 */
import { readTextIfThere } from "./pseudo-file.ts";

/** The mode in brackets; null where the text has none. */
export function parseLockdown(text: string): string | null {
  return /\[([a-z]+)\]/.exec(text)?.[1] ?? null;
}

/** The mode in force; null where the kernel has no lockdown, or securityfs is not mounted. */
export function readLockdown(root: string): string | null {
  try {
    return parseLockdown(readTextIfThere(root, "/sys/kernel/security/lockdown") ?? "");
  } catch {
    return null; // not for this user to see
  }
}
