/** Which module may import which: the folders of src in the order in which they build on each other. */

import { posix } from "node:path";

import { folderOf, type Import } from "./source-tree.ts";

const order = ["base", "config", "kernel", "core", "agent", "api", "cli"] as const;

/** Each touches ordinary files only, and this is why; files of the kernel are read in src/kernel alone. */
const ordinaryFiles: Readonly<Record<string, string>> = {
  "src/base/log-output.ts": "the log file",
  "src/agent/config-file.ts": "the configuration file",
  "src/agent/config-save.ts": "the configuration file, written",
  "src/api/listener.ts": "the control socket's place in the file system",
  "src/api/run-daemon.ts": "whether the configuration file that was asked for is there",
  "src/cli/config-file.ts": "the configuration file that a command is given",
  "src/cli/doctor.ts": "the path of the program's own file",
  "src/cli/handover.ts": "whether the program's own file can be started again",
  "src/cli/output.ts": "standard output, in one write before the end",
};

/** Why this import is not allowed, or null where it is. */
export function forbiddenImport(from: string, wanted: Import): string | null {
  const { specifier, typeOnly } = wanted;
  if (!specifier.startsWith(".")) return forbiddenPackage(from, specifier);
  if (!/\.(ts|json|sh|txt|toml)$/.test(specifier)) return "imports of our own files end with .ts";

  const to = posix.join(posix.dirname(from), specifier);
  if (!to.startsWith("src/")) return to === "package.json" ? null : "src imports nothing from outside src";
  const [here, there] = [folderOf(from), folderOf(to)];
  if (here === null || here === there) return null;
  if (there === null) return "nothing imports src/main.ts";
  const [rank, rankThere] = [order.findIndex((name) => name === here), order.findIndex((name) => name === there)];
  if (rank === -1 || rankThere === -1) return `a folder that has no place in ${order.join(", ")}`;
  if (rankThere > rank) return `${here} comes before ${there}`;
  if (here === "kernel" && there === "config") return "config and kernel do not see each other";
  if (here === "core" && there === "kernel" && !typeOnly) return "core takes only types from kernel";
  return null;
}

function forbiddenPackage(from: string, specifier: string): string | null {
  const inKernel = folderOf(from) === "kernel";
  if (specifier === "bun:ffi") return inKernel ? null : "bun:ffi is for src/kernel";
  if (!/^(node:)?fs(\/promises)?$/.test(specifier)) return null;
  if (inKernel || Object.hasOwn(ordinaryFiles, from)) return null;
  return "node:fs is for src/kernel and for the files that tests/house/import-rules.ts lists with a reason";
}
