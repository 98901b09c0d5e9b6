/**
 * An hour over idle cgroups with default settings, of which the clock is stepped from one due time to the next; as a
 * process of its own so that what it costs can be counted:
 *
 *     bun tests/bench/idle-hour.ts ROOT
 *
 * Prints an IdleHour as JSON.
 */
import { Events } from "../../src/agent/events.ts";
import { MemcgService } from "../../src/agent/memcg/service.ts";
import { Warnings } from "../../src/agent/warnings.ts";
import { defaultSettings } from "../../src/config/schema.ts";
import { LruGen } from "../../src/kernel/lru-gen.ts";
import { recordingLog } from "../support/recording-log.ts";
import { SteppedClock } from "../unit/agent/stepped-clock.ts";

export interface IdleHour {
  readonly cpuMs: number;
  /** How often it woke up to read one snapshot, and how many targets it aged in all. */
  readonly looks: number;
  readonly agings: number;
}

const hourMs = 3_600_000;
const [root = ""] = process.argv.slice(2);
const clock = new SteppedClock();
const log = recordingLog();
const events = new Events(() => clock.wallMs());
const service = new MemcgService({
  root,
  clock,
  log,
  events,
  warnings: new Warnings(clock, log, events),
  // A machine of its own is measured: others may stall this one.
  settings: {
    ...defaultSettings,
    memcg: { ...defaultSettings.memcg, period_psi_percent_limit: 100 },
    compact: { ...defaultSettings.compact, disabled: true },
  },
  ownCgroup: null,
  dryRun: false,
  openLruGen: (from) => LruGen.open(from),
});
service.open();
const endMs = clock.monotonicMs() + hourMs;
const before = process.cpuUsage();
let [looks, agings] = [0, 0];
while (clock.monotonicMs() < endMs) {
  clock.advance(Math.max(0, (service.nextDueMs() ?? endMs) - clock.monotonicMs()));
  agings += (await service.run(false, false)).aged;
  looks++;
}
const { user, system } = process.cpuUsage(before);
await service.stop();
console.log(JSON.stringify({ cpuMs: (user + system) / 1000, looks, agings } satisfies IdleHour));
