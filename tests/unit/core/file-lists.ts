/** The file pages of one target as the kernel keeps them, for tests. */
import { spreadFactor } from "../../../src/core/spread.ts";

const generationsMax = 4;

export class FileLists {
  /** Oldest generation first. Each list holds when its pages were read; what is last is evicted first. */
  #lists: number[][] = [[], []];
  #firstSeq = 0;
  #ordinal = 0;
  readonly #seed: number;
  readonly #readIntoOldest: boolean;

  /** `readIntoOldest`: as 7.2 does; 6.1 and 6.12 with four generations read into the second oldest (both seen). */
  constructor(seed: number, readIntoOldest: boolean) {
    this.#seed = seed;
    this.#readIntoOldest = readIntoOldest;
  }

  random(): number {
    return spreadFactor(this.#seed, this.#ordinal++, 100) - 1;
  }

  get generations(): readonly { readonly seq: number; readonly filePages: number }[] {
    return this.#lists.map((list, index) => ({ seq: this.#firstSeq + index, filePages: list.length }));
  }

  /** Something happens, or nothing: reads, touches through page tables, reclaim by others. Returns what others evicted. */
  live(nowMs: number): number {
    const what = this.random();
    if (what < 0.2) this.#read(Math.floor(this.random() ** 3 * 400), nowMs);
    else if (what < 0.25) this.#promote(Math.floor(this.random() * 50));
    else if (what < 0.3) return this.evict(Math.floor(this.random() * 50)).length;
    else if (what < 0.33) {
      // The places of evicted pages are taken at once: no size changes.
      const gone = this.evict(Math.floor(this.random() * 100)).length;
      this.#read(gone, nowMs);
      return gone;
    } else if (what < 0.35) this.age();
    return 0;
  }

  /** read() puts new pages in front. */
  #read(count: number, nowMs: number): void {
    const list = this.#lists[this.#readIntoOldest || this.#lists.length < generationsMax ? 0 : 1];
    for (let page = 0; page < count; page++) list?.unshift(nowMs);
  }

  /** Pages that page tables show as touched go to the youngest generation. */
  #promote(count: number): void {
    const moved = this.#lists[0]?.splice(0, count) ?? [];
    this.#lists.at(-1)?.unshift(...moved);
  }

  /** Makes a generation. The oldest of four is appended to the next, page by page from its end: back to front. */
  age(): void {
    this.#lists.push([]);
    if (this.#lists.length <= generationsMax) return;
    const oldest = this.#lists.shift() ?? [];
    this.#lists[0]?.push(...oldest.toReversed());
    this.#firstSeq++;
  }

  /** Evicts from the end of the oldest generation; returns when each page was read. */
  evict(count: number): readonly number[] {
    const oldest = this.#lists[0];
    return oldest === undefined ? [] : oldest.splice(Math.max(0, oldest.length - count));
  }
}
