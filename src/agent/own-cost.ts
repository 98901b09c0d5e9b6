/** What the agent costs itself. */
import { isFault } from "../base/fault.ts";
import { readSelfStatus } from "../system/self.ts";
import type { OwnCost } from "./status.ts";

/** Never throws: what /proc does not say is null. */
export function ownCost(): OwnCost {
  const cpu = process.cpuUsage();
  const times = {
    cpu_user_secs: cpu.user / 1e6,
    cpu_system_secs: cpu.system / 1e6,
    uptime_secs: process.uptime(),
  };
  try {
    const { rssAnonBytes, rssFileBytes, rssShmemBytes, threads } = readSelfStatus("/");
    return {
      ...times,
      private_bytes: rssAnonBytes,
      resident_bytes: rssAnonBytes + rssFileBytes + rssShmemBytes,
      threads,
    };
  } catch (error) {
    if (!isFault(error)) throw error;
    return { ...times, private_bytes: null, resident_bytes: null, threads: null };
  }
}
