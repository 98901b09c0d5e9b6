/** The command line of QEMU for a guest. */

import { acceleratorOptions, type Accelerator } from "./accelerator.ts";
import type { GuestOptions } from "./guest.ts";

export interface GuestParts {
  readonly accelerator: Accelerator;
  readonly image: string;
  readonly initramfs: string;
  /** A unix socket that listens already. */
  readonly socketPath: string;
  readonly rootDisk: string;
  readonly dataDisk: string | null;
}

export function qemuCommand(options: GuestOptions, parts: GuestParts): readonly string[] {
  const memoryMiB = options.memoryMiB ?? 1024;
  const cpus = options.cpus ?? 2;
  return [
    // A test that is killed cannot dispose of its guest; the kernel does it then.
    ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"],
    acceleratorOptions[parts.accelerator],
    ["-m", `${memoryMiB}`, "-smp", `${cpus}`],
    memoryOptions(options.nodes ?? 1, memoryMiB, cpus),
    ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"],
    ["-kernel", parts.image, "-initrd", parts.initramfs, "-append", commandLine(options, parts)],
    diskOptions(parts.rootDisk, "root"),
    parts.dataDisk === null ? [] : diskOptions(parts.dataDisk, "data"),
    ["-chardev", `socket,id=port,path=${parts.socketPath}`],
    ["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port,name=guest.port"],
    options.balloon === false ? [] : ["-device", "virtio-balloon-pci,free-page-reporting=on"],
  ].flat();
}

/** Words with `=` that the kernel does not know become the environment of the guest's first program. */
function commandLine(options: GuestOptions, parts: GuestParts): string {
  const words = ["console=ttyS0 loglevel=4 panic=-1 psi=1"];
  words.push(`CGROUP_MODE=${options.cgroup ?? "v2"}`, `ZRAM_MIB=${options.swapMiB ?? 0}`);
  if (parts.dataDisk !== null) words.push("DATA_DISK=vdb");
  if (options.append !== undefined) words.push(options.append);
  return words.join(" ");
}

function diskOptions(path: string, id: string): readonly string[] {
  const drive = `file=${path},if=none,id=${id},format=raw,cache=unsafe`;
  return ["-drive", drive, "-device", `virtio-blk-pci,drive=${id}`];
}

/** How the memory of a guest is called among the descriptors of its QEMU. */
export const memoryFileName = "memory-backend-memfd";

/** A file without a name, one a node: its blocks are what the host has given, and it is gone when QEMU is. */
function memoryOptions(nodes: number, memoryMiB: number, cpus: number): readonly string[] {
  const memory = (node: number): string =>
    `${memoryFileName},size=${Math.floor(memoryMiB / nodes)}M,id=m${node},share=on`;
  if (nodes === 1) return ["-object", memory(0), "-machine", "memory-backend=m0"];
  return Array.from({ length: nodes }, (_, node) => {
    const cpusHere = Array.from({ length: cpus }, (_, cpu) => cpu).filter((cpu) => cpu % nodes === node);
    const words = ["node", `nodeid=${node}`, `memdev=m${node}`, ...cpusHere.map((cpu) => `cpus=${cpu}`)];
    return ["-object", memory(node), "-numa", words.join(",")];
  }).flat();
}
