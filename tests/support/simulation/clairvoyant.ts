/**
 * What somebody saves who knows the future: each block is away from when it was last used until it is used again, and of
 * all such pauses the longest are taken, as many as may come back.
 */
export class Pauses {
  /** Blocks by the length of their pauses; those that never end come for free. */
  readonly #blocksOf = new Map<number, number>();
  readonly #lastMs: Float64Array;
  endlessBlockMs = 0;

  constructor(blocks: number) {
    this.#lastMs = new Float64Array(blocks).fill(-1);
  }

  use(block: number, nowMs: number): void {
    const last = this.#lastMs[block] ?? -1;
    this.#lastMs[block] = nowMs;
    if (last < 0 || last === nowMs) return;
    this.#blocksOf.set(nowMs - last, (this.#blocksOf.get(nowMs - last) ?? 0) + 1);
  }

  end(nowMs: number): void {
    for (const last of this.#lastMs) if (last >= 0) this.endlessBlockMs += nowMs - last;
  }

  *[Symbol.iterator](): Generator<readonly [pauseMs: number, blocks: number]> {
    yield* this.#blocksOf;
  }
}

/** Blocks times milliseconds that are saved at best when `blocksBack` come back, over all jobs together. */
export function savedAtBest(all: readonly Pauses[], blocksBack: number): number {
  let saved = all.reduce((sum, { endlessBlockMs }) => sum + endlessBlockMs, 0);
  let left = blocksBack;
  const pauses = all.flatMap((one) => [...one]).toSorted(([one], [other]) => other - one);
  for (const [pauseMs, blocks] of pauses) {
    const taken = Math.min(left, blocks);
    saved += taken * pauseMs;
    left -= taken;
    if (left <= 0) break;
  }
  return saved;
}
