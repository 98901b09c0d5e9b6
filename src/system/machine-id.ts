/**
 * Something that tells this guest from others on its host, the same after each boot: so that guests which start at one
 * moment need not all work at one moment.
 *
 * `/etc/machine-id` (machine-id(5)) is alike in guests cloned from one image; `/sys/class/dmi/id/product_uuid`
 * (mode 0400) is the virtual machine's own, where the host gives one. So both are taken together. Else the addresses
 * of the network devices: those with hardware behind them, as others come and go.
 */
import { existsSync, readdirSync } from "node:fs";
import { readTextIfThere, under } from "./pseudo-file.ts";

const machineIdPath = "/etc/machine-id";
const productUuidPath = "/sys/class/dmi/id/product_uuid";
const networkPath = "/sys/class/net";

/** A machine id in lower case hexadecimal, null for an empty or `uninitialized` file. */
export function parseMachineId(text: string): string | null {
  const id = text.trim().toLowerCase();
  return /^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id) ? id : null;
}

/** A UUID in lower case, null for the blank ones that some hosts give. */
export function parseProductUuid(text: string): string | null {
  const uuid = text.trim().toLowerCase();
  const digits = uuid.replaceAll("-", "");
  return /^[0-9a-f]{32}$/.test(digits) && !/^(?:0+|f+)$/.test(digits) ? uuid : null;
}

/** A hardware address, null for none and for that of the loopback device. */
export function parseHardwareAddress(text: string): string | null {
  const address = text.trim().toLowerCase();
  return /^[0-9a-f]{2}(?::[0-9a-f]{2}){5,}$/.test(address) && !/^[0:]+$/.test(address) ? address : null;
}

/** machine-id(5), null where the machine has none. Never throws. */
export function readMachineId(root: string): string | null {
  return readParsed(root, machineIdPath, parseMachineId);
}

/** The host name as uname(2) has it, null where it cannot be read. Never throws. */
export function readHostname(root: string): string | null {
  return readParsed(root, "/proc/sys/kernel/hostname", (text) => text.trim() || null);
}

/** The text to derive a spread from, null where the machine has nothing of the kind. Never throws. */
export function readMachineSeed(root: string): string | null {
  const own = [readMachineId(root), readParsed(root, productUuidPath, parseProductUuid)];
  const known = own.filter((part) => part !== null);
  if (known.length > 0) return known.join(" ");
  const addresses = readHardwareAddresses(root);
  return addresses.length > 0 ? addresses.join(" ") : null;
}

function readHardwareAddresses(root: string): string[] {
  const folder = under(root, networkPath);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((device) => existsSync(`${folder}/${device}/device`))
    .map((device) => readParsed(root, `${networkPath}/${device}/address`, parseHardwareAddress))
    .filter((address) => address !== null)
    .toSorted();
}

function readParsed(root: string, path: string, parse: (text: string) => string | null): string | null {
  try {
    const text = readTextIfThere(root, path);
    return text === null ? null : parse(text);
  } catch {
    // A seed is a nicety: a file that may not be read is as good as none.
    return null;
  }
}
