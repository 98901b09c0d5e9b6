/** Free memory as compaction sees it: blocks by order, of all nodes and zones together. */
import { pagesToBytes } from "../../base/units.ts";
import { movableBlocks, pagesFrom, type FreeBlocks } from "../../core/compaction.ts";
import { readBuddyinfo, type BuddyZone } from "../../kernel/buddyinfo.ts";
import { readReportingOrder } from "../../kernel/page-reporting.ts";
import { pageBytes } from "../../system/page-size.ts";
import { readPagetypeinfo, type PageTypeRow } from "../../kernel/pagetypeinfo.ts";
import { readVirtioBalloons } from "../../kernel/virtio-balloon.ts";
import type { FreeStatus } from "../status.ts";

const movableType = "Movable";
const uncounted = { count: 0, atLeast: false } as const;

/** Free blocks of every type by order. Faults: `missing`, `malformed`, `io`. */
export function readFreeByOrder(root: string): readonly number[] {
  return blocksByOrder(readBuddyinfo(root));
}

/** Free blocks with their movable part. Faults as `readFreeByOrder`, and `denied` for those who are not root. */
export function readFreeBlocks(root: string): FreeBlocks {
  const types = readPagetypeinfo(root);
  const zones = readBuddyinfo(root);
  const blocks = blocksByOrder(zones);
  return {
    freePages: pagesFrom(blocks, 0),
    blocks,
    movableBlocks: blocks.map((_, order) => zones.reduce((sum, zone) => sum + movableOf(zone, types, order), 0)),
  };
}

/**
 * Least order of the blocks that the host gets; null where it gets none: no support in the kernel, or balloons of which
 * none agreed on it with the host. Without a balloon of virtio another hypervisor's driver may be the one that
 * reports, and the kernel's order is believed. Faults: `malformed`, `io`.
 */
export function readReportedOrder(root: string): number | null {
  const balloons = readVirtioBalloons(root);
  if (balloons.length > 0 && !balloons.some((balloon) => balloon.reports)) return null;
  return readReportingOrder(root);
}

/** What is free, in bytes. */
export function freeStatus(blocks: readonly number[], order: number, reportedOrder: number | null): FreeStatus {
  const bytesFrom = (least: number): number => pagesToBytes(pagesFrom(blocks, least), pageBytes());
  return {
    free_bytes: bytesFrom(0),
    order_bytes: bytesFrom(order),
    reportable_bytes: reportedOrder === null ? null : bytesFrom(reportedOrder),
  };
}

function blocksByOrder(zones: readonly BuddyZone[]): number[] {
  const orders = Math.max(0, ...zones.map((zone) => zone.freeBlocks.length));
  return Array.from({ length: orders }, (_, order) =>
    zones.reduce((sum, zone) => sum + (zone.freeBlocks[order] ?? 0), 0),
  );
}

function movableOf(zone: BuddyZone, types: readonly PageTypeRow[], order: number): number {
  const rows = types.filter((row) => row.node === zone.node && row.zone === zone.zone);
  const countOf = (row: PageTypeRow): PageTypeRow["freeBlocks"][number] => row.freeBlocks[order] ?? uncounted;
  const movable = rows.find((row) => row.type === movableType);
  if (movable === undefined) return 0;
  return movableBlocks(
    countOf(movable),
    zone.freeBlocks[order] ?? 0,
    rows.filter((row) => row !== movable).map(countOf),
  );
}
