/** Which module may import which: the folders of src in the order in which they build on each other. */

import { posix } from "node:path";

import { folderOf, type Import } from "./source-tree.ts";

const order = ["base", "system", "config", "kernel", "core", "agent", "api", "manual", "cli"] as const;

/** The rooms of src/agent, each with the modules that others may import: its service, and what starts it. */
const doors: Readonly<Record<string, readonly string[]>> = {
  memcg: ["service"],
  compact: ["run", "child", "word"],
  daemon: ["daemon", "config-file", "trim"],
  doctor: ["prerequisites", "facts", "backend-choice", "check", "machine"],
};

/** Each touches ordinary files only, and this is why; files of the kernel are read in src/system and src/kernel alone. */
const ordinaryFiles: Readonly<Record<string, string>> = {
  "src/base/log-output.ts": "the log file",
  "src/agent/daemon/config-file.ts": "the configuration file: read, watched, replaced",
  "src/api/listener.ts": "the control socket's place in the file system",
  "src/api/control-socket.ts": "the watch on the control socket's file",
  "src/api/run-daemon.ts": "whether the configuration file that was asked for is there",
  "src/cli/fleet/guests.ts": "the sockets of VMMs that a glob stands for",
  "src/cli/verbs/config-file.ts": "the configuration file that a command is given",
  "src/cli/verbs/doctor.ts": "the path of the program's own file",
  "src/cli/handover.ts": "whether the program's own file can be started again",
  "src/cli/output.ts": "standard output, in one write before the end",
};

/** Why this import is not allowed, or null where it is. */
export function forbiddenImport(from: string, wanted: Import): string | null {
  const { specifier, typeOnly } = wanted;
  if (!specifier.startsWith(".")) return forbiddenPackage(from, specifier);
  if (!/\.(ts|json|md|yml|sh|txt|toml)$/.test(specifier)) return "imports of our own files end with .ts";

  const to = posix.join(posix.dirname(from), specifier);
  if (!to.startsWith("src/")) return to === "package.json" ? null : "src imports nothing from outside src";
  const [here, there] = [folderOf(from), folderOf(to)];
  if (here === null) return null;
  if (here === there) return forbiddenRoom(from, to);
  if (there === null) return "nothing imports src/main.ts";
  const [rank, rankThere] = [order.findIndex((name) => name === here), order.findIndex((name) => name === there)];
  if (rank === -1 || rankThere === -1) return `a folder that has no place in ${order.join(", ")}`;
  if (rankThere > rank) return `${here} comes before ${there}`;
  if (here === "kernel" && there === "config") return "config and kernel do not see each other";
  if (here === "core" && there === "kernel" && !typeOnly) return "core takes only types from kernel";
  return forbiddenRoom(from, to);
}

/** A room's insides are its own: whoever is outside goes through one of its doors. */
function forbiddenRoom(from: string, to: string): string | null {
  const [, room = "", name = ""] = /^src\/agent\/([^/]+)\/(.+)\.ts$/.exec(to) ?? [];
  if (room === "" || from.startsWith(`src/agent/${room}/`)) return null;
  const open = doors[room] ?? [];
  return open.includes(name) ? null : `agent/${room} is entered through ${open.join(", ")}`;
}

/** Modules that import each other in a circle, as one line each: `a.ts > b.ts > a.ts`. Types alone count too. */
export function circles(imports: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) {
      found.push([...trail.slice(at), path].join(" > "));
      return;
    }
    if (done.has(path)) return;
    for (const next of imports.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of imports.keys()) visit(path, []);
  return found;
}

function forbiddenPackage(from: string, specifier: string): string | null {
  const folder = folderOf(from);
  if (specifier === "bun:ffi") return from === "src/system/libc.ts" ? null : "bun:ffi is for src/system/libc.ts";
  if (!/^(node:)?fs(\/promises)?$/.test(specifier)) return null;
  if (folder === "system" || folder === "kernel" || Object.hasOwn(ordinaryFiles, from)) return null;
  return "node:fs is for src/system, src/kernel and for the files that tests/house/import-rules.ts lists with a reason";
}
