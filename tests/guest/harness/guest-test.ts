/** Tests that run in a guest, once for each kernel that they need. */

import { test } from "bun:test";

import { messageOf } from "../../../src/base/fault.ts";
import { Guest, type GuestOptions } from "./guest.ts";
import { kernelsOf, type KernelNeeds } from "./kernels.ts";

export interface GuestTestOptions extends Omit<GuestOptions, "kernel">, KernelNeeds {
  /** For boot and body together. */
  readonly timeoutMs?: number;
}

/** A slow machine that does something else beside takes several times as long as an idle one. */
const timeoutMsDefault = 300_000;

/**
 * Declares a test for each kernel, with a guest of its own. A body that throws leaves the guest's console and dmesg
 * under dist/guest-failures.
 *
 * @param options as for `Guest.boot`, or a function that makes them when the test starts (to build what it brings).
 */
export function guestTest(
  title: string,
  options: GuestTestOptions,
  body: (guest: Guest) => Promise<void>,
  bring: () => Promise<Readonly<Record<string, string>>> = () => Promise.resolve({}),
): void {
  for (const kernel of kernelsOf(options.cgroup === "v1" ? { ...options, kernels: ["6.1"] } : options, process.env)) {
    test(
      `${kernel}: ${title}`,
      async () => {
        const files = { ...options.files, ...(await bring()) };
        await using guest = await Guest.boot({ ...options, files, kernel });
        try {
          await body(guest);
        } catch (error) {
          console.error(`guest: console and dmesg in ${await guest.keepEvidence(messageOf(error))}`);
          throw error;
        }
      },
      options.timeoutMs ?? timeoutMsDefault,
    );
  }
}
