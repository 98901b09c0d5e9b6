/** What the host pays for guests: the proportional set size of each one's VMM, where it can be found. */
import { parseAgentAddr } from "../../base/address.ts";
import { systemClock, within } from "../../base/clock.ts";
import { readGuestCids } from "../../kernel/guest-cids.ts";
import { readPss } from "../../kernel/smaps-rollup.ts";
import { ownerOf } from "../../system/socket-owner.ts";
import type { FleetGuest } from "./guests.ts";

/**
 * Bytes by address; a guest whose VMM is not found, or may not be looked at, is absent. The kernel counts for a while
 * where VMs are large: who has not been counted after `timeoutMs` is absent too.
 */
export async function hostBytes(
  root: string,
  guests: readonly FleetGuest[],
  timeoutMs: number,
): Promise<ReadonlyMap<string, number>> {
  const addresses = guests.map(({ address }) => ({ address, parsed: parseAgentAddr(address) }));
  const cids = addresses.some(({ parsed }) => parsed.kind === "vsock")
    ? readGuestCids(root)
    : new Map<number, number>();
  const found = new Map<string, number>();
  const counted = addresses.map(async ({ address, parsed }) => {
    // A unix socket is an agent's own: this machine's, no guest's.
    if (parsed.kind === "unix") return;
    const pid = parsed.kind === "vsock" ? (cids.get(parsed.cid) ?? null) : ownerOf(parsed.path);
    const bytes = pid === null ? null : await readPss(root, pid);
    if (bytes !== null) found.set(address, bytes);
  });
  await within(systemClock, timeoutMs, Promise.all(counted));
  return new Map(found);
}
