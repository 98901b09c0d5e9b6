/**
 * What the agent is measured against, with the same runtime and the same reader of lru_gen. Compiled, and run in the
 * guest or here:
 *
 *     reference age PATH COUNT           ages a cgroup; prints its pages by generation
 *     reference step PATH PAGES          evict 1, read and parse everything again, until so many pages are gone
 *     reference unguarded PATH           one write of the whole oldest generation
 *     reference batches PATH             the same in writes on the pool of 8,192 pages, with nothing between them
 *     reference pool                     200 writes on the pool that do nothing: what handing over costs
 *     reference wakes                    30 wake-ups, one each 20 ms, that do nothing: what waking up costs
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { parseLruGen, type LruGenGeneration } from "../../src/kernel/lru-gen-scan.ts";
import { lruGenPath } from "../../src/kernel/lru-gen.ts";
import { writeOnPool, PseudoFile } from "../../src/system/pseudo-file.ts";
import { parseProcessIo } from "./process-cost.ts";

/** What `step` and `unguarded` print. */
export interface ReferenceRun {
  readonly pages: number;
  readonly wall_secs: number;
  readonly cpu_secs: number;
  readonly reads: number;
  readonly writes: number;
  readonly read_bytes: number;
}

interface Found {
  readonly id: string;
  readonly generations: readonly LruGenGeneration[];
}

const poolWrites = 200;
/** As many as the batches of 1 GiB, and as long as those take. */
const wakes = 30;
const wakeMs = 20;
/** What an emulated guest evicts in about 20 ms. */
const batchPages = 8192;

const file = PseudoFile.open(lruGenPath);

function find(path: string): Found {
  const cgroup = parseLruGen(file.read()).find((candidate) => candidate.path === path);
  const generations = cgroup?.nodes[0]?.generations;
  if (cgroup === undefined || generations === undefined) throw new Error(`lru_gen does not list ${path}`);
  return { id: cgroup.id, generations };
}

function command(text: string): void {
  const fd = openSync(lruGenPath, "w");
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

function age(path: string, count: number): readonly LruGenGeneration[] {
  for (let index = 0; index < count; index++) {
    const { id, generations } = find(path);
    command(`+ ${id} 0 ${generations.at(-1)?.seq ?? 0} 0`);
  }
  return find(path).generations;
}

function oldestOf(path: string): { readonly id: string; readonly seq: number; readonly filePages: number } {
  const { id, generations } = find(path);
  const [oldest] = generations;
  if (oldest === undefined) throw new Error(`${path} has no generation`);
  return { id, seq: oldest.seq, filePages: oldest.filePages };
}

function step(path: string, pages: number): number {
  const start = oldestOf(path);
  let now = start;
  while (now.seq === start.seq && start.filePages - now.filePages < pages) {
    command(`- ${now.id} 0 ${start.seq} 0 1`);
    now = oldestOf(path);
  }
  return now.seq === start.seq ? start.filePages - now.filePages : start.filePages;
}

function unguarded(path: string): number {
  const { id, seq, filePages } = oldestOf(path);
  command(`- ${id} 0 ${seq} 0 ${filePages}`);
  return filePages;
}

async function inBatches(path: string): Promise<number> {
  const { id, seq, filePages } = oldestOf(path);
  const fd = openSync(lruGenPath, "w");
  for (let left = filePages; left > 0; left -= batchPages) {
    await writeOnPool(fd, Buffer.from(`- ${id} 0 ${seq} 0 ${Math.min(left, batchPages)}`));
  }
  closeSync(fd);
  return filePages;
}

async function writeNothing(): Promise<number> {
  const fd = openSync("/dev/null", "w");
  const bytes = Buffer.from("nothing");
  for (let index = 0; index < poolWrites; index++) await writeOnPool(fd, bytes);
  closeSync(fd);
  return 0;
}

async function wakeUp(): Promise<number> {
  for (let index = 0; index < wakes; index++) await Bun.sleep(wakeMs);
  return 0;
}

async function measured(work: () => number | Promise<number>): Promise<ReferenceRun> {
  const io = parseProcessIo(readFileSync("/proc/self/io", "utf8"));
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const pages = await work();
  const wallMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpu);
  const ioAfter = parseProcessIo(readFileSync("/proc/self/io", "utf8"));
  return {
    pages,
    wall_secs: wallMs / 1000,
    cpu_secs: (user + system) / 1e6,
    reads: ioAfter.reads - io.reads,
    writes: ioAfter.writes - io.writes,
    read_bytes: ioAfter.readBytes - io.readBytes,
  };
}

async function answer(what: string, path = "", amount = "0"): Promise<unknown> {
  switch (what) {
    case "age":
      return age(path, Number(amount));
    case "step":
      return measured(() => step(path, Number(amount)));
    case "unguarded":
      return measured(() => unguarded(path));
    case "batches":
      return measured(() => inBatches(path));
    case "pool":
      return measured(writeNothing);
    case "wakes":
      return measured(wakeUp);
    default:
      throw new Error(`unknown: ${what}`);
  }
}

const [what = "", path, amount] = process.argv.slice(2);
console.log(JSON.stringify(await answer(what, path, amount)));
