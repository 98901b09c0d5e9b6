/**
 * The file pages of one cgroup under the multi-gen LRU of Linux 6.12, in blocks: what is read for the first time goes into
 * an old generation, read() again leaves a block where it is, and aging makes young what was touched through page tables.
 */
import { generationsMax, type Generation } from "../../../src/core/eviction.ts";

export class PageLists {
  readonly #blockPages: number;
  /** Oldest generation first; of each the block that is evicted next comes first. */
  #lists: number[][] = [[], []];
  #bornMs: number[] = [0, 0];
  #firstSeq = 0;
  /** Touched through page tables since the last aging. */
  readonly #touched = new Set<number>();

  constructor(blockPages: number, nowMs: number) {
    this.#blockPages = blockPages;
    this.#bornMs.fill(nowMs);
  }

  /** Read from the disk. */
  add(block: number): void {
    this.#lists[this.#lists.length < generationsMax ? 0 : 1]?.push(block);
  }

  /** Mapped, and touched there. */
  touch(block: number): void {
    this.#touched.add(block);
  }

  age(nowMs: number): void {
    this.#promote();
    this.#lists.push([]);
    this.#bornMs.push(nowMs);
    if (this.#lists.length <= generationsMax) return;
    const [oldest = [], next = []] = this.#lists;
    // The oldest generation is appended to the next back to front: what came last may go first.
    this.#lists.splice(0, 2, [...oldest.toReversed(), ...next]);
    this.#bornMs.shift();
    this.#firstSeq++;
  }

  #promote(): void {
    if (this.#touched.size === 0) return;
    const young: number[] = [];
    this.#lists = this.#lists.map((list) => {
      if (list.every((block) => !this.#touched.has(block))) return list;
      young.push(...list.filter((block) => this.#touched.has(block)));
      return list.filter((block) => !this.#touched.has(block));
    });
    this.#lists.at(-1)?.push(...young);
    this.#touched.clear();
  }

  get residentPages(): number {
    let blocks = 0;
    for (const list of this.#lists) blocks += list.length;
    return blocks * this.#blockPages;
  }

  /** Oldest first. */
  generations(nowMs: number): readonly Generation[] {
    return this.#lists.map((list, index) => ({
      seq: this.#firstSeq + index,
      ageMs: nowMs - (this.#bornMs[index] ?? 0),
      anonPages: 0,
      filePages: list.length * this.#blockPages,
    }));
  }

  /** Evicts at most so much of the oldest generation, and at least a block; what is mapped and touched is spared. */
  evict(pagesMax: number): readonly number[] {
    const oldest = this.#lists[0] ?? [];
    const evicted: number[] = [];
    const kept: number[] = [];
    for (const block of oldest) {
      const done = evicted.length > 0 && (evicted.length + 1) * this.#blockPages > pagesMax;
      if (done || this.#touched.has(block)) kept.push(block);
      else evicted.push(block);
    }
    this.#lists[0] = kept;
    return evicted;
  }

  get blocks(): readonly number[] {
    return this.#lists.flat();
  }
}
