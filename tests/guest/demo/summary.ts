/** The end of the demo: what was given back, what it cost, and who felt it. Pure. */
import type { OwnCost } from "../../../src/agent/status.ts";
import { bytesText } from "../../../src/base/units.ts";
import { median } from "./course.ts";
import type { Felt } from "./hot.ts";

export interface Outcome {
  /** The guest's memory that its host holds. */
  readonly host: {
    /** The guest has booted. */
    readonly bareMiB: number;
    /** Both workloads in place, no agent. */
    readonly beforeMiB: number;
    /** The agent serves, and has evicted nothing yet. */
    readonly withAgentMiB: number;
    readonly afterMiB: number;
  };
  readonly idle: { readonly beforeMiB: number; readonly afterMiB: number };
  readonly hot: {
    readonly beforeMiB: number;
    readonly afterMiB: number;
    /** When it alone was busy, when the agent started, at the end. */
    readonly felt: readonly [quiet: Felt, started: Felt, ended: Felt];
    readonly evictedBytes: number;
    readonly passMs: readonly number[];
  };
  readonly evictedBytes: number;
  readonly own: OwnCost;
  /** Whether this kernel counts refaults under the multi-gen LRU. */
  readonly refaultsCounted: boolean;
}

/** `stalled 12 ms in 9 s (0.13 %)` of one interval; the larger of memory and io. */
function stallText(from: Felt, to: Felt): string {
  const us = Math.max(to.memoryStallUs - from.memoryStallUs, to.ioStallUs - from.ioStallUs);
  const secs = to.atSecs - from.atSecs;
  return `${(us / 1000).toFixed(0)} ms in ${secs.toFixed(0)} s (${(us / secs / 1e4).toFixed(2)} %)`;
}

function passText(passMs: readonly number[], from: Felt, to: Felt): string {
  const middle = median(passMs.slice(from.passes, to.passes));
  return middle === null ? "no reading ended" : `${middle.toFixed(0)} ms a reading`;
}

function mib(amount: number): string {
  return `${amount.toFixed(0)} MiB`;
}

/** Names and values, for two columns. */
export function summaryRows(outcome: Outcome): readonly (readonly [name: string, value: string])[] {
  const { host, idle, hot, own } = outcome;
  const [quiet, started, ended] = hot.felt;
  const startCost = host.withAgentMiB - host.beforeMiB;
  const saved = host.beforeMiB - host.afterMiB;
  const counted = outcome.refaultsCounted ? "" : " (this kernel counts few; 6.12 and later all)";
  return [
    ["host pays, before", `${mib(host.beforeMiB)} (${mib(host.bareMiB)} when it had just booted)`],
    ["  with the agent", `${mib(host.withAgentMiB)}: its start adds ${mib(startCost)}`],
    ["  after", `${mib(host.afterMiB)}: ${mib(saved)} less, ${((100 * saved) / host.beforeMiB).toFixed(0)} %`],
    [
      "evicted",
      `${bytesText(outcome.evictedBytes)}, ${bytesText(outcome.hot.evictedBytes)} of it from the hot workload`,
    ],
    ["idle workload", `${mib(idle.beforeMiB)} -> ${mib(idle.afterMiB)}`],
    ["hot workload", `${mib(hot.beforeMiB)} -> ${mib(hot.afterMiB)}`],
    ["  stalled, before", `${stallText(quiet, started)}, ${passText(hot.passMs, quiet, started)}`],
    ["  stalled, with agent", `${stallText(started, ended)}, ${passText(hot.passMs, started, ended)}`],
    ["  refaults", `${started.refaultedPages} -> ${ended.refaultedPages} pages${counted}`],
    [
      "the agent itself",
      `${own.cpu_user_secs.toFixed(1)} s user and ${own.cpu_system_secs.toFixed(1)} s system CPU time (emulated) ` +
        `in ${own.uptime_secs.toFixed(0)} s`,
    ],
    ["", `${bytesText(own.charged_bytes ?? 0)} of the guest's memory, ${bytesText(own.private_bytes ?? 0)} private`],
  ];
}
