/**
 * The text of `/sys/kernel/debug/lru_gen` (Linux 6.1, Documentation/admin-guide/mm/multigen_lru.rst), read as bytes.
 *
 *     memcg     2 /a/b          id, path: the rest of the line
 *      node     0
 *               1        528          0        5122     generation, age in ms, anon pages, file pages
 *
 * Oldest generation first.
 *
 * This is the hot path: a machine may have thousands of cgroups, and garbage made here stays as private memory of the
 * agent. So nothing is allocated for a cgroup that the last scan had seen: the same bytes of id and path give the
 * same string objects, and numbers go into reused arrays.
 *
 * A cgroup of which a line is not understood is left out, and the scan takes up again at the next `memcg` line.
 */
import { decodeName } from "../system/path-name.ts";

/** The generations of one node, oldest first. Reused: valid only during the visit. */
export interface LruGenGenerations {
  readonly seqs: Float64Array;
  readonly agesMs: Float64Array;
  readonly anonPages: Float64Array;
  readonly filePages: Float64Array;
}

/**
 * Called for each node of each cgroup, in the order of the text: a parent before its children. `id` is an opaque
 * string of digits, "0" for a cgroup without a live id; `count` says how many entries of the arrays are filled.
 */
export type LruGenVisitor = (
  id: string,
  path: string,
  node: number,
  generations: LruGenGenerations,
  count: number,
) => void;

export interface LruGenScan {
  /** Cgroups that were visited. */
  readonly cgroups: number;
  /** Their cgroups were left out. */
  readonly malformedLines: number;
}

export interface LruGenGeneration {
  readonly seq: number;
  readonly ageMs: number;
  readonly anonPages: number;
  readonly filePages: number;
}

export interface LruGenNode {
  readonly node: number;
  readonly generations: readonly LruGenGeneration[];
}

export interface LruGenCgroup {
  readonly id: string;
  readonly path: string;
  readonly nodes: readonly LruGenNode[];
}

const newline = 0x0a;
const blank = 0x20;
const minus = 0x2d;
const slash = 0x2f;
const zero = 0x30;
const letterM = 0x6d;
const letterN = 0x6e;
/** The kernel has 4 (MAX_NR_GENS); more than this is no lru_gen text. */
const generationsMax = 16;
const memcgWord = "memcg ";
const numbersPerGeneration = 4;
const nodesMax = 1024;

/** One generation line as it is taken apart; a field for each, so that nothing is allocated. */
class Line {
  seq = 0;
  ageMs = 0;
  anonPages = 0;
  filePages = 0;
  columns = 0;
}

/** Scans texts one after the other, and remembers the names of the last one. */
export class LruGenScanner {
  readonly #names = new NameTable();
  readonly #line = new Line();
  readonly #generations: LruGenGenerations = {
    seqs: new Float64Array(generationsMax),
    agesMs: new Float64Array(generationsMax),
    anonPages: new Float64Array(generationsMax),
    filePages: new Float64Array(generationsMax),
  };

  // The cgroup that is being read, held back until its last line turned out well.
  #name = -1;
  #nodes = 0;
  #node = new Int32Array(8);
  /** End of each node's generations in #numbers, in generations. */
  #nodeEnd = new Int32Array(8);
  #numbers = new Float64Array(8 * generationsMax * numbersPerGeneration);
  #stored = 0;

  #cgroups = 0;
  #malformedLines = 0;
  #padded = false;

  /**
   * Whether ids are the inodes of the cgroups' folders. Kernels that give small numbers instead pad them to five digits,
   * and list the root, which is 1, first: during a visit of any cgroup the answer is known.
   */
  get idsAreInodes(): boolean {
    return !this.#padded;
  }

  /** Visits every well-formed cgroup in the first `length` of `bytes`. Throws only what `visit` throws. */
  scan(bytes: Uint8Array, length: number, visit: LruGenVisitor): LruGenScan {
    this.#begin();
    let at = 0;
    while (at < length) {
      const end = lineEnd(bytes, at, length);
      // A text that was cut short: numbers of its last line may be cut short too.
      if (end === length) this.#reject();
      else this.#takeLine(bytes, at, end, visit);
      at = end + 1;
    }
    this.#flush(visit);
    this.#names.prune();
    return { cgroups: this.#cgroups, malformedLines: this.#malformedLines };
  }

  #begin(): void {
    this.#name = -1;
    this.#nodes = 0;
    this.#stored = 0;
    this.#cgroups = 0;
    this.#malformedLines = 0;
    this.#names.begin();
  }

  #takeLine(bytes: Uint8Array, start: number, end: number, visit: LruGenVisitor): void {
    if (bytes[start] === letterM) {
      this.#flush(visit);
      this.#name = memcgLine(bytes, start, end, this.#names);
      if (bytes[start + memcgWord.length] === blank) this.#padded = true;
      if (this.#name < 0) this.#reject();
      return;
    }
    // A line without indent is no part of the nodes before it. Right after `memcg` it may be the rest of a path.
    if (start < end && bytes[start] !== blank && this.#nodes > 0) this.#flush(visit);
    const at = skipBlanks(bytes, start, end);
    const taken = bytes[at] === letterN ? this.#takeNode(bytes, at, end) : this.#takeGeneration(bytes, at, end);
    if (!taken || at === start) this.#reject();
  }

  #takeNode(bytes: Uint8Array, at: number, end: number): boolean {
    const node = nodeLine(bytes, at, end);
    if (node < 0 || this.#nodes >= nodesMax) return false;
    if (this.#name < 0) return true;
    if (this.#nodes === this.#node.length) {
      this.#node = doubledInts(this.#node);
      this.#nodeEnd = doubledInts(this.#nodeEnd);
    }
    this.#node[this.#nodes] = node;
    this.#nodeEnd[this.#nodes] = this.#stored;
    this.#nodes++;
    return true;
  }

  #takeGeneration(bytes: Uint8Array, at: number, end: number): boolean {
    const line = this.#line;
    if (!splitLine(bytes, at, end, line) || line.columns !== numbersPerGeneration) return false;
    if (line.seq < 0 || line.seq > Number.MAX_SAFE_INTEGER) return false;
    return this.#name < 0 || this.#store(line);
  }

  #store(line: Line): boolean {
    if (this.#nodes === 0) return false;
    const first = this.#nodes === 1 ? 0 : (this.#nodeEnd[this.#nodes - 2] ?? 0);
    const count = this.#stored - first;
    if (count >= generationsMax) return false;
    const at = this.#stored * numbersPerGeneration;
    // Generations follow each other by one: anything else means that a line was lost.
    if (count > 0 && line.seq !== (this.#numbers[at - numbersPerGeneration] ?? 0) + 1) return false;
    if (at === this.#numbers.length) this.#numbers = doubledFloats(this.#numbers);
    this.#numbers[at] = line.seq;
    this.#numbers[at + 1] = line.ageMs;
    this.#numbers[at + 2] = line.anonPages;
    this.#numbers[at + 3] = line.filePages;
    this.#stored++;
    this.#nodeEnd[this.#nodes - 1] = this.#stored;
    return true;
  }

  #reject(): void {
    this.#malformedLines++;
    this.#name = -1;
    this.#nodes = 0;
    this.#stored = 0;
  }

  /** Hands the cgroup that is complete to the visitor. */
  #flush(visit: LruGenVisitor): void {
    const name = this.#name;
    const nodes = this.#nodes;
    if (name >= 0) {
      this.#cgroups++;
      let from = 0;
      for (let index = 0; index < nodes; index++) {
        const until = this.#nodeEnd[index] ?? 0;
        this.#expose(from, until);
        visit(this.#names.id(name), this.#names.path(name), this.#node[index] ?? 0, this.#generations, until - from);
        from = until;
      }
    }
    this.#name = -1;
    this.#nodes = 0;
    this.#stored = 0;
  }

  #expose(from: number, until: number): void {
    const to = this.#generations;
    for (let index = 0; index < until - from; index++) {
      const at = (from + index) * numbersPerGeneration;
      to.seqs[index] = this.#numbers[at] ?? 0;
      to.agesMs[index] = this.#numbers[at + 1] ?? 0;
      to.anonPages[index] = this.#numbers[at + 2] ?? 0;
      to.filePages[index] = this.#numbers[at + 3] ?? 0;
    }
  }
}

/** Scans one text; for many keep a LruGenScanner. */
export function scanLruGen(bytes: Uint8Array, length: number, visit: LruGenVisitor): LruGenScan {
  return new LruGenScanner().scan(bytes, length, visit);
}

/** The text as values, for tests and for what is not done often. Never throws. */
export function parseLruGen(text: string | Uint8Array): LruGenCgroup[] {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  const cgroups: { id: string; path: string; nodes: LruGenNode[] }[] = [];
  scanLruGen(bytes, bytes.length, (id, path, node, generations, count) => {
    const last = cgroups.at(-1);
    const nodes = last?.id === id && last.path === path ? last.nodes : [];
    if (nodes !== last?.nodes) cgroups.push({ id, path, nodes });
    nodes.push({ node, generations: copyGenerations(generations, count) });
  });
  return cgroups;
}

function copyGenerations(from: LruGenGenerations, count: number): LruGenGeneration[] {
  const copies: LruGenGeneration[] = [];
  for (let index = 0; index < count; index++) {
    copies.push({
      seq: from.seqs[index] ?? 0,
      ageMs: from.agesMs[index] ?? 0,
      anonPages: from.anonPages[index] ?? 0,
      filePages: from.filePages[index] ?? 0,
    });
  }
  return copies;
}

function lineEnd(bytes: Uint8Array, start: number, length: number): number {
  const end = bytes.indexOf(newline, start);
  return end < 0 || end > length ? length : end;
}

function skipBlanks(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] === blank) at++;
  return at;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte <= zero + 9;
}

function wordAt(bytes: Uint8Array, at: number, end: number, word: string): boolean {
  if (at + word.length > end) return false;
  for (let index = 0; index < word.length; index++) {
    if (bytes[at + index] !== word.charCodeAt(index)) return false;
  }
  return true;
}

/** `memcg     2 /a/b`: the index of id and path in `names`, -1 where the line is something else. */
function memcgLine(bytes: Uint8Array, start: number, end: number, names: NameTable): number {
  if (!wordAt(bytes, start, end, memcgWord)) return -1;
  const idStart = skipBlanks(bytes, start + memcgWord.length, end);
  let idEnd = idStart;
  while (idEnd < end && isDigit(bytes[idEnd])) idEnd++;
  if (idEnd === idStart || idEnd - idStart > 20 || idEnd === end || bytes[idEnd] !== blank) return -1;
  // An empty path is what a kernel without memory cgroups prints.
  if (idEnd + 1 < end && bytes[idEnd + 1] !== slash) return -1;
  return names.index(bytes, idStart, idEnd, end);
}

/** `node     0`: the node's number, -1 where the line is something else. */
function nodeLine(bytes: Uint8Array, start: number, end: number): number {
  if (!wordAt(bytes, start, end, "node ")) return -1;
  let at = skipBlanks(bytes, start + 5, end);
  let node = -1;
  for (; at < end && isDigit(bytes[at]) && node < 1e6; at++) {
    node = Math.max(node, 0) * 10 + ((bytes[at] ?? zero) - zero);
  }
  return at === end ? node : -1;
}

/** Takes a line of numbers apart. False where it is something else. One loop without calls: most of a scan is this. */
function splitLine(bytes: Uint8Array, start: number, end: number, line: Line): boolean {
  line.columns = 0;
  let at = start;
  while (at < end) {
    const negative = bytes[at] === minus;
    if (negative) at++;
    const first = at;
    let value = 0;
    let byte = bytes[at] ?? 0;
    for (; at < end && byte >= zero && byte <= zero + 9; byte = bytes[++at] ?? 0) value = value * 10 + (byte - zero);
    if (at === first || at - first > 20) return false;
    if (at < end && byte !== blank) return false;
    setColumn(line, negative ? -value : value);
    while (at < end && bytes[at] === blank) at++;
  }
  return line.columns > 0;
}

function setColumn(line: Line, value: number): void {
  const column = line.columns++;
  if (column === 0) line.seq = value;
  else if (column === 1) line.ageMs = Math.max(value, 0);
  else if (column === 2) line.anonPages = pages(value);
  else if (column === 3) line.filePages = pages(value);
}

/** A size can be below zero for a moment, and is then printed with a sign or as 2^64 less a few. */
function pages(value: number): number {
  return value < 0 || value > Number.MAX_SAFE_INTEGER ? 0 : value;
}

/**
 * Gives the same string objects for the same bytes of `id path`, from one scan to the next, without a lookup that
 * allocates. A hash table with open addressing over one buffer that holds the bytes of all names. Names that a scan
 * did not meet are forgotten at its end.
 */
export class NameTable {
  #ids: string[] = [];
  #paths: string[] = [];
  #bytes = new Uint8Array(1024);
  #bytesUsed = 0;
  /** Of each name: where its bytes start, how many, their hash, and the scan that met it last. */
  #start = new Int32Array(16);
  #length = new Int32Array(16);
  #hash = new Int32Array(16);
  #met = new Int32Array(16);
  /** Index + 1 of a name, 0 for a free slot. At most half of them are taken. */
  #slots = new Int32Array(32);
  #scan = 0;
  #metCount = 0;

  id(index: number): string {
    return this.#ids[index] ?? "";
  }

  path(index: number): string {
    return this.#paths[index] ?? "";
  }

  begin(): void {
    this.#scan = (this.#scan + 1) | 0;
    this.#metCount = 0;
  }

  /** The index of the name in `bytes`: id from `start` to `idEnd`, a blank, path to `end`. */
  index(bytes: Uint8Array, start: number, idEnd: number, end: number): number {
    const hash = hashOf(bytes, start, end);
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const index = (this.#slots[slot] ?? 0) - 1;
      if (index < 0) return this.#add(bytes, start, idEnd, end, hash, slot);
      if (this.#hash[index] === hash && this.#same(index, bytes, start, end)) return this.#meet(index);
      slot = (slot + 1) & mask;
    }
  }

  /** Forgets the names that this scan did not meet. */
  prune(): void {
    if (this.#metCount === this.#ids.length) return;
    const ids: string[] = [];
    const paths: string[] = [];
    let used = 0;
    for (let index = 0; index < this.#ids.length; index++) {
      if (this.#met[index] !== this.#scan) continue;
      const start = this.#start[index] ?? 0;
      const length = this.#length[index] ?? 0;
      this.#bytes.copyWithin(used, start, start + length);
      const to = ids.length;
      this.#start[to] = used;
      this.#length[to] = length;
      this.#hash[to] = this.#hash[index] ?? 0;
      this.#met[to] = this.#scan;
      used += length;
      ids.push(this.id(index));
      paths.push(this.path(index));
    }
    this.#ids = ids;
    this.#paths = paths;
    this.#bytesUsed = used;
    this.#shrink();
    this.#fillSlots();
  }

  #meet(index: number): number {
    if (this.#met[index] !== this.#scan) this.#metCount++;
    this.#met[index] = this.#scan;
    return index;
  }

  #same(index: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#length[index] !== end - start) return false;
    const own = (this.#start[index] ?? 0) - start;
    for (let at = start; at < end; at++) {
      if (bytes[at] !== this.#bytes[own + at]) return false;
    }
    return true;
  }

  #add(bytes: Uint8Array, start: number, idEnd: number, end: number, hash: number, slot: number): number {
    const index = this.#ids.length;
    const length = end - start;
    this.#reserve(index + 1, this.#bytesUsed + length);
    this.#bytes.set(bytes.subarray(start, end), this.#bytesUsed);
    this.#start[index] = this.#bytesUsed;
    this.#length[index] = length;
    this.#hash[index] = hash;
    this.#bytesUsed += length;
    this.#ids.push(decodeName(bytes.subarray(start, idEnd)));
    this.#paths.push(decodeName(bytes.subarray(idEnd + 1, end)));
    if (this.#ids.length * 2 > this.#slots.length) this.#fillSlots();
    else this.#slots[slot] = index + 1;
    return this.#meet(index);
  }

  #reserve(names: number, bytes: number): void {
    while (names > this.#start.length) {
      this.#start = doubledInts(this.#start);
      this.#length = doubledInts(this.#length);
      this.#hash = doubledInts(this.#hash);
      this.#met = doubledInts(this.#met);
    }
    if (bytes <= this.#bytes.length) return;
    this.#resizeBytes(Math.max(bytes, this.#bytes.length * 2));
  }

  #resizeBytes(size: number): void {
    const to = new Uint8Array(size);
    to.set(this.#bytes.subarray(0, this.#bytesUsed));
    this.#bytes = to;
  }

  /** After a burst of cgroups, gives back what their names took. */
  #shrink(): void {
    const names = this.#ids.length;
    if (this.#start.length > 64 && names * 4 < this.#start.length) {
      const size = Math.max(names * 2, 16);
      this.#start = this.#start.slice(0, size);
      this.#length = this.#length.slice(0, size);
      this.#hash = this.#hash.slice(0, size);
      this.#met = this.#met.slice(0, size);
    }
    if (this.#bytes.length > 4096 && this.#bytesUsed * 4 < this.#bytes.length) {
      this.#resizeBytes(Math.max(this.#bytesUsed * 2, 1024));
    }
  }

  #fillSlots(): void {
    let size = 32;
    while (size < this.#ids.length * 4) size *= 2;
    if (size === this.#slots.length) this.#slots.fill(0);
    else this.#slots = new Int32Array(size);
    for (let index = 0; index < this.#ids.length; index++) {
      let slot = (this.#hash[index] ?? 0) & (size - 1);
      while (this.#slots[slot] !== 0) slot = (slot + 1) & (size - 1);
      this.#slots[slot] = index + 1;
    }
  }
}

/** FNV-1a: short, and good enough for names that root gives. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
  return hash;
}

/** The same numbers with room for as many again. */
export function doubledInts(from: Int32Array): Int32Array<ArrayBuffer> {
  const to = new Int32Array(from.length * 2);
  to.set(from);
  return to;
}

/** As `doubledInts`. */
export function doubledFloats(from: Float64Array): Float64Array<ArrayBuffer> {
  const to = new Float64Array(from.length * 2);
  to.set(from);
  return to;
}
