/** A small model of one cgroup under the classic LRU: an inactive and an active list, reclaimed by amount. */
import type { ListSizes } from "../../../src/core/reclaim.ts";
import type { BlockRange } from "./workload.ts";

export class ListsCgroup {
  readonly #blockPages: number;
  refaultedPages = 0;
  stolenPages = 0;
  /** Tail first: the front of the set is what is reclaimed next. The value says whether it was touched again. */
  readonly #inactive = new Map<number, boolean>();
  readonly #active = new Map<number, boolean>();
  readonly #away = new Set<number>();

  constructor(blockPages: number) {
    this.#blockPages = blockPages;
  }

  touch(range: BlockRange): void {
    for (let block = range.from; block < range.to; block += 1) this.#touchBlock(block);
  }

  #touchBlock(block: number): void {
    if (this.#active.has(block)) {
      this.#active.set(block, true);
      return;
    }
    const touchedBefore = this.#inactive.get(block);
    if (touchedBefore === true) {
      this.#inactive.delete(block);
      this.#active.set(block, false);
      return;
    }
    this.#inactive.set(block, touchedBefore === false || this.#away.has(block));
    if (this.#away.delete(block)) this.refaultedPages += this.#blockPages;
  }

  get residentPages(): number {
    return (this.#inactive.size + this.#active.size) * this.#blockPages;
  }

  get sizes(): ListSizes {
    return {
      inactiveFilePages: this.#inactive.size * this.#blockPages,
      activeFilePages: this.#active.size * this.#blockPages,
      inactiveAnonPages: 0,
      activeAnonPages: 0,
    };
  }

  /** Takes from the end of the inactive list, and fills it from the active one where that is longer. */
  reclaim(pages: number): number {
    let reclaimed = 0;
    const scansMax = 2 * (this.#inactive.size + this.#active.size);
    for (let scan = 0; scan < scansMax && reclaimed + this.#blockPages <= pages; scan += 1) {
      if (this.#inactive.size < this.#active.size) this.#deactivateOne();
      const [block] = this.#inactive.keys();
      if (block === undefined) break;
      this.#inactive.delete(block);
      this.#away.add(block);
      reclaimed += this.#blockPages;
    }
    this.stolenPages += reclaimed;
    return reclaimed;
  }

  #deactivateOne(): void {
    const [block] = this.#active.keys();
    if (block === undefined) return;
    this.#active.delete(block);
    this.#inactive.set(block, false);
  }
}
