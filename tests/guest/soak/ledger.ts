/** What is counted during a soak, and the account at its end. Pure. */

export interface Sample {
  readonly secs: number;
  readonly descriptors: number;
  readonly threads: number;
  readonly privateMiB: number;
  readonly residentMiB: number;
  readonly virtualMiB: number;
  readonly committedMiB: number;
}

/** Least squares: how much a quantity grew in an hour. */
export function slopePerHour(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const meanSecs = mean(samples.map(({ secs }) => secs));
  const meanValue = mean(samples.map(of));
  let along = 0;
  let square = 0;
  for (const sample of samples) {
    along += (sample.secs - meanSecs) * (of(sample) - meanValue);
    square += (sample.secs - meanSecs) ** 2;
  }
  return square === 0 ? 0 : (along / square) * 3600;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
}

/** Pages that the kernel reclaimed since boot, whoever asked: from /proc/vmstat. */
export function stolenPages(vmstat: string): number {
  const count = (key: string): number => Number(new RegExp(`^${key} (\\d+)$`, "m").exec(vmstat)?.[1] ?? 0);
  return count("pgsteal_anon") + count("pgsteal_file");
}

/** Every line that the agent may log in a soak: what it is there for, and what the soak does to it on purpose. */
const explained: readonly RegExp[] = [
  / info +(started|first eviction|nothing is evicted|stopping|memcg run|compaction|setting changed|settings file (read|gone)|no settings file|cold memory is found by|over: )/,
  / info +(mounted debugfs|switched lru_gen on)/,
  / error +settings file refused .*nonsense/,
  / warn +settings file refused, the settings in force stay: .*nonsense/,
  / warn +the settings file \S+ is gone; /,
  / debug /,
];

export function unexplainedLines(log: string): readonly string[] {
  return log.split("\n").filter((line) => line !== "" && !explained.some((pattern) => pattern.test(line)));
}

export interface Heard {
  readonly memcgRuns: number;
  readonly evictedBytes: number;
  readonly evictedByTargetBytes: number;
  readonly ends: Readonly<Record<string, number>>;
  /** Events that came while the listener was too slow. */
  readonly lost: number;
}

interface HeardEvent {
  readonly event: string;
  readonly evicted_bytes?: number;
  readonly lost_bytes?: number;
  readonly end?: string;
  readonly count?: number;
  readonly report?: { readonly evicted_bytes: { readonly anon_bytes: number; readonly file_bytes: number } };
}

/** Adds up what the event stream told. A line that was cut short by the end is left out. */
export function addUp(lines: string): Heard {
  const ends: Record<string, number> = {};
  let memcgRuns = 0;
  let evictedBytes = 0;
  let evictedByTargetBytes = 0;
  let lost = 0;
  for (const line of lines.split("\n").slice(0, -1)) {
    if (line === "") continue;
    const told = JSON.parse(line) as HeardEvent;
    if (told.event === "target_end") {
      ends[told.end ?? ""] = (ends[told.end ?? ""] ?? 0) + 1;
      evictedByTargetBytes += told.evicted_bytes ?? 0;
    }
    if (told.event === "lost") lost += told.count ?? 0;
    if (told.event === "ended_units") evictedByTargetBytes += (told.evicted_bytes ?? 0) + (told.lost_bytes ?? 0);
    if (told.event !== "memcg_run" || told.report === undefined) continue;
    memcgRuns++;
    evictedBytes += told.report.evicted_bytes.anon_bytes + told.report.evicted_bytes.file_bytes;
  }
  return { memcgRuns, evictedBytes, evictedByTargetBytes, ends, lost };
}
