/** Watches the system's pressure while a compaction is under way. Exists only that long: at rest nothing is armed. */
import type { Clock } from "../../base/clock.ts";
import { isFault, nullIfFault } from "../../base/fault.ts";
import { isAbove, SlidingPressure, triggerPercent, type StallReading, type StallShare } from "../../core/pressure.ts";
import { readSomeTotalUs, systemPressurePath } from "../../kernel/pressure.ts";
import { PressureTrigger } from "../../kernel/pressure-trigger.ts";
import type { FsPath } from "../../system/path-name.ts";

const resources = ["memory", "io"] as const;

/** Window of the share that stops a compaction: the shortest that every kernel accepts for a trigger. */
export const guardWindowMs = 500;

/** The pressure files of the cgroup that holds the agent, with the process that compacts, and nobody else. */
export interface OwnPressure {
  readonly memory: FsPath;
  readonly io: FsPath;
}

const ownId = 0;

/**
 * The system's stall totals now, and apart from them what the agent stalled itself: to read a program from the disk is no
 * other's harm. What both stalled at once is taken for its own. Faults: `missing` or `unsupported` (PSI is off), `malformed`.
 */
export function readSystemStall(root: string, clock: Clock, own: OwnPressure | null): StallReading {
  const [memoryUs, ioUs] = resources.map((resource) => readSomeTotalUs(systemPressurePath(root, resource)));
  return {
    atMs: clock.monotonicMs(),
    self: { memoryUs: memoryUs ?? null, ioUs: ioUs ?? null },
    children:
      own === null ? null : new Map([[ownId, { memoryUs: totalOrNull(own.memory), ioUs: totalOrNull(own.io) }]]),
  };
}

function totalOrNull(file: FsPath): number | null {
  return nullIfFault(() => readSomeTotalUs(file));
}

export class CompactGuard implements Disposable {
  readonly #root: string;
  readonly #clock: Clock;
  readonly #limitPercent: number;
  readonly #own: OwnPressure | null;
  #sliding: SlidingPressure;
  #triggers: PressureTrigger[] = [];
  #readMs: number;
  /** Until then the totals are read at every look: a trigger has fired and fires again only after its window. */
  #suspectUntilMs: number;

  /** Arms the triggers. Where the kernel refuses them the totals, read at every look, do the work. */
  constructor(root: string, clock: Clock, limitPercent: number, own: OwnPressure | null) {
    this.#own = own;
    this.#root = root;
    this.#clock = clock;
    this.#limitPercent = limitPercent;
    const start = readSystemStall(root, clock, own);
    this.#sliding = new SlidingPressure(start, guardWindowMs);
    this.#readMs = start.atMs;
    this.#suspectUntilMs = start.atMs;
    this.#arm();
  }

  /** What stalled until now is forgotten. */
  restart(): void {
    const start = readSystemStall(this.#root, this.#clock, this.#own);
    this.#sliding = new SlidingPressure(start, guardWindowMs);
    this.#readMs = start.atMs;
  }

  /** The stall when it is above the limit now, else null. */
  above(): StallShare | null {
    const nowMs = this.#clock.monotonicMs();
    if (this.#triggers.length === 0 || this.#fired()) this.#suspectUntilMs = nowMs + guardWindowMs;
    // Without suspicion a reading a window keeps the sliding share from going back too far.
    if (nowMs > this.#suspectUntilMs && nowMs - this.#readMs < guardWindowMs) return null;
    this.#readMs = nowMs;
    const share = this.#sliding.share(readSystemStall(this.#root, this.#clock, this.#own));
    return isAbove(share?.percent ?? null, this.#limitPercent) ? share : null;
  }

  [Symbol.dispose](): void {
    for (const trigger of this.#triggers) trigger[Symbol.dispose]();
    this.#triggers = [];
  }

  #arm(): void {
    const percent = triggerPercent(this.#limitPercent);
    if (percent === null) return;
    try {
      for (const resource of resources) {
        const file = systemPressurePath(this.#root, resource);
        this.#triggers.push(PressureTrigger.open(file, percent, guardWindowMs));
      }
    } catch (error) {
      // One resource without a trigger needs the totals at every look, and then the other trigger is of no use.
      this[Symbol.dispose]();
      if (!isFault(error)) throw error;
    }
  }

  #fired(): boolean {
    const events = PressureTrigger.pollAll(this.#triggers);
    if (events.some((event) => event.news === "gone")) this[Symbol.dispose]();
    return events.length > 0;
  }
}
