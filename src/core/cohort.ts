/**
 * Old is what stayed: how many of a target's file pages have been in its old generations at every look for a while.
 *
 * A generation's age is not the age of its file pages. read() brings pages into the oldest generation (seen on 7.2), or
 * where there are four into the second oldest (6.1, 6.12), which the next aging makes the oldest. Nor does the kernel's
 * order help: aging appends the oldest generation to the next one back to front, so that the pages which came last may go
 * first (seen on 6.1 and 6.12: of two files in the oldest generation the one that was read later). So two things are
 * followed for each generation from the first scan that shows it: the least that it and all older ones held, and what was
 * read into the target since. The least is old as long as next to nothing was read in; else what goes may be fresh.
 *
 * What was touched through page tables, the generations' ages tell (see eviction.ts); so too for anonymous pages, of which
 * fresh ones go to the youngest generation.
 */
import { generationsMax } from "./eviction.ts";

/** What is read in may be this share of what is old; below it, it is the noise of log files. */
const joinedDivisor = 64;

/** One generation at a scan. */
export interface CohortGeneration {
  readonly seq: number;
  readonly filePages: number;
}

/** For each generation: its first scan (tenths of a second), least pages, `joined` at the first scan. */
const generationColumns = 3;
const totalAt = generationsMax * generationColumns;
const joinedAt = totalAt + 1;
const firstSeqAt = totalAt + 2;
const countAt = totalAt + 3;
/** So many numbers are kept of a target. */
export const cohortColumns = totalAt + 4;
const timeUnitMs = 100;
const most = 2 ** 32 - 1;

/**
 * What is remembered of one target is `cohortColumns` numbers of `numbers` from `at` on, zeros before the first scan: pages
 * fit into 32 bits up to 16 TiB. Nothing is allocated for it, there being thousands of targets.
 */
export interface CohortRow {
  readonly numbers: Uint32Array;
  readonly at: number;
}

/**
 * A look at all generations, oldest first and without gaps in `seq`. `takenPages`: file pages that anybody evicted since
 * the scan before, by the kernel's count.
 */
export function lookAtCohort(
  row: CohortRow,
  generations: readonly CohortGeneration[],
  takenPages: number,
  nowMs: number,
): void {
  const shown = generations.slice(-generationsMax);
  let total = 0;
  for (const { filePages } of shown) total += filePages;
  // Pages that are freed meanwhile (a file is deleted) hide as many that are read in: the kernel has no count of these.
  const joined = get(row, countAt) > 0 ? Math.max(0, total - get(row, totalAt) + takenPages) : 0;
  set(row, totalAt, total);
  set(row, joinedAt, get(row, joinedAt) + joined);
  const [oldest] = shown;
  if (oldest === undefined) {
    set(row, countAt, 0);
    return;
  }
  moveTo(row, oldest.seq, shown.length, nowMs);
  let upTo = 0;
  for (const [index, { filePages }] of shown.entries()) {
    upTo += filePages;
    const leastAt = index * generationColumns + 1;
    set(row, leastAt, Math.min(upTo, Math.max(0, get(row, leastAt) - takenPages)));
  }
}

/** File pages up to generation `seq` that stayed for `horizonMs`; 0 where that is not known. */
export function oldPagesOf(row: CohortRow, seq: number, horizonMs: number, nowMs: number): number {
  const index = seq - get(row, firstSeqAt);
  if (index < 0 || index >= get(row, countAt)) return 0;
  const from = index * generationColumns;
  const [since, least, joinedBefore] = [get(row, from), get(row, from + 1), get(row, from + 2)];
  // Rounded up, so that a page is never taken for older than it is.
  if (nowMs - (since + 1) * timeUnitMs < horizonMs) return 0;
  return (get(row, joinedAt) - joinedBefore) * joinedDivisor > least ? 0 : least;
}

/** When generation `seq` was first seen, on the monotonic clock; null where it was not. */
export function seenMsOf(row: CohortRow, seq: number): number | null {
  const index = seq - get(row, firstSeqAt);
  return index < 0 || index >= get(row, countAt) ? null : get(row, index * generationColumns) * timeUnitMs;
}

/** Nothing is known of it any more. */
export function forgetCohort({ numbers, at }: CohortRow): void {
  numbers.fill(0, at, at + cohortColumns);
}

/** Generations that are gone make room for new ones, which begin at this look with all pages that are there. */
function moveTo(row: CohortRow, firstSeq: number, count: number, nowMs: number): void {
  const known = get(row, countAt);
  const by = known === 0 ? generationsMax : firstSeq - get(row, firstSeqAt);
  // A sequence that went back is another lruvec's.
  const kept = by < 0 || by >= known ? 0 : Math.min(count, known - by);
  if (kept > 0) {
    const { numbers, at } = row;
    numbers.copyWithin(at, at + by * generationColumns, at + (by + kept) * generationColumns);
  }
  for (let index = kept; index < count; index++) {
    set(row, index * generationColumns, Math.floor(nowMs / timeUnitMs));
    set(row, index * generationColumns + 1, most);
    set(row, index * generationColumns + 2, get(row, joinedAt));
  }
  set(row, firstSeqAt, firstSeq);
  set(row, countAt, count);
}

function get({ numbers, at }: CohortRow, column: number): number {
  return numbers[at + column] ?? 0;
}

function set({ numbers, at }: CohortRow, column: number, value: number): void {
  numbers[at + column] = Math.min(most, value);
}
