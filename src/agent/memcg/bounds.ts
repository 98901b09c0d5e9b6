/** What memory.min, memory.low and memory.swap.max leave to be evicted, for as long as one plan holds: each file is read once. */
import { overshootPages, unprotectedPages, type ProtectionReading } from "../../core/protection.ts";
import type { CgroupTree } from "../../kernel/cgroup.ts";
import { readMemoryProtection, readSwapRoomBytes } from "../../kernel/memory-control.ts";
import type { EvictPlan } from "./backend.ts";
import type { CgroupState } from "./registry.ts";

export class Bounds {
  readonly #root: string;
  readonly #tree: CgroupTree;
  readonly #pageBytes: number;
  /** Pages that each cgroup's own limit leaves for swap; null without one. */
  readonly #swapRooms = new Map<CgroupState, number | null>();
  readonly #protections = new Map<CgroupState, ProtectionReading>();

  constructor(root: string, tree: CgroupTree, pageBytes: number) {
    this.#root = root;
    this.#tree = tree;
    this.#pageBytes = pageBytes;
  }

  /** Pages that may go to swap by the limits of the cgroup and its parents; null without any limit. */
  swapRoomPages(cgroup: CgroupState): number | null {
    let least: number | null = null;
    for (let at: CgroupState | null = cgroup; at !== null; at = at.parent) {
      if (!this.#swapRooms.has(at)) {
        const bytes = readSwapRoomBytes(this.#root, this.#tree, at.path);
        this.#swapRooms.set(at, bytes === null ? null : Math.floor(bytes / this.#pageBytes));
      }
      const room = this.#swapRooms.get(at) ?? null;
      if (room !== null) least = least === null ? room : Math.min(least, room);
    }
    return least;
  }

  /** Pages above every protection of the cgroup and its parents; null where nothing is protected. */
  unprotectedPages(cgroup: CgroupState): number | null {
    const chain: ProtectionReading[] = [];
    for (let at: CgroupState | null = cgroup; at !== null; at = at.parent) chain.push(this.#protection(at));
    return unprotectedPages(chain, this.#pageBytes);
  }

  /** What one target is to lose is not there for the others below the same bounds: nodes and siblings. */
  reserve(cgroup: CgroupState, { pages, anonPages }: Pick<EvictPlan, "pages" | "anonPages">): void {
    const bytes = (pages + overshootPages) * this.#pageBytes;
    for (let at: CgroupState | null = cgroup; at !== null; at = at.parent) {
      const room = this.#swapRooms.get(at) ?? null;
      if (room !== null) this.#swapRooms.set(at, Math.max(0, room - anonPages));
      const reading = this.#protection(at);
      if (reading.usageBytes === null) continue;
      this.#protections.set(at, { ...reading, usageBytes: reading.usageBytes - bytes });
    }
  }

  #protection(cgroup: CgroupState): ProtectionReading {
    let reading = this.#protections.get(cgroup);
    if (reading === undefined) {
      const { currentBytes, minBytes, lowBytes } = readMemoryProtection(this.#root, this.#tree, cgroup.path);
      reading = { usageBytes: currentBytes, minBytes, lowBytes };
      this.#protections.set(cgroup, reading);
    }
    return reading;
  }
}
