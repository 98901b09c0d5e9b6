/** A small model of one cgroup under the multi-gen LRU: blocks with a generation, four generations at most. */
import { generationsMax, type Generation } from "../../../src/core/eviction.ts";
import type { BlockRange } from "./workload.ts";

interface Block {
  seq: number;
  touched: boolean;
  resident: boolean;
}

export class GenerationsCgroup {
  readonly #blockPages: number;
  refaultedPages = 0;
  stolenPages = 0;
  residentPages = 0;
  readonly #blocks = new Map<number, Block>();
  readonly #bornMs: number[] = [0, 0];

  constructor(blockPages: number) {
    this.#blockPages = blockPages;
  }

  touch(range: BlockRange): void {
    for (let at = range.from; at < range.to; at += 1) this.#touchBlock(at);
  }

  #touchBlock(at: number): void {
    const block = this.#blocks.get(at);
    if (block?.resident === true) {
      block.touched = true;
      return;
    }
    this.#blocks.set(at, { seq: this.#maxSeq, touched: true, resident: true });
    this.residentPages += this.#blockPages;
    if (block === undefined) return;
    this.refaultedPages += this.#blockPages;
  }

  get #maxSeq(): number {
    return this.#bornMs.length - 1;
  }

  get #minSeq(): number {
    return Math.max(0, this.#maxSeq - generationsMax + 1);
  }

  /** What was touched since the last aging goes to the youngest generation but one, as in the kernel. */
  age(nowMs: number): void {
    for (const block of this.#blocks.values()) {
      if (block.touched) block.seq = this.#maxSeq;
      block.touched = false;
    }
    this.#bornMs.push(nowMs);
  }

  /** Oldest first. What is older than the oldest generation was merged into it. */
  generations(nowMs: number): readonly Generation[] {
    const pages = new Map<number, number>();
    for (const block of this.#blocks.values()) {
      if (!block.resident) continue;
      const seq = Math.max(this.#minSeq, block.seq);
      pages.set(seq, (pages.get(seq) ?? 0) + this.#blockPages);
    }
    return this.#bornMs.slice(this.#minSeq).map((bornMs, index) => ({
      seq: this.#minSeq + index,
      ageMs: nowMs - bornMs,
      anonPages: 0,
      filePages: pages.get(this.#minSeq + index) ?? 0,
    }));
  }

  /** Evicts from generation `seq`; what was touched since the last aging is spared, as the kernel looks again. */
  evict(seq: number, pagesMax: number): number {
    let evicted = 0;
    for (const block of this.#blocks.values()) {
      if (evicted + this.#blockPages > pagesMax) break;
      if (!block.resident || block.touched || block.seq > seq) continue;
      block.resident = false;
      evicted += this.#blockPages;
    }
    this.residentPages -= evicted;
    this.stolenPages += evicted;
    return evicted;
  }
}
