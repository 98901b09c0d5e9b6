/** What the host pays for guests: the proportional set size of each one's VMM, where it can be found. */
import { parseAgentAddr } from "../../base/address.ts";
import { readGuestCids } from "../../kernel/guest-cids.ts";
import { readPss } from "../../kernel/smaps-rollup.ts";
import { ownerOf } from "../../system/socket-owner.ts";
import type { FleetGuest } from "./guests.ts";

/** Bytes by address; a guest whose VMM is not found, or may not be looked at, is absent. */
export async function hostBytes(root: string, guests: readonly FleetGuest[]): Promise<ReadonlyMap<string, number>> {
  const addresses = guests.map(({ address }) => ({ address, parsed: parseAgentAddr(address) }));
  const cids = addresses.some(({ parsed }) => parsed.kind === "vsock")
    ? readGuestCids(root)
    : new Map<number, number>();
  const found = await Promise.all(
    addresses.map(async ({ address, parsed }) => {
      // A unix socket is an agent's own: this machine's, no guest's.
      if (parsed.kind === "unix") return null;
      const pid = parsed.kind === "vsock" ? (cids.get(parsed.cid) ?? null) : ownerOf(parsed.path);
      const bytes = pid === null ? null : await readPss(root, pid);
      return bytes === null ? null : ([address, bytes] as const);
    }),
  );
  return new Map(found.filter((entry) => entry !== null));
}
