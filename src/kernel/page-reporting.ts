/**
 * Free page reporting: the guest tells the host which free blocks it may take. Linux 5.7, mm/page_reporting.c; the
 * balloon's part in the virtio specification, 5.5 "Traditional Memory Balloon Device".
 *
 * `/sys/module/page_reporting/parameters/page_reporting_order`: blocks of at least 2^N pages are reported. Kernels
 * since 6.5 say 4294967295 (-1) until a driver has switched reporting on.
 * `/sys/bus/virtio/devices/virtioN/features`: one digit 0 or 1 a feature, the first for feature 0.
 */
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { decimalOrNull, malformed, readText, readTextIfThere, under } from "./pseudo-file.ts";

export interface PageReporting {
  /** Least order that is reported; null where the kernel cannot report, or does not say. */
  readonly order: number | null;
  /** Balloon devices that have a driver, by name, with whether free page reporting was agreed on with the host. */
  readonly balloons: readonly { readonly device: string; readonly reporting: boolean }[];
}

const orderPath = "/sys/module/page_reporting/parameters/page_reporting_order";
const virtioPath = "/sys/bus/virtio/devices";
const balloonReportingFeature = 5;
/** Above every order that a kernel has (10; 13 with 64 KiB pages). */
const orderLimit = 32;

/** Null for the number that stands for "not on yet". Fault `malformed`. */
export function parseReportingOrder(text: string): number | null {
  const trimmed = text.trim();
  const order = trimmed === "-1" ? orderLimit : decimalOrNull(trimmed);
  if (order === null) throw malformed(orderPath, "no order", text);
  return order < orderLimit ? order : null;
}

/** Whether feature `bit` is agreed on. Fault `malformed`. */
export function parseVirtioFeature(text: string, bit: number): boolean {
  if (!/^[01]{1,256}\n?$/.test(text)) throw malformed(`${virtioPath}/*/features`, "not a row of 0 and 1", text);
  return text[bit] === "1";
}

/** Faults: `denied`, `malformed`, `io`. */
export function readPageReporting(root: string): PageReporting {
  const order = readTextIfThere(root, orderPath);
  return { order: order === null ? null : parseReportingOrder(order), balloons: readBalloons(root) };
}

function readBalloons(root: string): { device: string; reporting: boolean }[] {
  if (!existsSync(under(root, virtioPath))) return [];
  return readdirSync(under(root, virtioPath))
    .filter((device) => driverOf(root, device) === "virtio_balloon")
    .map((device) => {
      const features = readText(root, `${virtioPath}/${device}/features`);
      return { device, reporting: parseVirtioFeature(features, balloonReportingFeature) };
    });
}

/** The driver's name is where the link `driver` points to; null for a device without one. */
function driverOf(root: string, device: string): string | null {
  try {
    return (
      readlinkSync(under(root, `${virtioPath}/${device}/driver`))
        .split("/")
        .at(-1) ?? null
    );
  } catch {
    return null;
  }
}
