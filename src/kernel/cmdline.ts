/**
 * `/proc/cmdline`: what the kernel was started with. Documentation/admin-guide/kernel-parameters.rst.
 *
 *     BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro psi=1 dyndbg="file a.c +p"
 *
 * Parameters are parted by white space, which double quotes keep together. After ` -- ` they are for init.
 */
import { readText } from "../system/pseudo-file.ts";

/** Parameters by name, null for one without a value. Of several with one name the last counts. Never throws. */
export function parseCmdline(text: string): ReadonlyMap<string, string | null> {
  const parameters = new Map<string, string | null>();
  for (const word of text.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? []) {
    if (word === "--") break;
    const plain = word.replaceAll('"', "");
    const equals = plain.indexOf("=");
    if (equals < 0) parameters.set(plain, null);
    else parameters.set(plain.slice(0, equals), plain.slice(equals + 1));
  }
  return parameters;
}

/** Faults: `missing`, `io`. */
export function readCmdline(root: string): ReadonlyMap<string, string | null> {
  return parseCmdline(readText(root, "/proc/cmdline"));
}
