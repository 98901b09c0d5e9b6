/**
 * Gives memory back by a deadline, for a host that is about to snapshot, pause or migrate the guest (SPEC 5a): slab where
 * that was asked for, then what the cgroups hold, then a compaction with what time is left.
 */
import { within, type Clock } from "../base/clock.ts";
import { isFault, messageOf, nullIfFault } from "../base/fault.ts";
import { secsOf, pagesToBytes } from "../base/units.ts";
import { compactionMs, hasTimeForSlab } from "../core/giveback.ts";
import { dropSlab } from "../kernel/drop-caches.ts";
import { readMeminfo } from "../kernel/meminfo.ts";
import { pageBytes } from "../system/page-size.ts";
import type { MemcgService } from "./memcg/service.ts";
import type { CompactRunReport, FreeStatus, GivebackReport } from "./status.ts";

export interface GivebackRequest {
  /** How long it may take. */
  readonly within_secs?: number;
  /** How much to free at most; null for all there is. */
  readonly target_bytes?: number | null;
  /** Only what was left alone for so long. */
  readonly min_age_secs?: number;
  readonly slab?: boolean;
  readonly compact?: boolean;
  readonly ignore_pressure?: boolean;
}

export const givebackDefaults: Required<GivebackRequest> = {
  within_secs: 2,
  target_bytes: null,
  min_age_secs: 0,
  slab: false,
  compact: true,
  ignore_pressure: false,
};

export interface GivebackParts {
  readonly root: string;
  readonly clock: Clock;
  /** When it was asked for, on the monotonic clock. */
  readonly startMs: number;
  readonly memcg: MemcgService;
  readonly free: () => FreeStatus | null;
  /** Compacts for so long at most. Faults as a compaction's run. */
  readonly compact: (limits: {
    readonly secMax: number;
    readonly ignorePressure: boolean;
  }) => Promise<CompactRunReport>;
}

/** What was freed, what was not and why. Faults: `busy` while another is on. */
export async function giveBack(parts: GivebackParts, asked: GivebackRequest): Promise<GivebackReport> {
  const { clock, startMs, root, free } = parts;
  const request = { ...givebackDefaults, ...asked };
  const started = new Date(clock.wallMs()).toISOString();
  const problems: string[] = [];
  const readMs = clock.monotonicMs();
  const [before, slabBefore] = [free(), slabBytes(root)];
  // The same is read once more at the end.
  const deadlineMs = startMs + request.within_secs * 1000 - (clock.monotonicMs() - readMs);
  const slab = request.slab ? await tryToDropSlab(parts, deadlineMs, problems) : "not_asked";
  const slabAfter = slab === "not_asked" ? slabBefore : slabBytes(root);
  const memcg = await fromCgroups(parts, request, deadlineMs, problems);
  const compaction = request.compact ? await compactInTime(parts, request, deadlineMs, problems) : notAsked;
  return {
    kind: "giveback",
    started,
    within_secs: request.within_secs,
    freed_bytes: { ...memcg.freed, slab_bytes: Math.max(0, (slabBefore ?? 0) - (slabAfter ?? 0)) },
    before,
    after: free(),
    left: memcg.left,
    took_over_run: memcg.tookOverRun,
    agings: memcg.agings,
    batches: memcg.batches,
    slab,
    compaction,
    problems,
    wall_secs: secsOf(clock.monotonicMs() - startMs),
  };
}

const notAsked = { end: null, why: "not asked for" } as const;

function slabBytes(root: string): number | null {
  return nullIfFault(() => readMeminfo(root).slabReclaimableBytes);
}

/** The kernel cannot be stopped in it: it is begun only where there is time, and not waited for beyond the deadline. */
async function tryToDropSlab(
  { root, clock }: GivebackParts,
  deadlineMs: number,
  problems: string[],
): Promise<GivebackReport["slab"]> {
  const leftMs = deadlineMs - clock.monotonicMs();
  if (!hasTimeForSlab(slabBytes(root) ?? 0, leftMs)) return "no_time";
  try {
    const done = await within(
      clock,
      leftMs,
      dropSlab(root).then(() => true),
    );
    return done === null ? "not_over" : "done";
  } catch (error) {
    problems.push(faultText(error));
    return "failed";
  }
}

interface FromCgroups extends Pick<GivebackReport, "left" | "agings" | "batches"> {
  readonly freed: { readonly anon_bytes: number; readonly file_bytes: number };
  readonly tookOverRun: boolean;
}

async function fromCgroups(
  { memcg }: GivebackParts,
  request: Required<GivebackRequest>,
  deadlineMs: number,
  problems: string[],
): Promise<FromCgroups> {
  const tookOverRun = memcg.running;
  try {
    const outcome = await memcg.giveback({
      deadlineMs,
      targetPages: request.target_bytes === null ? null : Math.ceil(request.target_bytes / pageBytes()),
      minAgeMs: request.min_age_secs * 1000,
      ignorePressure: request.ignore_pressure,
    });
    const left = [...outcome.left].map(([why, { pages, targets }]) => ({
      why,
      bytes: pagesToBytes(pages, pageBytes()),
      targets,
    }));
    return {
      freed: {
        anon_bytes: pagesToBytes(outcome.anonPages, pageBytes()),
        file_bytes: pagesToBytes(outcome.filePages, pageBytes()),
      },
      left: left.toSorted((one, other) => other.bytes - one.bytes),
      tookOverRun,
      agings: outcome.agings,
      batches: outcome.batches,
    };
  } catch (error) {
    problems.push(faultText(error));
    return { freed: { anon_bytes: 0, file_bytes: 0 }, left: [], tookOverRun: false, agings: 0, batches: 0 };
  }
}

async function compactInTime(
  { clock, compact }: GivebackParts,
  { ignore_pressure: ignorePressure }: Required<GivebackRequest>,
  deadlineMs: number,
  problems: string[],
): Promise<GivebackReport["compaction"]> {
  const leftMs = deadlineMs - clock.monotonicMs();
  const forItMs = compactionMs(leftMs);
  if (forItMs === null) return { end: null, why: "there was no time left" };
  try {
    const report = await within(clock, leftMs, compact({ secMax: forItMs / 1000, ignorePressure }));
    if (report === null) return { end: "timeout", why: "it was killed at the deadline, and has not ended yet" };
    return { end: report.end, why: report.why };
  } catch (error) {
    problems.push(faultText(error));
    return { end: null, why: "it could not be begun" };
  }
}

/** What is no fault of the machine is ours, and is thrown on. */
function faultText(error: unknown): string {
  if (!isFault(error)) throw error;
  return messageOf(error);
}
