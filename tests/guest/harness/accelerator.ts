/**
 * KVM where it works, else QEMU's own emulation. Whether it works is tried, since /dev/kvm may be there and a kernel hang
 * early all the same: a kernel is booted that finds nothing to start, so that it panics and QEMU ends.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { cacheFolder, findKernel, moveIntoPlace } from "./kernels.ts";

export type Accelerator = "kvm" | "tcg";

/** Alone it takes one or two. */
const trialSecsMax = 5;

/** What QEMU is told to use. */
export const acceleratorOptions: Readonly<Record<Accelerator, readonly string[]>> = {
  kvm: ["-accel", "kvm", "-cpu", "host"],
  // QEMU 7.2 emulates cmpxchg16b wrongly with several threads: kernels that use it panic at random.
  tcg: ["-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max,-cx16"],
};

let known: Promise<Accelerator> | null = null;

/** Tried once a machine and kernel of the host, and remembered in the cache folder. */
export function accelerator(): Promise<Accelerator> {
  known ??= remembered();
  return known;
}

async function remembered(): Promise<Accelerator> {
  if (!existsSync("/dev/kvm")) return "tcg";
  const host = ["/proc/sys/kernel/osrelease", "/proc/cpuinfo"].map((path) => readFileSync(path, "utf8"));
  const machine = [host[0], /^model name.*$/m.exec(host[1] ?? "")?.[0]].join();
  const folder = join(cacheFolder(), "accelerator");
  const path = join(folder, createHash("sha256").update(machine).digest("hex").slice(0, 16));
  if (existsSync(path)) return readFileSync(path, "utf8").trim() === "kvm" ? "kvm" : "tcg";
  const found = (await kvmWorks()) ? "kvm" : "tcg";
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${path}.${process.pid}`, `${found}\n`);
  moveIntoPlace(`${path}.${process.pid}`, path);
  return found;
}

async function kvmWorks(): Promise<boolean> {
  const { image } = await findKernel("6.12");
  const qemu = Bun.spawn(
    [
      ["timeout", "-s", "KILL", `${trialSecsMax}`, "qemu-system-x86_64"],
      acceleratorOptions.kvm,
      ["-m", "512", "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
      ["-serial", "stdio", "-kernel", image, "-append", "console=ttyS0 panic=-1"],
    ].flat(),
    { stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  );
  const console = await new Response(qemu.stdout).text();
  return (await qemu.exited) === 0 && console.includes("Kernel panic");
}
