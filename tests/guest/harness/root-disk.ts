/** The root file system of a guest, as a disk image: busybox, the guest's scripts, and the files that a test brings. */

import { copyFileSync, chmodSync, cpSync, existsSync, linkSync, mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";

import { checked } from "./commands.ts";
import { busyboxPath } from "./initramfs.ts";

/** Room beside the files, for what tests write: logs, and small files of their own. */
const spareMiBDefault = 128;

/**
 * Makes `image`, a sparse ext4 file.
 *
 * @param files guest path to host path; dynamically linked programs bring their libraries along.
 * @param scratch an empty folder, on the same file system as `image`.
 */
export async function makeRootDisk(
  image: string,
  files: Readonly<Record<string, string>>,
  scratch: string,
  spareMiB = spareMiBDefault,
): Promise<void> {
  for (const folder of ["bin", "sbin", "etc", "dev", "proc", "sys", "tmp", "run", "root", "data", "var", "usr/bin"]) {
    mkdirSync(join(scratch, folder), { recursive: true });
  }
  copyFileSync(busyboxPath, join(scratch, "bin/busybox"));
  const { out: applets } = await checked([busyboxPath, "--list"], scratch);
  for (const applet of applets.split("\n").filter((name) => name !== "" && name !== "busybox")) {
    symlinkSync("/bin/busybox", join(scratch, applet === "init" ? "sbin" : "bin", applet));
  }
  const scripts = join(import.meta.dir, "root");
  cpSync(join(scripts, "inittab"), join(scratch, "etc/inittab"));
  for (const script of ["guest-setup", "guest-server"]) {
    cpSync(join(scripts, script), join(scratch, "sbin", script));
    chmodSync(join(scratch, "sbin", script), 0o755);
  }

  for (const [guestPath, hostPath] of Object.entries(files)) place(hostPath, join(scratch, guestPath));
  for (const library of await librariesOf(Object.values(files))) {
    const target = join(scratch, library);
    if (!existsSync(target)) place(library, target);
  }

  const { out: used } = await checked(["du", "-sm", scratch], scratch);
  await makeExt4(image, Number.parseInt(used, 10) + spareMiB, scratch);
}

/** Makes an ext4 image, empty or with the content of a folder. It needs no journal: no guest starts twice. */
export async function makeExt4(image: string, sizeMiB: number, content: string | null): Promise<void> {
  const options = ["-q", "-F", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=1,root_owner=0:0"];
  const source = content === null ? [] : ["-d", content];
  await checked(["mkfs.ext4", ...options, ...source, image, `${sizeMiB}M`], dirname(image));
}

/** Linked where that is possible: the agent's executable is 109 MB. */
function place(hostPath: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  const source = realpathSync(hostPath);
  try {
    linkSync(source, target);
  } catch {
    copyFileSync(source, target);
  }
}

/** Paths of the shared libraries and loaders of these programs. Scripts and static programs have none. */
async function librariesOf(programs: readonly string[]): Promise<ReadonlySet<string>> {
  const libraries = new Set<string>();
  for (const program of programs) {
    const child = Bun.spawn(["ldd", program], { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`
    for (const line of (await new Response(child.stdout).text()).split("\n")) {
      const path = /^\s*(?:\S+ => )?(\/\S+) \(0x[0-9a-f]+\)$/.exec(line)?.[1];
      if (path !== undefined) libraries.add(path);
    }
    await child.exited;
  }
  return libraries;
}
