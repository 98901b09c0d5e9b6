/**
 * Old is what stayed: how many of a target's file pages have been in its old generations at every look for a while.
 *
 * A generation's age is not the age of its file pages. read() brings pages into the oldest generation (seen on 7.2), or
 * where there are four into the second oldest (6.1, 6.12), which the next aging makes the oldest. Nor does the kernel's
 * order help: aging appends the oldest generation to the next one back to front, so that the pages which came last may go
 * first (seen on 6.1 and 6.12: of two files in the oldest generation the one that was read later). So two things are
 * followed for each generation from the first look that shows it: the least that it and all older ones held, and what was
 * read into the target since. The least is old as long as next to nothing was read in; else what goes may be fresh.
 *
 * What was touched through page tables, the generations' ages tell (see eviction.ts); so too for anonymous pages, of which
 * fresh ones go to the youngest generation.
 */
import { generationsMax } from "./eviction.ts";

/** What is read in may be this share of what is old; below it, it is the noise of log files. */
const joinedDivisor = 64;

/** One generation at a look. */
export interface CohortGeneration {
  readonly seq: number;
  readonly filePages: number;
}

const columns = 3;
const totalAt = generationsMax * columns;
const joinedAt = totalAt + 1;
const timeUnitMs = 100;
const most = 2 ** 32 - 1;

/** Of one target. 56 bytes of numbers beside the object: pages fit into 32 bits up to 16 TiB. */
export class Cohort {
  /** For each generation: first look (tenths of a second), least pages, `joined` at the first look. Then total, joined. */
  readonly #numbers = new Uint32Array(generationsMax * columns + 2);
  #firstSeq = 0;
  #count = 0;

  /**
   * A look at all generations, oldest first and without gaps in `seq`. `takenPages`: file pages that anybody evicted since
   * the look before, by the kernel's count.
   */
  look(generations: readonly CohortGeneration[], takenPages: number, nowMs: number): void {
    const shown = generations.slice(-generationsMax);
    const total = shown.reduce((sum, { filePages }) => sum + filePages, 0);
    const [oldest] = shown;
    const known = this.#count > 0;
    const before = this.#numbers[totalAt] ?? 0;
    // Pages that are freed meanwhile (a file is deleted) hide as many that are read in: the kernel has no count of these.
    const joined = known ? Math.max(0, total - before + takenPages) : 0;
    this.#set(totalAt, total);
    this.#set(joinedAt, (this.#numbers[joinedAt] ?? 0) + joined);
    if (oldest === undefined) {
      this.#count = 0;
      return;
    }
    this.#moveTo(oldest.seq, shown.length, nowMs);
    let upTo = 0;
    for (const [index, { filePages }] of shown.entries()) {
      upTo += filePages;
      const least = this.#numbers[index * columns + 1] ?? 0;
      this.#set(index * columns + 1, Math.min(upTo, Math.max(0, least - takenPages)));
    }
  }

  /** File pages up to generation `seq` that stayed for `horizonMs`; 0 where that is not known. */
  oldPages(seq: number, horizonMs: number, nowMs: number): number {
    const index = seq - this.#firstSeq;
    if (index < 0 || index >= this.#count) return 0;
    const [since = 0, least = 0, joinedBefore = 0] = this.#numbers.subarray(index * columns, (index + 1) * columns);
    // Rounded up, so that a page is never taken for older than it is.
    if (nowMs - (since + 1) * timeUnitMs < horizonMs) return 0;
    const joined = (this.#numbers[joinedAt] ?? 0) - joinedBefore;
    return joined * joinedDivisor > least ? 0 : least;
  }

  /** Generations that are gone make room for new ones, which begin at this look with all pages that are there. */
  #moveTo(firstSeq: number, count: number, nowMs: number): void {
    const by = this.#count === 0 ? generationsMax : firstSeq - this.#firstSeq;
    // A sequence that went back is another lruvec's.
    const kept = by < 0 || by >= this.#count ? 0 : Math.min(count, this.#count - by);
    if (kept > 0) this.#numbers.copyWithin(0, by * columns, (by + kept) * columns);
    for (let index = kept; index < count; index++) {
      this.#set(index * columns, Math.floor(nowMs / timeUnitMs));
      this.#set(index * columns + 1, most);
      this.#set(index * columns + 2, this.#numbers[joinedAt] ?? 0);
    }
    this.#firstSeq = firstSeq;
    this.#count = count;
  }

  #set(at: number, value: number): void {
    this.#numbers[at] = Math.min(most, value);
  }
}
