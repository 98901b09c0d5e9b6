/** The memcg feature on the small kernel of memcg-kernel.ts, for tests. */
import { Events } from "../../../src/agent/events.ts";
import { MemcgService } from "../../../src/agent/memcg/service.ts";
import type { MemcgRunReport, TargetStatus } from "../../../src/agent/status.ts";
import { Warnings } from "../../../src/agent/warnings.ts";
import type { Fault } from "../../../src/base/fault.ts";
import { recordingLog } from "../../support/recording-log.ts";
import { defaultSettings, type MemcgRule, type MemcgSettings, type Settings } from "../../../src/config/schema.ts";
import type { MemcgKernel } from "./memcg-kernel.ts";

export type MemcgChoice = Partial<MemcgSettings> & { readonly cgroups?: readonly MemcgRule[] };

/** Settings for tests: runs are a minute apart, on the minute, and nothing is priced. */
export function memcgSettings(memcg: MemcgChoice = {}): Settings {
  const base = {
    ...defaultSettings.memcg,
    period_secs: 60,
    period_min_secs: 86_400,
    spread_percent: 0,
    refault_percent_limit: 0,
  };
  const compact = { ...defaultSettings.compact, disabled: true };
  return { ...defaultSettings, memcg: { ...base, ...memcg }, compact };
}

export const periodMs = 60_000;

export class Serving {
  readonly kernel: MemcgKernel;
  readonly log = recordingLog();
  readonly events: Events;
  readonly warnings: Warnings;
  readonly service: MemcgService;

  constructor(kernel: MemcgKernel, memcg: MemcgChoice = {}, dryRun = false, ownCgroup: string | null = null) {
    const { root, clock } = kernel;
    this.kernel = kernel;
    this.events = new Events(() => clock.wallMs());
    this.warnings = new Warnings(clock, this.log, this.events);
    this.service = new MemcgService({
      root,
      clock,
      log: this.log,
      events: this.events,
      warnings: this.warnings,
      settings: memcgSettings(memcg),
      ownCgroup,
      dryRun,
      openLruGen: kernel.openLruGen,
    });
  }

  /** A run of what is due. */
  run(): Promise<MemcgRunReport> {
    return this.service.run(false, false);
  }

  /** A run a period after the last. */
  async next(): Promise<MemcgRunReport> {
    this.kernel.clock.advance(periodMs);
    return await this.run();
  }

  /** Runs until everything has been aged so often that the next run may evict. */
  async ripen(): Promise<void> {
    for (let run = 0; run < 2; run++) await this.next();
    this.kernel.clock.advance(periodMs);
    this.kernel.commands.length = 0;
  }

  target(path: string, node = 0): TargetStatus {
    const found = this.service.status().targets.find((target) => target.path === path && target.node === node);
    if (found === undefined) throw new Error(`the agent does not know ${path} on node ${node}`);
    return found;
  }

  apply(memcg: MemcgChoice): void {
    this.service.applySettings(memcgSettings(memcg));
  }

  /** Commands of one kind so far, of one cgroup or of all: `+` ages, `-` evicts. */
  commands(kind: "+" | "-", path: string | null = null): readonly string[] {
    const start = path === null ? `${kind} ` : `${kind} ${this.kernel.id(path)} `;
    return this.kernel.commands.filter((command) => command.startsWith(start));
  }
}

/** Does something when the first command of a kind is met. */
export function atFirst(serving: Serving, kind: "+" | "-", act: () => Fault | "interrupted" | null): void {
  let met = false;
  serving.kernel.meets = (command) => {
    if (met || !command.startsWith(kind)) return null;
    met = true;
    return act();
  };
}
