/**
 * What the runs of the last day did, minute by minute, in one array of a fixed size: 46 KiB, however many runs there are.
 * It goes with the process.
 */
import type { HourTotals } from "../core/health.ts";
import type { EndReason } from "../core/reason.ts";
import { endReasons } from "../core/reason.ts";
import type { HistoryStatus } from "./status.ts";

const minuteMs = 60_000;
const minutesMax = 24 * 60;
const minutesOfHour = 60;

/** Columns of a minute's row. Bytes as 32-bit floats are right to seven digits. */
const column = {
  minute: 0,
  runs: 1,
  evicted: 2,
  refaulted: 3,
  saved: 4,
  stall: 5,
  compactions: 6,
  heldBack: 7,
} as const;
const columns = 8;

/** Ends that leave nothing behind that could have been evicted. */
const finished: ReadonlySet<EndReason> = new Set(["evicted", "nothing_cold", "not_ready", "disabled", "vanished"]);

/** What happened between the note before and this one. */
export interface HistoryNote {
  readonly evictedBytes: number;
  /** Null where it is not known. */
  readonly refaultedBytes: number | null;
  /** Away now. */
  readonly savedBytes: number;
  /** Largest share of a waiting period in which a target stalled, in percent; null where none is known. */
  readonly stallPercent: number | null;
  readonly ends: Readonly<Record<EndReason, number>>;
}

export class History {
  readonly #rows = new Float32Array(minutesMax * columns).fill(-1);

  /** A memcg run ended at `nowMs` on the monotonic clock. */
  noteRun(nowMs: number, note: HistoryNote): void {
    const row = this.#row(nowMs);
    this.#add(row, column.runs, 1);
    this.#add(row, column.evicted, note.evictedBytes);
    this.#add(row, column.refaulted, note.refaultedBytes ?? 0);
    this.#rows[row + column.saved] = note.savedBytes;
    this.#rows[row + column.stall] = Math.max(this.#rows[row + column.stall] ?? -1, note.stallPercent ?? -1);
    const heldBack = mostFrequent(note.ends);
    if (heldBack !== null) this.#rows[row + column.heldBack] = endReasons.indexOf(heldBack);
  }

  noteCompaction(nowMs: number): void {
    this.#add(this.#row(nowMs), column.compactions, 1);
  }

  /** The minutes in which something ran, oldest first. */
  status(nowMs: number, nowWallMs: number): HistoryStatus {
    const newest = Math.floor(nowMs / minuteMs);
    const minutes: HistoryStatus["minutes"][number][] = [];
    for (let minute = Math.max(0, newest - minutesMax + 1); minute <= newest; minute++) {
      const row = (minute % minutesMax) * columns;
      const get = (index: number): number => this.#rows[row + index] ?? -1;
      if (get(column.minute) !== minute) continue;
      const stall = get(column.stall);
      minutes.push({
        start: new Date(nowWallMs - (nowMs - minute * minuteMs)).toISOString(),
        runs: get(column.runs),
        evicted_bytes: Math.round(get(column.evicted)),
        refaulted_bytes: Math.round(get(column.refaulted)),
        saved_bytes: get(column.saved) < 0 ? null : Math.round(get(column.saved)),
        stall_percent: stall < 0 ? null : Math.round(stall * 100) / 100,
        compactions: get(column.compactions),
        held_back: endReasons[get(column.heldBack)] ?? null,
      });
    }
    return { minutes };
  }

  /** What went and what came back within the last hour. */
  lastHour(nowMs: number): HourTotals {
    const newest = Math.floor(nowMs / minuteMs);
    let [evictedBytes, refaultedBytes] = [0, 0];
    for (let minute = Math.max(0, newest - minutesOfHour + 1); minute <= newest; minute++) {
      const row = (minute % minutesMax) * columns;
      if (this.#rows[row + column.minute] !== minute) continue;
      evictedBytes += this.#rows[row + column.evicted] ?? 0;
      refaultedBytes += this.#rows[row + column.refaulted] ?? 0;
    }
    return { evictedBytes, refaultedBytes };
  }

  /** Where this minute's row begins; a row of a day ago is used again. */
  #row(nowMs: number): number {
    const minute = Math.floor(nowMs / minuteMs);
    const row = (minute % minutesMax) * columns;
    if (this.#rows[row + column.minute] !== minute) {
      this.#rows.fill(0, row, row + columns);
      this.#rows[row + column.minute] = minute;
      for (const unknown of [column.saved, column.stall, column.heldBack]) this.#rows[row + unknown] = -1;
    }
    return row;
  }

  #add(row: number, index: number, amount: number): void {
    this.#rows[row + index] = (this.#rows[row + index] ?? 0) + amount;
  }
}

/** What kept most targets from giving more, null where none was kept. */
function mostFrequent(ends: Readonly<Record<EndReason, number>>): EndReason | null {
  let most: EndReason | null = null;
  for (const reason of endReasons) {
    if (finished.has(reason) || ends[reason] === 0) continue;
    if (most === null || ends[reason] > ends[most]) most = reason;
  }
  return most;
}
