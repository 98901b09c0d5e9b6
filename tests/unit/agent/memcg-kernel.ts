/**
 * A small kernel for tests of memcg runs: real files for what is read (cgroups, pressure, usage), a model of the multi-gen
 * LRU behind lru_gen's face, and a clock that a test moves.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { LruGenFile } from "../../../src/agent/memcg/lru-gen.ts";
import { Fault } from "../../../src/base/fault.ts";
import type { Generation } from "../../../src/core/eviction.ts";
import type { WriteEnd } from "../../../src/kernel/lru-gen.ts";
import type { LruGenScan, LruGenVisitor } from "../../../src/kernel/lru-gen-scan.ts";
import { lineage, memoryStatText, sizesOf } from "./memcg-files.ts";
import { SteppedClock } from "./stepped-clock.ts";

export const pageBytes = 4096;
const generationsMax = 4;
const mount = "sys/fs/cgroup";

export interface NodeSizes {
  readonly anonPages: number;
  readonly filePages: number;
}

interface ModelNode {
  readonly node: number;
  /** Oldest first. `bornMs` is when the generation was made. */
  readonly generations: { readonly seq: number; readonly bornMs: number; anonPages: number; filePages: number }[];
}

interface ModelCgroup {
  readonly path: string;
  id: string;
  readonly nodes: ModelNode[];
}

/** What a command meets: the kernel's refusal, or a signal in its middle. */
export type Accident = Fault | "interrupted" | null;

export class MemcgKernel implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "mem-agent-memcg-"));
  readonly clock: SteppedClock;
  /** Every command that was carried out or refused, as it was written. */
  readonly commands: string[] = [];
  /** Asked before each command; it may also change the machine. */
  meets: (command: string) => Accident = () => null;
  /** What each command waits for, off the event loop. */
  holds: () => Promise<void> = () => Promise.resolve();
  /** How long a command takes, in milliseconds. */
  commandMs = 5;
  /** Pages that an eviction frees at most, whatever it is asked for. */
  frees = Number.POSITIVE_INFINITY;
  looks = 0;
  opened = 0;
  /** As Linux 7.2: lru_gen's ids are inodes. Those of the model are not, unless a test says so with `identify`. */
  idsAreInodes = false;
  readonly #cgroups = new Map<string, ModelCgroup>();
  readonly #dead: ModelCgroup[] = [];
  readonly #stalls = new Map<string, { memoryUs: number; ioUs: number }>();
  readonly #usage = new Map<string, number>();
  readonly #events = new Map<string, { refaulted: number; stolen: number; ours: number }>();
  readonly #stolen = { anon: 0, file: 0 };
  readonly #hidden = new Set<string>();
  #lastId = 0;

  constructor(clock = new SteppedClock()) {
    this.clock = clock;
    this.#write("proc/self/status", "Name:\tmem-agent\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n");
    this.#write(
      "proc/self/mountinfo",
      "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n31 24 0:6 / /sys/kernel/debug rw shared:5 - debugfs debugfs rw\n",
    );
    this.#write("proc/filesystems", "nodev\tcgroup2\nnodev\tdebugfs\n");
    this.#write("proc/sys/kernel/osrelease", "6.12.0\n");
    this.#write("sys/kernel/debug/lru_gen", "");
    this.#write(`${mount}/cgroup.controllers`, "cpu io memory pids\n");
    this.switchLruGen(7);
    this.setSwapFree(0);
    this.#steal({});
    this.stall("system", {});
    this.add("/", { anonPages: 0, filePages: 0 });
  }

  switchLruGen(mask: number): void {
    this.#write("sys/kernel/mm/lru_gen/enabled", `0x${mask.toString(16).padStart(4, "0")}\n`);
  }

  setSwapFree(pages: number): void {
    const kib = (pages * pageBytes) / 1024;
    this.#write(
      "proc/meminfo",
      `MemTotal: 8388608 kB\nMemFree: 1048576 kB\nMemAvailable: 1048576 kB\nSwapTotal: ${kib} kB\nSwapFree: ${kib} kB\n`,
    );
  }

  /** A cgroup with all its pages in the younger of two generations of each node. */
  add(path: string, ...nodes: readonly NodeSizes[]): void {
    mkdirSync(this.#folder(path), { recursive: true });
    const id = String(++this.#lastId);
    const bornMs = this.clock.monotonicMs() - 3_600_000;
    this.#cgroups.set(path, {
      path,
      id,
      nodes: nodes.map((sizes, node) => ({
        node,
        generations: [
          { seq: 0, bornMs, anonPages: 0, filePages: 0 },
          { seq: 1, bornMs, ...sizes },
        ],
      })),
    });
    if (path === "/") return;
    this.stall(path, {});
    this.protect(path, {});
    this.#addUsage(
      path,
      nodes.reduce((sum, { anonPages, filePages }) => sum + anonPages + filePages, 0),
    );
    this.#count(path, {});
  }

  /** As `rmdir`: the kernel shows it no more and takes no commands for it. */
  remove(path: string): void {
    const used = this.usagePages(path);
    this.#addUsage(path, -used);
    this.#cgroups.delete(path);
    rmSync(this.#folder(path), { recursive: true });
  }

  /** As `rmdir` on Linux 7.2, a moment later: the parent has the pages, and lru_gen still lists the cgroup, empty. */
  reparent(path: string): void {
    for (const { node, generations } of this.#cgroup(path).nodes) {
      const above = this.#node(dirname(path), node).generations;
      for (const [index, generation] of generations.entries()) {
        const into = above[Math.min(index, above.length - 1)];
        if (into !== undefined) {
          into.anonPages += generation.anonPages;
          into.filePages += generation.filePages;
        }
        generation.anonPages = generation.filePages = 0;
      }
    }
    rmSync(this.#folder(path), { recursive: true });
  }

  /** Another cgroup of the same name, with another inode and the same id. */
  replace(path: string): void {
    const known = this.#cgroup(path);
    const sizes = known.nodes.map(sizesOf);
    const folder = this.#folder(path);
    // Two folders at once have two inodes.
    renameSync(folder, `${folder}.old`);
    this.#addUsage(path, -this.usagePages(path));
    this.add(path, ...sizes);
    this.#cgroup(path).id = known.id;
    rmSync(`${folder}.old`, { recursive: true });
  }

  /** Removed, but with pages left: listed before whoever gets its name, under the id that the kernel gives the dead. */
  leaveDead(path: string, id: string): void {
    const cgroup = this.#cgroup(path);
    this.remove(path);
    this.#dead.push({ ...cgroup, id });
  }

  /** Removed, and its pages stay charged above it, as they do up to Linux 6.12: memory.reclaim of its parent takes them. */
  endUnit(path: string): void {
    const { nodes } = this.#cgroup(path);
    this.#cgroups.delete(path);
    this.#usage.delete(path);
    rmSync(this.#folder(path), { recursive: true });
    this.#dead.push({ path, id: "0", nodes });
    this.#write(`${this.#inner(dirname(path))}/memory.reclaim`, "");
  }

  /** What a round of memory.reclaim takes of each living cgroup that it comes across. */
  livingLoss = 0;
  /** And of each ended one, where it asks for less. */
  readonly #endedBatch = 4096;

  /** What was written to memory.reclaim since the last look. */
  #reclaimBelow(parent: ModelCgroup): void {
    const file = join(this.#folder(parent.path), "memory.reclaim");
    if (!existsSync(file)) return;
    let left = Number.parseInt(readFileSync(file, "utf8"), 10) / pageBytes;
    writeFileSync(file, "");
    if (!(left > 0)) return;
    this.commands.push(`reclaim ${parent.path} ${left}`);
    for (const living of this.#cgroups.values()) {
      const generation = living.nodes[0]?.generations[0];
      if (dirname(living.path) !== parent.path || generation === undefined) continue;
      const pages = Math.min(this.livingLoss, generation.filePages);
      generation.filePages -= pages;
      this.#addUsage(living.path, -pages);
      this.#count(living.path, { stolen: pages, ours: pages });
    }
    for (const { path, nodes } of this.#dead) {
      const generation = nodes[0]?.generations.find(({ filePages }) => filePages > 0);
      if (left <= 0 || dirname(path) !== parent.path || generation === undefined) continue;
      const pages = Math.min(this.frees, Math.max(left, this.#endedBatch), generation.filePages);
      generation.filePages -= pages;
      left -= pages;
      this.#addUsage(parent.path, -pages);
      this.#count(parent.path, { stolen: pages, ours: pages });
    }
  }

  protect(path: string, { low = 0, min = 0 }: { readonly low?: number; readonly min?: number }): void {
    this.#write(`${this.#inner(path)}/memory.low`, `${low * pageBytes}\n`);
    this.#write(`${this.#inner(path)}/memory.min`, `${min * pageBytes}\n`);
  }

  /** So many milliseconds more were stalled. Parents feel it too. */
  stall(path: string, { memoryMs = 0, ioMs = 0 }: { readonly memoryMs?: number; readonly ioMs?: number }): void {
    for (const at of path === "system" ? ["system"] : [...lineage(path).filter((part) => part !== "/"), "system"]) {
      const known = this.#stalls.get(at) ?? { memoryUs: 0, ioUs: 0 };
      this.#stalls.set(at, { memoryUs: known.memoryUs + memoryMs * 1000, ioUs: known.ioUs + ioMs * 1000 });
      this.#writeStalls(at);
    }
  }

  #writeStalls(at: string): void {
    const { memoryUs, ioUs } = this.#stalls.get(at) ?? { memoryUs: 0, ioUs: 0 };
    const file = (resource: string): string =>
      at === "system" ? `proc/pressure/${resource}` : `${this.#inner(at)}/${resource}.pressure`;
    for (const [resource, us] of [
      ["memory", memoryUs],
      ["io", ioUs],
    ] as const) {
      this.#write(file(resource), `some avg10=0.00 avg60=0.00 avg300=0.00 total=${us}\n`);
    }
  }

  /** A trigger overwrote the files that are armed: they are as before. */
  #disarm(): void {
    for (const at of this.#stalls.keys()) {
      const file = at === "system" ? "proc/pressure/memory" : `${this.#inner(at)}/memory.pressure`;
      if (existsSync(join(this.root, file))) this.#writeStalls(at);
    }
  }

  usagePages(path: string): number {
    return this.#usage.get(path) ?? 0;
  }

  /** Pages that were evicted are touched again, and come back to the youngest generation. */
  touchBack(path: string, pages: number): void {
    const youngest = this.#node(path, 0).generations.at(-1);
    if (youngest !== undefined) youngest.filePages += pages;
    this.#addUsage(path, pages);
    this.#count(path, { refaulted: pages });
  }

  /** The cgroup reads what is new to it: pages come to the youngest generation. */
  read(path: string, pages: number): void {
    const youngest = this.#node(path, 0).generations.at(-1);
    if (youngest !== undefined) youngest.filePages += pages;
    this.#addUsage(path, pages);
    this.#count(path, {});
  }

  /** As read(2) does: new pages come to the second oldest generation where there are four, else to the oldest. */
  readOld(path: string, pages: number): void {
    const { generations } = this.#node(path, 0);
    const generation = generations[generations.length < generationsMax ? 0 : 1];
    if (generation !== undefined) generation.filePages += pages;
    this.#addUsage(path, pages);
    this.#count(path, {});
  }

  /** All anonymous pages are touched, and seen to be: they go to the youngest generation. */
  touchAnon(path: string): void {
    const { generations } = this.#node(path, 0);
    let pages = 0;
    for (const generation of generations) {
      pages += generation.anonPages;
      generation.anonPages = 0;
    }
    const youngest = generations.at(-1);
    if (youngest !== undefined) youngest.anonPages = pages;
  }

  /** The kernel takes pages of the youngest generation, as kswapd does. */
  reclaimBySelf(path: string, pages: number): void {
    const youngest = this.#node(path, 0).generations.at(-1);
    if (youngest !== undefined) youngest.filePages -= pages;
    this.#addUsage(path, -pages);
    this.#steal({ file: pages });
    this.#count(path, { stolen: pages });
  }

  /** Lets one snapshot, or all until it is shown again, lack the cgroup. */
  hide(path: string, hidden = true): void {
    if (hidden) this.#hidden.add(path);
    else this.#hidden.delete(path);
  }

  /** Another ages the cgroup. */
  ageBySelf(path: string, node = 0): void {
    this.#age(["+", this.id(path), String(node), String(this.#node(path, node).generations.at(-1)?.seq ?? 0)]);
  }

  /** memory.swap.max, and what is swapped out, in pages. */
  limitSwap(path: string, maxPages: number, currentPages = 0): void {
    this.#write(`${this.#inner(path)}/memory.swap.max`, `${maxPages * pageBytes}\n`);
    this.#write(`${this.#inner(path)}/memory.swap.current`, `${currentPages * pageBytes}\n`);
  }

  /** Gives every cgroup its inode as id. */
  identify(): void {
    this.idsAreInodes = true;
    for (const cgroup of this.#cgroups.values()) cgroup.id = String(statSync(this.#folder(cgroup.path)).ino);
  }

  /** The mount of the cgroups goes away; the result brings it back. */
  unmount(): () => void {
    const [at, aside] = [join(this.root, mount), join(this.root, "unmounted")];
    renameSync(at, aside);
    mkdirSync(at);
    return () => {
      rmSync(at, { recursive: true });
      renameSync(aside, at);
    };
  }

  /** lru_gen's id of a cgroup. */
  id(path: string): string {
    return this.#cgroup(path).id;
  }

  /** Oldest first. */
  generations(path: string, node = 0): readonly Generation[] {
    return this.#aged(this.#node(path, node).generations);
  }

  /** What the agent opens in the place of lru_gen. */
  readonly openLruGen = (): LruGenFile => {
    this.opened++;
    const idsAreInodes = (): boolean => this.idsAreInodes;
    return {
      get idsAreInodes() {
        return idsAreInodes();
      },
      scanning: (visit) => this.#scanning(visit),
      rest: () => {},
      write: (commands) => this.#obey(commands),
      [Symbol.dispose]: () => void this.opened--,
    };
  };

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }

  *#scanning(visit: LruGenVisitor): Generator<undefined, LruGenScan> {
    this.looks++;
    yield;
    for (const living of this.#cgroups.values()) this.#reclaimBelow(living);
    const listed = [...this.#cgroups.values()].flatMap((living) => [
      ...this.#dead.filter(({ path }) => path === living.path),
      living,
      ...this.#dead.filter(({ path, id }) => id === "0" && dirname(path) === living.path && !this.#cgroups.has(path)),
    ]);
    for (const { id, path, nodes } of listed) {
      if (this.#hidden.has(path)) continue;
      for (const { node, generations: model } of nodes) {
        const generations = this.#aged(model);
        const numbers = (of: (generation: Generation) => number): Float64Array =>
          Float64Array.from(generations.map(of));
        visit(
          id,
          path,
          node,
          {
            seqs: numbers(({ seq }) => seq),
            agesMs: numbers(({ ageMs }) => ageMs),
            anonPages: numbers(({ anonPages }) => anonPages),
            filePages: numbers(({ filePages }) => filePages),
          },
          generations.length,
        );
      }
    }
    return { cgroups: this.#cgroups.size, malformedLines: 0 };
  }

  #aged(model: ModelNode["generations"]): readonly Generation[] {
    return model.map(({ seq, bornMs, anonPages, filePages }) => {
      return { seq, ageMs: this.clock.monotonicMs() - bornMs, anonPages, filePages };
    });
  }

  /** One command after the other; the first that fails, or a signal, ends the write. */
  async #obey(commands: readonly string[]): Promise<WriteEnd> {
    for (const command of commands) {
      this.commands.push(command);
      this.#disarm();
      this.clock.advance(this.commandMs);
      const accident = this.meets(command);
      await new Promise((resolve) => setImmediate(resolve));
      await this.holds();
      if (accident instanceof Fault) throw accident;
      if (accident === "interrupted") {
        if (command.startsWith("-")) this.#evict(command.split(" "), 0.5);
        return "interrupted";
      }
      if (command.startsWith("+")) this.#age(command.split(" "));
      else this.#evict(command.split(" "), 1);
    }
    return "done";
  }

  #age([, id = "", node = "", seq = ""]: readonly string[]): void {
    const { generations } = this.#commanded(id, node);
    const youngest = generations.at(-1)?.seq ?? 0;
    if (Number(seq) > youngest) throw refusal();
    if (Number(seq) < youngest) return;
    generations.push({ seq: youngest + 1, bornMs: this.clock.monotonicMs(), anonPages: 0, filePages: 0 });
    if (generations.length <= generationsMax) return;
    const [oldest] = generations.splice(0, 1);
    const next = generations[0];
    if (oldest === undefined || next === undefined) return;
    next.anonPages += oldest.anonPages;
    next.filePages += oldest.filePages;
  }

  #evict([, id = "", node = "", seq = "", swappiness = "", pages = ""]: readonly string[], share: number): void {
    const { generations } = this.#commanded(id, node);
    if (Number(seq) + 2 > (generations.at(-1)?.seq ?? 0)) throw refusal();
    let left = Math.round(Math.min(Number(pages), this.frees) * share);
    const path = this.#pathOf(id);
    for (const generation of generations.filter((candidate) => candidate.seq <= Number(seq))) {
      const file = Number(swappiness) === 200 ? 0 : Math.min(left, generation.filePages);
      const anon = Number(swappiness) === 0 ? 0 : Math.min(left - file, generation.anonPages);
      generation.filePages -= file;
      generation.anonPages -= anon;
      left -= file + anon;
      if (file + anon === 0) continue;
      this.#addUsage(path, -file - anon);
      this.#steal({ file, anon });
      this.#count(path, { stolen: file + anon, ours: file + anon });
    }
  }

  #commanded(id: string, node: string): ModelNode {
    const cgroup = [...this.#cgroups.values()].find((candidate) => candidate.id === id);
    const found = cgroup?.nodes.find((candidate) => candidate.node === Number(node));
    if (found === undefined) throw refusal();
    return found;
  }

  #pathOf(id: string): string {
    return [...this.#cgroups.values()].find((candidate) => candidate.id === id)?.path ?? "/";
  }

  #cgroup(path: string): ModelCgroup {
    const cgroup = this.#cgroups.get(path);
    if (cgroup === undefined) throw new Error(`the test has no cgroup ${path}`);
    return cgroup;
  }

  #node(path: string, node: number): ModelNode {
    const found = this.#cgroup(path).nodes.find((candidate) => candidate.node === node);
    if (found === undefined) throw new Error(`the test's ${path} has no node ${node}`);
    return found;
  }

  #addUsage(path: string, pages: number): void {
    for (const at of lineage(path)) {
      const usage = (this.#usage.get(at) ?? 0) + pages;
      this.#usage.set(at, usage);
      if (at !== "/") this.#write(`${this.#inner(at)}/memory.current`, `${usage * pageBytes}\n`);
    }
  }

  /** Counts what the machine lost by type. */
  #steal({ file = 0, anon = 0 }: { readonly file?: number; readonly anon?: number }): void {
    this.#stolen.file += file;
    this.#stolen.anon += anon;
    this.#write("proc/vmstat", `pgsteal_anon ${this.#stolen.anon}\npgsteal_file ${this.#stolen.file}\n`);
  }

  /** Counts events for the cgroup and all above it, and writes memory.stat as it is then. */
  #count(
    path: string,
    events: { readonly refaulted?: number; readonly stolen?: number; readonly ours?: number },
  ): void {
    const { refaulted = 0, stolen = 0, ours = 0 } = events;
    for (const at of lineage(path)) {
      if (at === "/") continue;
      const known = this.#events.get(at) ?? { refaulted: 0, stolen: 0, ours: 0 };
      const next = {
        refaulted: known.refaulted + refaulted,
        stolen: known.stolen + stolen,
        ours: known.ours + ours,
      };
      this.#events.set(at, next);
      this.#write(`${this.#inner(at)}/memory.stat`, memoryStatText(this.usagePages(at) * pageBytes, next));
    }
  }

  #inner(path: string): string {
    return path === "/" ? mount : `${mount}${path}`;
  }

  #folder(path: string): string {
    return join(this.root, this.#inner(path));
  }

  #write(path: string, text: string): void {
    const file = join(this.root, path);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, text);
  }
}

/** EINVAL, as LruGen tells it. */
export function refusal(): Fault {
  return new Fault("unsupported", "cannot command lru_gen: EINVAL");
}
