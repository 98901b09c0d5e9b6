/** A kernel's files for tests of compaction: what they say is set, as the kernel would change it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../../src/base/clock.ts";
import type { CompactChild, SpawnChild } from "../../../src/agent/compact/process.ts";

const orders = 11;

function row(numbers: readonly number[]): string {
  return numbers.map((count) => String(count).padStart(6)).join(" ");
}

export class CompactKernel implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "mem-agent-compact-"));
  #ownFolder = "";
  #ownUs = 0;
  #memoryUs = 0;

  constructor() {
    for (const folder of ["proc/pressure", "proc/sys/vm", "sys/module/page_reporting/parameters"]) {
      mkdirSync(join(this.root, folder), { recursive: true });
    }
    this.setFree({ 0: 1000, 9: 10 });
    this.setReportingOrder(9);
    this.setWork({ migrateScanned: 100, freeScanned: 200, isolated: 10 });
    this.stall(0);
    this.#write("proc/sys/vm/compact_memory", "");
  }

  /** Free movable blocks by order; those that are not named are none. */
  setFree(blocks: Readonly<Record<number, number>>): void {
    const counts = Array.from({ length: orders }, (_, order) => blocks[order] ?? 0);
    const none = counts.map(() => 0);
    this.#write("proc/buddyinfo", `Node 0, zone   Normal ${row(counts)} \n`);
    this.#write(
      "proc/pagetypeinfo",
      [
        "Page block order: 9",
        "Pages per block:  512",
        "",
        `Free pages count per migrate type at order ${row([...counts.keys()])} `,
        `Node    0, zone   Normal, type    Unmovable ${row(none)} `,
        `Node    0, zone   Normal, type      Movable ${row(counts)} `,
        `Node    0, zone   Normal, type  Reclaimable ${row(none)} `,
        "",
        "Number of blocks type     Unmovable      Movable  Reclaimable ",
        "Node 0, zone   Normal             0            1            0 ",
        "",
      ].join("\n"),
    );
  }

  /** The kernel's counters of compaction, all in pages. */
  setWork(work: { readonly migrateScanned: number; readonly freeScanned: number; readonly isolated: number }): void {
    const { migrateScanned, freeScanned, isolated } = work;
    this.#write(
      "proc/vmstat",
      `compact_migrate_scanned ${migrateScanned}\ncompact_free_scanned ${freeScanned}\ncompact_isolated ${isolated}\n` +
        "compact_stall 0\ncompact_fail 0\ncompact_success 0\n",
    );
  }

  setReportingOrder(order: number): void {
    this.#write("sys/module/page_reporting/parameters/page_reporting_order", `${order}\n`);
  }

  /** The agent has a cgroup to itself. */
  makeOwnCgroup(path: string): void {
    for (const folder of ["proc/self", "sys/fs/cgroup"]) mkdirSync(join(this.root, folder), { recursive: true });
    this.#write("proc/self/mountinfo", "29 24 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    this.#write("sys/fs/cgroup/cgroup.controllers", "io memory\n");
    this.#ownFolder = `sys/fs/cgroup${path}`;
    mkdirSync(join(this.root, this.#ownFolder), { recursive: true });
    this.stallOwn(0);
  }

  /** So much of the system's stall was the agent's own. */
  stallOwn(ms: number): void {
    this.#ownUs += ms * 1000;
    for (const [resource, us] of [
      ["memory", this.#ownUs],
      ["io", 0],
    ] as const) {
      this.#write(`${this.#ownFolder}/${resource}.pressure`, `some avg10=0.00 avg60=0.00 avg300=0.00 total=${us}\n`);
    }
    this.stall(ms);
  }

  /** The system stalled so many milliseconds more for memory. Also mends what an armed trigger left in the file. */
  stall(ms: number): void {
    this.#memoryUs += ms * 1000;
    for (const [resource, us] of [
      ["memory", this.#memoryUs],
      ["io", 0],
    ] as const) {
      this.#write(`proc/pressure/${resource}`, `some avg10=0.00 avg60=0.00 avg300=0.00 total=${us}\n`);
    }
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }

  #write(path: string, text: string): void {
    writeFileSync(join(this.root, path), text);
  }
}

/** A clock that a test moves; what is due happens on the way, in order. */
export class ManualClock implements Clock {
  #nowMs = 1000;
  readonly #pending = new Set<{ readonly atMs: number; readonly act: () => void }>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, then: () => void): { cancel(): void } {
    const entry = { atMs: this.#nowMs + Math.max(0, delayMs), act: then };
    this.#pending.add(entry);
    return { cancel: () => void this.#pending.delete(entry) };
  }

  /** How many timers are armed. */
  get armed(): number {
    return this.#pending.size;
  }

  /** Moves without letting anything happen. */
  advance(ms: number): void {
    this.#nowMs += ms;
  }

  /** Lets `ms` pass in steps of at most 10 ms, with everything that promises do in between. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 10) {
      this.#nowMs += Math.min(10, left);
      for (const entry of [...this.#pending].filter((entry) => entry.atMs <= this.#nowMs)) {
        if (this.#pending.delete(entry)) entry.act();
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Processes that end when a test says so. */
export class FakeChildren {
  readonly started: FakeChild[] = [];
  /** When what is started next is ready to compact. */
  ready = Promise.resolve();
  readonly #kernel: CompactKernel;

  constructor(kernel: CompactKernel) {
    this.#kernel = kernel;
  }

  readonly spawn: SpawnChild = (command) => {
    this.#kernel.stall(0);
    const child = new FakeChild(100 + this.started.length, command, this.ready);
    this.started.push(child);
    return child;
  };

  get last(): FakeChild {
    const child = this.started.at(-1);
    if (child === undefined) throw new Error("no process was started");
    return child;
  }
}

export class FakeChild implements CompactChild {
  readonly pid: number;
  readonly command: readonly string[];
  readonly ready: Promise<void>;
  readonly ended: Promise<string | null>;
  /** Ends it: null for success, else what went wrong. */
  readonly end: (error: string | null) => void;
  kills = 0;
  /** False: stays in the kernel although it was killed. */
  mortal = true;

  constructor(pid: number, command: readonly string[], ready: Promise<void>) {
    this.pid = pid;
    this.command = command;
    this.ready = ready;
    const { promise, resolve } = Promise.withResolvers<string | null>();
    this.ended = promise;
    this.end = resolve;
  }

  kill(): void {
    this.kills += 1;
    if (this.mortal) this.end("killed by SIGKILL");
  }
}
