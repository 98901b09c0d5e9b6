/**
 * The balloon devices in `/sys/bus/virtio/devices`, and whether they report free pages to the host.
 *
 * Each device has `device` (`0x0005`: balloon), `features` (a line of 0 and 1, bit 0 first, as negotiated by the driver:
 * all 0 before one is bound) and `driver` (a link). See the virtio specification, "Traditional Memory Balloon Device".
 */
import { existsSync, readdirSync } from "node:fs";
import { readText, under } from "../system/pseudo-file.ts";

const folder = "/sys/bus/virtio/devices";
const balloonId = 5;
/** VIRTIO_BALLOON_F_REPORTING */
const reportingBit = 5;

export interface VirtioBalloon {
  /** `virtio3` */
  readonly name: string;
  readonly hasDriver: boolean;
  /** Free page reporting was offered by the host and taken by the driver. */
  readonly reports: boolean;
}

/** One device of the bus from its files' texts; null when it is no balloon. */
export function parseBalloon(name: string, device: string, features: string, hasDriver: boolean): VirtioBalloon | null {
  if (Number.parseInt(device.trim(), 16) !== balloonId) return null;
  return { name, hasDriver, reports: features.trim()[reportingBit] === "1" };
}

/** Every virtio balloon; empty without one, or without virtio. */
export function readVirtioBalloons(root: string): readonly VirtioBalloon[] {
  let names: readonly string[];
  try {
    names = readdirSync(under(root, folder));
  } catch {
    return [];
  }
  return names.toSorted().flatMap((name) => {
    const device = `${folder}/${name}`;
    try {
      const balloon = parseBalloon(
        name,
        readText(root, `${device}/device`),
        readText(root, `${device}/features`),
        existsSync(under(root, `${device}/driver`)),
      );
      return balloon === null ? [] : [balloon];
    } catch {
      return []; // unplugged while we looked
    }
  });
}
