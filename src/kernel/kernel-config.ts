/**
 * How the running kernel was configured, from where distributions and kernels leave it: `/proc/config.gz`
 * (CONFIG_IKCONFIG_PROC), `/boot/config-RELEASE`, `/lib/modules/RELEASE/config`.
 *
 *     CONFIG_PSI=y
 *     # CONFIG_PSI_DEFAULT_DISABLED is not set
 */
import { readFileSync } from "node:fs";
import { readText, under } from "../system/pseudo-file.ts";

export interface KernelConfig {
  /** Where it was read, as seen inside the root. */
  readonly path: string;
  /** The value of an option (`"y"`, `"m"`, a text), null where it is not set. */
  option(name: string): string | null;
}

/** The value of one option in the text of a configuration; null where it is not set. */
export function findOption(text: string, name: string): string | null {
  const start = text.startsWith(`${name}=`) ? 0 : text.indexOf(`\n${name}=`) + 1;
  if (start === 0 && !text.startsWith(`${name}=`)) return null;
  const end = text.indexOf("\n", start);
  return text.slice(start + name.length + 1, end < 0 ? undefined : end).replace(/^"(.*)"$/, "$1");
}

/** A configuration is about 250 KB; what unpacks to more than this is something else. */
const configBytesMax = 4 << 20;

/** node:zlib brings streams along: 1.2 MB of private memory, for a file that is only read where something is amiss. */
function unpacked(bytes: Buffer): Buffer {
  return process.getBuiltinModule("node:zlib").gunzipSync(bytes, { maxOutputLength: configBytesMax });
}

/** The running kernel's configuration; null where it was left nowhere. `release` as `uname -r` says it. */
export function readKernelConfig(root: string, release: string | null): KernelConfig | null {
  const paths = ["/proc/config.gz"];
  if (release !== null) paths.push(`/boot/config-${release}`, `/lib/modules/${release}/config`);
  for (const path of paths) {
    try {
      const bytes = readFileSync(under(root, path));
      const text = path.endsWith(".gz") ? unpacked(bytes).toString("latin1") : bytes.toString("latin1");
      if (!text.includes("CONFIG_")) continue;
      return { path, option: (name) => findOption(text, name) };
    } catch {
      continue;
    }
  }
  return null;
}

/** Whether the kernel has a function of that name, by `/proc/kallsyms` (about 10 MB); null where that cannot be read. */
export function hasKernelSymbol(root: string, name: string): boolean | null {
  try {
    const text = readText(root, "/proc/kallsyms");
    return text.length === 0 ? null : new RegExp(`^[0-9a-f]+ \\w ${name}(\\s|$)`, "m").test(text);
  } catch {
    return null;
  }
}
