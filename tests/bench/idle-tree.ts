/**
 * A tree of kernel files with any number of idle cgroups, for runs on a machine whose kernel has no multi-gen LRU or
 * whose memory is not ours to evict.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const calm = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=567\n";

/**
 * Commands go to the same file that is read: what is written lands in a first line that no reader understands, made so
 * long that many runs do not fill it.
 */
const commandBytesMax = 24;
const runsMax = 16;

export class IdleTree implements Disposable {
  /** How much of lru_gen's text is room for commands. */
  static readonly roomBytesPerCgroup = commandBytesMax * runsMax;

  readonly root = mkdtempSync(join(tmpdir(), "mem-agent-idle-"));
  /** Bytes of lru_gen's text, without the room for commands. */
  readonly textBytes: number;

  /** With `coldPages` each cgroup has so many file pages in its oldest generation, and the files that a plan reads. */
  constructor(cgroups: number, coldPages = 0) {
    const paths = ["/", ...Array.from({ length: cgroups }, (_, index) => `/idle/pod${index}`)];
    paths.splice(1, 0, "/idle");
    const text = paths.map((path, index) => listing(path, index, coldPages)).join("");
    const room = "x".repeat(paths.length * IdleTree.roomBytesPerCgroup);
    this.textBytes = text.length;
    this.#write("proc/self/mountinfo", mounts);
    this.#write("proc/self/status", "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n");
    this.#write("proc/sys/kernel/osrelease", "6.12.1-bench\n");
    this.#write(
      "proc/meminfo",
      "MemTotal: 4000000 kB\nMemFree: 1000000 kB\nMemAvailable: 2000000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
    );
    this.#write("sys/kernel/mm/lru_gen/enabled", "0x0007\n");
    this.#write("sys/kernel/debug/lru_gen", `memcg ${room}\n${text}`);
    this.#write("sys/fs/cgroup/cgroup.controllers", "cpu io memory\n");
    this.#pressure("proc/pressure");
    for (const path of paths) {
      const folder = `sys/fs/cgroup${path === "/" ? "" : path}`;
      this.#cgroup(folder);
      if (coldPages > 0) this.#planned(folder);
    }
  }

  #cgroup(folder: string): void {
    this.#write(`${folder}/memory.current`, "4096\n");
    for (const resource of ["memory", "io"]) this.#linkPressure(resource, `${folder}/${resource}.pressure`);
  }

  #planned(folder: string): void {
    for (const file of ["memory.min", "memory.low"]) this.#write(`${folder}/${file}`, "0\n");
    this.#write(`${folder}/memory.stat`, memoryStat);
    this.#write(`${folder}/cpu.stat`, "usage_usec 1000\nuser_usec 500\nsystem_usec 500\n");
  }

  #pressure(folder: string): void {
    for (const resource of ["memory", "io"]) this.#write(`${folder}/${resource}`, calm);
  }

  /** The machine's own pressure where it has any: the kernel makes the text anew at each read, as for a cgroup. */
  #linkPressure(resource: string, path: string): void {
    const real = `/proc/pressure/${resource}`;
    if (existsSync(real)) symlinkSync(real, join(this.root, path));
    else this.#write(path, calm);
  }

  #write(path: string, text: string): void {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

const memoryStat = readFileSync(join(import.meta.dir, "../fixtures/6.12/sys/fs/cgroup/work/memory.stat"), "utf8");

const mounts = [
  "25 1 254:0 / / rw - ext4 /dev/vda rw",
  "29 24 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
  "31 24 0:7 / /sys/kernel/debug rw - debugfs debugfs rw",
  "",
].join("\n");

/** Four generations, all long ago, and in the oldest what is cold. */
function listing(path: string, index: number, coldPages: number): string {
  return (
    `memcg ${String(index + 1).padStart(5)} ${path}\n node     0\n` +
    row(2, 2_400_000, 0, coldPages) +
    row(3, 1_800_000, 12, 34) +
    row(4, 1_200_000, 56, 78) +
    row(5, 600_000, 90, 12)
  );
}

function row(...columns: readonly number[]): string {
  return ` ${columns.map((column) => String(column).padStart(10)).join(" ")} \n`;
}
