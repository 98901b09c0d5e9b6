/**
 * The names in lru_gen's text, kept from scan to scan.
 */
import { decodeName } from "../system/path-name.ts";

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
