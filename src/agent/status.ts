/**
 * What the agent says about itself: the types behind `status`, `memcgstatus`, `compactstatus`, `run` and the library.
 * Field names are those of the JSON on the socket; they are stable within a major version. Bytes, seconds, percents:
 * the unit is the last word of each name. What cannot be known is null, never zero.
 */
import type { CompactSettings, MemcgSettings } from "../config/schema.ts";
import type { CompactDecision, CompactEnd } from "../core/compaction.ts";
import type { GivebackLeft } from "../core/giveback.ts";
import type { EndedEnd } from "../core/ended.ts";
import type { EndReason } from "../core/reason.ts";

export interface GenerationStatus {
  readonly seq: number;
  readonly age_secs: number;
  readonly anon_bytes: number;
  readonly file_bytes: number;
}

export interface EvictedStatus {
  readonly anon_bytes: number;
  readonly file_bytes: number;
}

export interface TargetStatus {
  readonly path: string;
  readonly node: number;
  /** lru_gen's own id, opaque; null with the memory_reclaim backend. */
  readonly id: string | null;
  /** Oldest first; null where the backend cannot tell ages. */
  readonly generations: readonly GenerationStatus[] | null;
  /** All pages of this target that the multi-gen LRU holds. */
  readonly size_bytes: number;
  /** What is in the oldest of four generations now (with memory_reclaim: inactive pages). */
  readonly cold_bytes: EvictedStatus;
  /** What stayed untouched for `candidate_age_secs` and may be evicted once that is long enough. */
  readonly candidate_bytes: number;
  /** Null where there is none, and where the backend knows no ages. */
  readonly candidate_age_secs: number | null;
  /** What keeps it from giving more now; null where the next run may evict. */
  readonly why_not: EndReason | null;
  /** Seconds until a run may evict something of it, if that stays untouched; null where nothing is or may be evicted. */
  readonly next_eviction_secs: number | null;
  readonly settings: MemcgSettings;
  /** Path of the rule that the settings come from, null for the base settings. */
  readonly rule: string | null;
  /** Cgroup whose pressure file is read: the target's own, a parent's, or "system"; null where there is none. */
  readonly pressure_source: string | null;
  /** Stall over the last waiting period, the larger of memory and io. */
  readonly pressure_percent: number | null;
  readonly runs: number;
  readonly skips: number;
  readonly agings: number;
  readonly evictions: number;
  readonly evicted_bytes: EvictedStatus;
  readonly last_evicted_bytes: EvictedStatus;
  readonly refaulted_bytes: number | null;
  /** Away now: evicted, and not read back. */
  readonly saved_bytes: number;
  /** Evictions still to sit out because too much came back. */
  readonly sit_out: number;
  /** What the cgroup has shown of itself, and what follows from it. */
  readonly pace: {
    /** The present waiting period, between period_min_secs and period_secs. */
    readonly period_secs: number;
    /** Neither it nor a cgroup below it has used the CPU for longer than it is likely to pause. */
    readonly idle: boolean;
    /** Evictions in a row that stayed away; with 0 the next is a sample. */
    readonly proofs: number;
    /** An eviction is under trial: nothing more goes until it is known whether it comes back. */
    readonly on_trial: boolean;
    /** The longest pause of the job after which too much came back; it is evicted only when it pauses for longer. Null without one. */
    readonly rhythm_secs: number | null;
  };
  readonly last_end: EndReason | null;
  readonly ends: Readonly<Record<EndReason, number>>;
  readonly last_error: string | null;
  /** Seconds until the next run is due, 0 when overdue, null when disabled. */
  readonly next_run_secs: number | null;
}

/** The page cache of cgroups that were removed, as far as the kernel keeps it apart (up to Linux 6.12 or so). */
export interface EndedStatus {
  /** The nearest living cgroup, through which it is evicted. */
  readonly path: string;
  /** Removed cgroups that have file pages left, each node counted by itself. */
  readonly cgroups: number;
  readonly file_bytes: number;
  readonly evicted_bytes: number;
  /** What living cgroups beside them lost to that. */
  readonly lost_bytes: number;
  /** What others read again, by the io stall of those that live there; null without a price. */
  readonly refaulted_bytes: number | null;
  readonly evictions: number;
  readonly sit_out: number;
  /** How the last run left it, and what that means; null before the first. */
  readonly last_end: EndedEnd | null;
  readonly why: string | null;
  readonly last_error: string | null;
}

/** What one memcg run did; also the answer of `run memcg`. */
export interface MemcgRunReport {
  readonly kind: "memcg";
  readonly run: number;
  readonly dry_run: boolean;
  readonly started: string;
  readonly wall_secs: number;
  readonly cpu_secs: number;
  readonly targets: number;
  readonly aged: number;
  /**
   * Targets that were aged within so many seconds before, a period or a minute at most: to age them again would say
   * nothing, and nothing more of them has grown old. Null seconds where there are none.
   */
  readonly aged_before: { readonly targets: number; readonly within_secs: number | null };
  readonly skipped: number;
  readonly evicted_bytes: EvictedStatus;
  /** With dry_run: what would have been evicted. */
  readonly would_evict_bytes: EvictedStatus | null;
  /** Away after it: evicted so far, and not read back. */
  readonly saved_bytes: number;
  readonly batches: number;
  readonly ends: Readonly<Record<EndReason, number>>;
  /** The targets that evicted or would have, largest first, at most 100. */
  readonly top: readonly {
    readonly path: string;
    readonly node: number;
    readonly evicted_bytes: EvictedStatus;
    readonly would_evict_bytes: EvictedStatus | null;
    readonly end: EndReason;
  }[];
  /** Cold memory by age: bytes untouched for so many seconds, and for less than the next row says (dry run); null where the backend knows no ages. */
  readonly cold_by_age: readonly { readonly age_secs: number; readonly bytes: number }[] | null;
}

export type BackendName = "lru_gen" | "memory_reclaim";

export interface MemcgStatus {
  readonly disabled: boolean;
  readonly dry_run: boolean;
  readonly backend: BackendName | null;
  /** Why this backend was taken, in one line. */
  readonly backend_why: string;
  readonly running: boolean;
  readonly runs: number;
  readonly targets_count: number;
  readonly evicted_bytes: EvictedStatus;
  readonly refaulted_bytes: number | null;
  /**
   * Away now: evicted, and not read back by the cgroup that it was taken from. What another cgroup read again is not
   * counted by the kernel, and so not taken off here.
   */
  readonly saved_bytes: number;
  /** The integral of `saved_bytes` since the start, in bytes times seconds. */
  readonly saved_byte_seconds: number;
  /** Of all targets, as of the last look at each. */
  readonly cold_bytes: EvictedStatus;
  /** The largest stall of a target over its waiting period; null where none is known. */
  readonly pressure_percent: number | null;
  readonly ends: Readonly<Record<EndReason, number>>;
  /** What removed cgroups left behind, the most first, at most 100. */
  readonly ended: readonly EndedStatus[];
  readonly last_run: MemcgRunReport | null;
  readonly next_run_secs: number | null;
  /** Seconds until a run may evict something, if the pages that are untouched now stay untouched; null where there are none. */
  readonly next_eviction_secs: number | null;
  /** What stayed untouched for a while and may be evicted, and how long that is for the youngest of it. */
  readonly candidates: {
    readonly bytes: number;
    readonly targets: number;
    readonly youngest_age_secs: number | null;
  };
  /** Targets by what keeps them from giving more now. */
  readonly why_not: Readonly<Record<EndReason, number>>;
  /** Where refaults come from: "refaults", "io_stall" stand-in, or null when switched off. */
  readonly refault_source: "refaults" | "io_stall" | null;
  /** What is free now, and in blocks that the host gets: how much of what was evicted reaches it. Null: not readable. */
  readonly free: FreeStatus | null;
  readonly targets: readonly TargetStatus[];
}

/** The feature as a whole. */
export type MemcgSummary = Omit<MemcgStatus, "free" | "targets">;

export interface FreeStatus {
  readonly free_bytes: number;
  /** Free in blocks of at least `order`. */
  readonly order_bytes: number;
  /** Free in blocks of at least the kernel's page reporting order; null where nothing reports. */
  readonly reportable_bytes: number | null;
}

export interface CompactRunReport {
  readonly kind: "compact";
  readonly run: number;
  readonly started: string;
  readonly decision: CompactDecision;
  readonly why: string;
  readonly compacted: boolean;
  /** How the compaction ended, null when there was none. */
  readonly end: CompactEnd | null;
  /** What made it fail, null unless `end` is "failed". */
  readonly error: string | null;
  /** Which pressure file ended it, and how much of what time it was, null unless `end` is "pressure". */
  readonly stall: string | null;
  readonly wall_secs: number;
  /** What the kernel counted while a compaction was on: memory looked at, and taken out to be moved. */
  readonly work: { readonly scanned_bytes: number; readonly isolated_bytes: number } | null;
  readonly before: FreeStatus | null;
  readonly after: FreeStatus | null;
  /** The system's stall over the waiting period before the run. */
  readonly pressure_percent: number | null;
}

export interface CompactStatus {
  readonly disabled: boolean;
  /** Nothing is compacted, since the agent runs dry. */
  readonly dry_run: boolean;
  readonly running: boolean;
  readonly settings: CompactSettings;
  readonly runs: number;
  readonly compactions: number;
  readonly runs_since_compaction: number;
  readonly decisions: Readonly<Record<CompactDecision, number>>;
  readonly ends: Readonly<Record<CompactEnd, number>>;
  readonly last_run: CompactRunReport | null;
  readonly last_compaction: CompactRunReport | null;
  readonly free: FreeStatus | null;
  /** What memcg runs evicted since the last compaction (or the start): how much of it came free in large blocks? */
  readonly evicted_since_compaction_bytes: number;
  /**
   * Why the next run would compact, null where it would not: in `compactstatus` as memory is now, in `status` as it was
   * when it was last counted by type.
   */
  readonly wanted: string | null;
  /** Process of a compaction under way, or of one that has not ended although it was killed. */
  readonly child_pid: number | null;
  readonly reporting_order: number | null;
  readonly next_run_secs: number | null;
}

/** The minutes of the last 24 hours in which something ran, oldest first. It begins with the process. */
export interface HistoryStatus {
  readonly minutes: readonly {
    readonly start: string;
    readonly runs: number;
    readonly evicted_bytes: number;
    readonly refaulted_bytes: number;
    /** Away at the end of that minute; null where only compactions ran. */
    readonly saved_bytes: number | null;
    /** Largest stall over a target's waiting period. */
    readonly stall_percent: number | null;
    readonly compactions: number;
    /** What kept most targets from giving more; null where nothing was left to give. */
    readonly held_back: EndReason | null;
  }[];
}

export type RunReport = MemcgRunReport | CompactRunReport;

/** What giving back by a deadline did; the answer of `giveback`. */
export interface GivebackReport {
  readonly kind: "giveback";
  readonly started: string;
  /** What was asked for, and how long it took. */
  readonly within_secs: number;
  readonly wall_secs: number;
  readonly freed_bytes: EvictedStatus & { readonly slab_bytes: number };
  /** Free memory before and after, and how much of it the host gets. */
  readonly before: FreeStatus | null;
  readonly after: FreeStatus | null;
  /** What the cgroups still hold, by the reason, largest first. */
  readonly left: readonly { readonly why: GivebackLeft; readonly bytes: number; readonly targets: number }[];
  /** A memcg run was under way and was stopped for it. */
  readonly took_over_run: boolean;
  readonly agings: number;
  readonly batches: number;
  /** `not_over`: the deadline came first, and the kernel goes on. */
  readonly slab: "not_asked" | "done" | "no_time" | "not_over" | "failed";
  /** How the compaction ended, null when there was none, and why it ran or not. */
  readonly compaction: { readonly end: CompactEnd | null; readonly why: string };
  /** What could not be done at all, one sentence each. */
  readonly problems: readonly string[];
}

/** Something that is wrong now. Raised once, cleared when its cause is gone. */
export interface Warning {
  /** Stable name, such as `config_file` or `memcg`. */
  readonly key: string;
  readonly since: string;
  readonly message: string;
  /** What a person does about it; null where the agent heals it alone. */
  readonly remedy: string | null;
}

export interface OwnCost {
  readonly cpu_user_secs: number;
  readonly cpu_system_secs: number;
  /**
   * What the guest pays, as its kernel counts it: memory.current where the agent has a cgroup to itself, else its
   * private memory and the executable's pages in the page cache. Null where neither can be told.
   */
  readonly charged_bytes: number | null;
  readonly private_bytes: number | null;
  readonly resident_bytes: number | null;
  readonly threads: number | null;
  readonly uptime_secs: number;
}

/** Which machine the agent runs on. */
export interface MachineStatus {
  /** As the settings name it, else its host name. */
  readonly name: string;
  readonly hostname: string | null;
  /** As in /etc/machine-id. */
  readonly machine_id: string | null;
}

/** The door on vsock. Counts since the start. */
export interface VsockStatus {
  /** Null where the settings ask for none. */
  readonly address: string | null;
  readonly listening: boolean;
  /** The context ids that are let in, and whether they may change anything. */
  readonly peers: readonly number[];
  readonly write: boolean;
  readonly accepted: number;
  readonly refused: number;
}

export interface AgentStatus {
  readonly version: string;
  readonly pid: number;
  readonly started: string;
  readonly health: "ok" | "warning";
  readonly warnings: readonly Warning[];
  /** Until then nothing runs by itself; null where nothing is paused. */
  readonly paused_until: string | null;
  readonly memcg: MemcgSummary;
  readonly compact: CompactStatus;
  readonly config: {
    /** The file that is followed; it need not be there. */
    readonly file: string | null;
    /** When the file was last taken over; null without one. */
    readonly loaded: string | null;
    readonly problems: readonly string[];
    readonly addr: string | null;
  };
  readonly machine: MachineStatus;
  readonly vsock: VsockStatus;
  readonly log_level: string;
  readonly own: OwnCost;
  readonly kernel: {
    readonly release: string;
    readonly cgroup_version: 1 | 2 | null;
    readonly pressure: boolean;
    readonly page_bytes: number;
    readonly lru_gen_mask: string | null;
  };
}
