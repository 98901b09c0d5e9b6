/**
 * A virtual machine as a test fixture: QEMU, a Debian kernel, busybox, and whatever files a test brings.
 *
 *     await using guest = await Guest.boot({ kernel: "6.1", memoryMiB: 1024 });
 *     const { status, stdout } = await guest.run("cat /proc/meminfo");
 *
 * Nothing here waits for a time: every wait is for a condition and has a deadline.
 */

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { sleep, systemClock } from "../../../src/base/clock.ts";
import { messageOf } from "../../../src/base/fault.ts";
import { accelerator } from "./accelerator.ts";
import { initramfsFor } from "./initramfs.ts";
import { findKernel, type KernelName } from "./kernels.ts";
import { CommandPort, type Answer } from "./port.ts";
import { memoryFileName, qemuCommand } from "./qemu.ts";
import { bootAgainText } from "../../support/outcome.ts";
import { makeExt4, makeRootDisk } from "./root-disk.ts";

export interface GuestOptions {
  readonly kernel: KernelName;
  readonly memoryMiB?: number;
  readonly cpus?: number;
  /** NUMA nodes, which share the memory and the processors equally. */
  readonly nodes?: number;
  /** v1: memory controller at /sys/fs/cgroup/memory, v2 tree without it at /sys/fs/cgroup/unified; only 6.1 has it. */
  readonly cgroup?: "v1" | "v2";
  /** More words for the kernel's command line. They come last, so `psi=0` overrides the `psi=1` that is the default. */
  readonly append?: string;
  /** Guest path to host path. Dynamically linked programs bring their libraries along. */
  readonly files?: Readonly<Record<string, string>>;
  /** Room on the root disk beside the files; 128 MiB by default. */
  readonly spareMiB?: number;
  /** Swap on compressed memory (zram); none by default. */
  readonly swapMiB?: number;
  /** An empty ext4 disk at /data, for tests of the page cache; none by default. */
  readonly diskMiB?: number;
  /** The balloon with free page reporting; there by default. */
  readonly balloon?: boolean;
  /** How often it is booted where it panics before it takes commands; three times by default. */
  readonly bootsMax?: number;
}

export interface RunOptions {
  /** The command and its children are killed after this, and the call fails. */
  readonly timeoutMs?: number;
}

export interface UntilOptions {
  readonly deadlineMs: number;
  /** Completes "the guest did not see …". */
  readonly what: string;
  readonly intervalMs?: number;
}

/** A command that goes on in the guest while the test does other things. */
export interface GuestProcess {
  readonly pid: number;
  /** Settles at its end; fails when the guest dies first. */
  readonly exited: Promise<Answer>;
  /** What it has printed so far. */
  stdout(): Promise<string>;
  stderr(): Promise<string>;
  /** Sends a signal to the command and its children. */
  kill(signal?: "TERM" | "INT" | "HUP" | "KILL" | "STOP" | "CONT" | "USR1"): Promise<void>;
}

/** Boots take 4 to 8 s alone; a busy machine with two cores is many times slower. */
const bootDeadlineMs = 180_000;
const bootsMaxDefault = 3;
const panicText = "Kernel panic";
const runTimeoutMsDefault = 60_000;
const consoleBytesMax = 2 ** 20;

/** Where a failed guest leaves its console and dmesg. */
export const failureFolder = join(import.meta.dir, "../../../dist/guest-failures");

export class Guest {
  readonly kernel: KernelName;
  /** As `uname -r` prints it. */
  readonly release: string;
  readonly #port: CommandPort;
  readonly #qemu: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #scratch: string;
  #console = "";
  #failures = 0;
  #closed = false;

  private constructor(
    kernel: KernelName,
    release: string,
    port: CommandPort,
    qemu: Bun.Subprocess<"ignore", "pipe", "pipe">,
    scratch: string,
  ) {
    this.kernel = kernel;
    this.release = release;
    this.#port = port;
    this.#qemu = qemu;
    this.#scratch = scratch;
  }

  /**
   * Resolves when the guest takes commands. One that panics before its first command is booted again: emulated with
   * several threads, kernels do that now and then (7.2 in `set_next_task_fair`), and no test has begun by then.
   *
   * @throws when the guest dies, or is not up before the deadline; the message carries the console's end.
   */
  static async boot(options: GuestOptions): Promise<Guest> {
    if (options.cgroup === "v1" && options.kernel !== "6.1") {
      throw new Error(`cannot boot ${options.kernel} with cgroup v1: it has no such memory controller; use 6.1`);
    }
    for (let boots = 1; ; boots++) {
      try {
        return await Guest.#bootOnce(options);
      } catch (error) {
        if (boots >= (options.bootsMax ?? bootsMaxDefault) || !messageOf(error).includes(panicText)) throw error;
        console.log(`${bootAgainText} ${options.kernel}`);
      }
    }
  }

  static async #bootOnce(options: GuestOptions): Promise<Guest> {
    const kernel = await findKernel(options.kernel);
    const scratch = makeScratch(tmpdir());
    let port: CommandPort | null = null;
    try {
      const socketPath = join(scratch, "port");
      const rootDisk = join(scratch, "root.ext4");
      const rootFolder = join(scratch, "root");
      mkdirSync(rootFolder);
      await makeRootDisk(rootDisk, options.files ?? {}, rootFolder, options.spareMiB);
      rmSync(rootFolder, { recursive: true });
      const dataDisk = options.diskMiB === undefined ? null : join(scratch, "data.ext4");
      if (dataDisk !== null) await makeExt4(dataDisk, options.diskMiB ?? 0, null);

      port = await CommandPort.listen(socketPath);
      const command = qemuCommand(options, {
        accelerator: await accelerator(),
        image: kernel.image,
        initramfs: initramfsFor(kernel),
        socketPath,
        rootDisk,
        dataDisk,
      });
      const qemu = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
      const guest = new Guest(options.kernel, kernel.release, port, qemu, scratch);
      void guest.#watch();
      await guest.#up();
      return guest;
    } catch (error) {
      port?.close();
      rmSync(scratch, { recursive: true, force: true });
      throw error;
    }
  }

  /** What the kernel and the guest's first programs printed, the last MiB of it. */
  get console(): string {
    return this.#console;
  }

  /**
   * Runs a shell script to its end. Any number may run at once.
   *
   * @throws when the time is over or the guest dies; a non-zero status is an answer.
   */
  async run(script: string, { timeoutMs = runTimeoutMsDefault }: RunOptions = {}): Promise<Answer> {
    const job = this.#port.start(script);
    const inTime = await settled(job.done, timeoutMs);
    if (inTime !== null) return inTime.value;
    const pid = await settled(job.started, 1000);
    if (pid !== null) this.#port.start(`kill -KILL -- -${pid.value}`);
    throw await this.#failed(`ran longer than ${timeoutMs} ms: ${script}`);
  }

  /** As `run`, for scripts that must succeed: returns what they printed. */
  async sh(script: string, options: RunOptions = {}): Promise<string> {
    const { status, stdout, stderr } = await this.run(script, options);
    if (status === 0) return stdout;
    throw await this.#failed(`exit ${status} from: ${script}\n${stdout.slice(-4000)}${stderr.slice(-4000)}`);
  }

  /** Starts a shell script and leaves it running. `exec` its program where the pid must be the program's own. */
  async spawn(script: string): Promise<GuestProcess> {
    const job = this.#port.start(script);
    const pid = await job.started;
    const soFar = async (file: string): Promise<string> => (await this.run(`cat /run/guest/${job.id}/${file}`)).stdout;
    return {
      pid,
      exited: job.done,
      stdout: () => soFar("out"),
      stderr: () => soFar("err"),
      kill: async (signal = "TERM") => {
        await this.run(`kill -${signal} -- -${pid}`);
      },
    };
  }

  /** Writes a file in one write; the folder must be there. */
  async write(path: string, text: string): Promise<void> {
    await this.sh(`printf %s '${Buffer.from(text).toString("base64")}' | base64 -d > ${shellWord(path)}`);
  }

  async read(path: string): Promise<string> {
    return this.sh(`cat ${shellWord(path)}`);
  }

  /** Polls until the condition holds and returns what it gave: anything but false, null and undefined. */
  async until<T>(
    condition: () => Promise<T | false | null | undefined> | T | false | null | undefined,
    { deadlineMs, what, intervalMs = 100 }: UntilOptions,
  ): Promise<T> {
    const end = systemClock.monotonicMs() + deadlineMs;
    do {
      const value = await condition();
      if (value !== false && value !== null && value !== undefined) return value;
      await sleep(systemClock, intervalMs);
    } while (systemClock.monotonicMs() < end);
    throw await this.#failed(`the guest did not see ${what} within ${deadlineMs} ms`);
  }

  /** What this guest costs its host now, to the page: the blocks of the files that are its memory. */
  hostMiB(): number {
    const folder = `/proc/${this.#qemu.pid}/fd`;
    const files = readdirSync(folder)
      .map((name) => join(folder, name))
      .filter((path) => linkOf(path).startsWith(`/memfd:${memoryFileName}`));
    if (files.length === 0) throw new Error(`cannot measure the guest's memory: QEMU has no ${memoryFileName} open`);
    return files.reduce((sum, path) => sum + statSync(path).blocks * 512, 0) / 2 ** 20;
  }

  async dmesg(): Promise<string> {
    return this.sh("dmesg", { timeoutMs: 20_000 });
  }

  /** Saves console and dmesg of a failure under dist/guest-failures and returns the folder. */
  async keepEvidence(reason: string): Promise<string> {
    const folder = join(
      failureFolder,
      `${new Date().toISOString().replaceAll(":", "-")}-${this.kernel}-${process.pid}`,
    );
    mkdirSync(folder, { recursive: true });
    appendFileSync(join(folder, "reason.txt"), `${reason}\n`);
    writeFileSync(join(folder, "console.txt"), this.#console);
    const dmesg = await settled(this.#port.start("dmesg").done, 10_000).catch(() => null);
    if (dmesg !== null) writeFileSync(join(folder, "dmesg.txt"), dmesg.value.stdout);
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#qemu.kill("SIGKILL");
    await this.#qemu.exited;
    this.#port.close();
    rmSync(this.#scratch, { recursive: true, force: true });
  }

  async #up(): Promise<void> {
    try {
      if ((await settled(this.#port.ready, bootDeadlineMs)) !== null) return;
      throw new Error(`it took no command within ${bootDeadlineMs} ms`);
    } catch (error) {
      const failure = await this.#failed(`cannot boot ${this.kernel}: ${messageOf(error)}`);
      await this[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** Follows the console, and fails all commands as soon as QEMU ends; a kernel that panics ends it. */
  async #watch(): Promise<void> {
    const follow = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
      const decoder = new TextDecoder();
      for await (const part of stream) {
        this.#console = (this.#console + decoder.decode(part, { stream: true })).slice(-consoleBytesMax);
      }
    };
    await Promise.all([follow(this.#qemu.stdout), follow(this.#qemu.stderr)]);
    const status = await this.#qemu.exited;
    if (!this.#closed) this.#port.fail(new Error(`the guest died (QEMU exit ${status})\n${this.#consoleEnd()}`));
  }

  #consoleEnd(): string {
    return this.#console.slice(-3000);
  }

  /** One guest can fail often (a broken test in a loop); the first few say enough. */
  async #failed(reason: string): Promise<Error> {
    this.#failures += 1;
    const kept = this.#failures > 3 ? "" : `\n(console and dmesg: ${await this.keepEvidence(reason)})`;
    return new Error(`guest ${this.kernel}: ${reason}${kept}`);
  }
}

/** What a descriptor is open on; nothing where it was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** A new folder for a guest's disks. Those of tests that were killed are removed: they hold a disk each. */
function makeScratch(folder: string): string {
  for (const name of readdirSync(folder)) {
    const owner = /^mem-agent-guest-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`))
      rmSync(join(folder, name), { recursive: true, force: true });
  }
  return mkdtempSync(join(folder, `mem-agent-guest-${process.pid}-`));
}

/** The path or word as one word of a shell script. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The value once it is there, or null after `timeoutMs`. A rejection passes through. */
async function settled<T>(promise: Promise<T>, timeoutMs: number): Promise<{ readonly value: T } | null> {
  const timer = Promise.withResolvers<null>();
  const pending = systemClock.after(timeoutMs, () => timer.resolve(null));
  try {
    return await Promise.race([promise.then((value) => ({ value })), timer.promise]);
  } finally {
    pending.cancel();
  }
}
