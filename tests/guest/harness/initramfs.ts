/** The first file system of a guest: busybox, the kernel modules it needs, and a script; one for each kernel, cached. */

import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

import { Fault } from "../../../src/base/fault.ts";
import { cacheFolder, moveIntoPlace, type Kernel } from "./kernels.ts";

/** In the order of need; what they depend on is found in the modules themselves, and what is built in is left out. */
const wantedModules = [
  "virtio_pci",
  "virtio_blk",
  "virtio_console",
  "virtio_balloon",
  // zram asks for its compressor at run time, and the guest has no modprobe to find it.
  "lzo",
  "lzo-rle",
  "zram",
  "vsock_loopback",
] as const;

export const busyboxPath = "/bin/busybox";

/** Path of the initramfs for this kernel, built if the cache has none with the same content. */
export function initramfsFor(kernel: Kernel): string {
  const modules = modulesInOrder(kernel.modules);
  const script = readFileSync(join(import.meta.dir, "initramfs-init.sh"));
  const busybox = readFileSync(busyboxPath);
  const order = modules.map((path) => `${moduleName(path)}.ko\n`).join("");
  const key = createHash("sha256").update(kernel.release).update(order).update(script).update(busybox).digest("hex");
  const folder = join(cacheFolder(), "initramfs");
  const path = join(folder, `${kernel.release}-${key.slice(0, 16)}.cpio`);
  if (existsSync(path)) return path;

  const archive = cpioArchive([
    ...["bin", "dev", "modules", "proc", "root", "sys"].map((name) => ({ name, mode: 0o040755, content: empty })),
    { name: "bin/busybox", mode: 0o100755, content: busybox },
    { name: "init", mode: 0o100755, content: script },
    { name: "modules/order", mode: 0o100644, content: Buffer.from(order) },
    ...modules.map((path) => ({
      name: `modules/${moduleName(path)}.ko`,
      mode: 0o100644,
      content: moduleContent(path),
    })),
  ]);
  mkdirSync(folder, { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, archive);
  moveIntoPlace(draft, path);
  return path;
}

const empty = Buffer.alloc(0);

/** Paths of the wanted modules and of all that they depend on, each after its dependencies. */
function modulesInOrder(folder: string): readonly string[] {
  const paths = new Map(
    globSync("kernel/**/*.ko*", { cwd: folder }).map((path) => [moduleName(path), join(folder, path)]),
  );
  const ordered = new Map<string, string>();
  // Depth is bounded by the kernel: module dependencies have no cycles.
  const visit = (name: string): void => {
    const path = paths.get(canonicalName(name));
    if (path === undefined || ordered.has(path)) return;
    for (const dependency of dependenciesOf(moduleContent(path))) visit(dependency);
    ordered.set(path, path);
  };
  for (const name of wantedModules) visit(name);
  return [...ordered.keys()];
}

function moduleName(path: string): string {
  return canonicalName(basename(path).replace(/\.ko(\.\w+)?$/, ""));
}

/** The kernel treats `-` and `_` in module names alike. */
function canonicalName(name: string): string {
  return name.replaceAll("-", "_");
}

/** A module's `.modinfo` section holds `depends=a,b` between NUL bytes. */
export function dependenciesOf(module: Buffer): readonly string[] {
  const at = module.indexOf("\0depends=");
  if (at === -1) return [];
  const start = at + "\0depends=".length;
  return module
    .toString("latin1", start, module.indexOf(0, start))
    .split(",")
    .filter((name) => name !== "");
}

function moduleContent(path: string): Buffer {
  if (path.endsWith(".ko")) return readFileSync(path);
  const unpacker = path.endsWith(".xz") ? [busyboxPath, "unxz", "-c", path] : ["zstd", "-dc", path];
  const done = Bun.spawnSync(unpacker, { stdin: "ignore", maxBuffer: 64 * 2 ** 20 });
  if (!done.success) throw new Fault("io", `cannot unpack ${path}: ${done.stderr.toString().trim()}`);
  return done.stdout;
}

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly content: Buffer;
}

/** The `newc` form of cpio, which the kernel documents in driver-api/early-userspace/buffer-format. */
export function cpioArchive(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  for (const [index, entry] of [...entries, { name: "TRAILER!!!", mode: 0, content: empty }].entries()) {
    const name = Buffer.from(`${entry.name}\0`);
    const fields = [index + 1, entry.mode, 0, 0, 1, 0, entry.content.length, 0, 0, 0, 0, name.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
    parts.push(padded(Buffer.concat([Buffer.from(header), name])), padded(entry.content));
  }
  return Buffer.concat(parts);
}

function padded(part: Buffer): Buffer {
  return Buffer.concat([part, Buffer.alloc((4 - (part.length % 4)) % 4)]);
}
