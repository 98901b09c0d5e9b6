/** What runs on a simulated machine: which blocks each job uses and when, how, and with how much of the CPU. */
import {
  comesUp,
  dayMs,
  hourMs,
  minuteMs,
  pagesOfGib,
  random,
  weekBlockPages,
  weekWorkloads,
  type BlockRange,
} from "./workload.ts";

/** `by`: which of the job's cgroups. `mapped`: through page tables; else with read(). */
export interface Use extends BlockRange {
  readonly by?: number;
  readonly mapped?: boolean;
}

export interface Job {
  readonly name: string;
  readonly what: string;
  readonly blocks: number;
  /** One if it is not said. */
  readonly cgroups?: number;
  /** What is used after `fromMs` and up to `toMs`. */
  touches(fromMs: number, toMs: number): readonly Use[];
  /** CPU time beside that for reading, in microseconds. */
  cpuUs?(by: number, fromMs: number, toMs: number): number;
  /** Whether the cgroup is removed in that time, to be made anew for the next use. */
  ends?(by: number, fromMs: number, toMs: number): boolean;
}

const gib = pagesOfGib / weekBlockPages;
const mib = gib / 1024;
const nothing: readonly Use[] = [];

/** The nine of the week, each mapped; they use the CPU only to read. */
export const weekJobs: readonly Job[] = weekWorkloads.map((workload) => ({
  name: workload.name,
  what: workload.what,
  blocks: workload.name === "growing" ? 9 * gib : gib,
  touches: (fromMs, toMs) => workload.touches(fromMs, toMs).map((range) => ({ ...range, mapped: true })),
}));

const all = (blocks: number, use: Omit<Use, "from" | "to"> = {}): readonly Use[] => [{ from: 0, to: blocks, ...use }];
/** How far into its interval of `everyMs` a moment is. */
const within = (atMs: number, everyMs: number): number => atMs % everyMs;
/** The part that is used from `fromMs` to `toMs` of what is used evenly over `lengthMs`. */
function part(blocks: number, fromMs: number, toMs: number, lengthMs: number): BlockRange {
  const at = (ms: number): number => Math.floor((blocks * Math.min(lengthMs, Math.max(0, ms))) / lengthMs);
  return { from: at(fromMs), to: at(toMs) };
}
/** Microseconds of a share of one CPU. */
const cpu = (share: number, fromMs: number, toMs: number): number => share * (toMs - fromMs) * 1000;

/** Reads an image, works for five minutes, and is removed; the next one of the place begins three minutes later. */
function sandboxes(): Job {
  const images = 8;
  const imageBlocks = 256 * mib;
  const turnMs = 8 * minuteMs;
  const lifeMs = 5 * minuteMs;
  const places = 2;
  const startMs = (by: number): number => (by * turnMs) / places;
  return {
    name: "sandboxes",
    what: "two places, 5 min each, one of eight images of 256 MiB, then removed",
    blocks: images * imageBlocks,
    cgroups: places,
    touches: (fromMs, toMs) =>
      Array.from({ length: places }, (_, by) => by).flatMap((by) => {
        const turn = Math.floor((toMs - startMs(by)) / turnMs);
        if (turn < 0 || !comesUp(turnMs, fromMs - startMs(by), toMs - startMs(by))) return [];
        // Some images are in favour.
        const image = Math.floor(images * random(1000 + turn * places + by) ** 2);
        return [{ from: image * imageBlocks, to: (image + 1) * imageBlocks, by }];
      }),
    cpuUs: (by, fromMs, toMs) => (within(toMs - startMs(by), turnMs) < lifeMs ? cpu(0.3, fromMs, toMs) : 0),
    ends: (by, fromMs, toMs) => comesUp(turnMs, fromMs - startMs(by) - lifeMs, toMs - startMs(by) - lifeMs),
  };
}

function build(): Job {
  const everyMs = 4 * hourMs;
  const lengthMs = 10 * minuteMs;
  const blocks = 1.5 * gib;
  return {
    name: "build",
    what: "1.5 GiB read once in 10 min, every 4 h, in a cgroup that is removed",
    blocks,
    touches: (fromMs, toMs) => {
      const start = within(fromMs, everyMs);
      return start >= lengthMs ? nothing : [part(blocks, start, start + toMs - fromMs, lengthMs)];
    },
    cpuUs: (_, fromMs, toMs) => (within(fromMs, everyMs) < lengthMs ? cpu(0.9, fromMs, toMs) : 0),
    ends: (_, fromMs, toMs) => comesUp(everyMs, fromMs - lengthMs, toMs - lengthMs),
  };
}

function database(): Job {
  const hot = gib / 4;
  return {
    name: "database",
    what: "2 GiB with read(), a quarter of a GiB hot, all of it at night",
    blocks: 2 * gib,
    touches: (fromMs, toMs) => [
      { from: 0, to: hot },
      ...(comesUp(dayMs, fromMs, toMs) ? all(2 * gib) : []),
      // Now and then a page that is not hot.
      ...(comesUp(minuteMs, fromMs, toMs) ? [cold(toMs)] : []),
    ],
    cpuUs: (_, fromMs, toMs) => cpu(0.05, fromMs, toMs),
  };
  function cold(atMs: number): BlockRange {
    const from = hot + Math.floor(1.75 * gib * random(Math.floor(atMs / minuteMs) + 50_000));
    return { from, to: from + 1 };
  }
}

/** What also runs on such machines: read() as well as mapped memory, cgroups that end, memory that two share. */
export const otherJobs: readonly Job[] = [
  {
    name: "booted",
    what: "1 GiB read while booting, then idle",
    blocks: gib,
    touches: (fromMs) => (fromMs === 0 ? all(gib) : nothing),
  },
  {
    name: "hot file",
    what: "512 MiB with read() every 20 s",
    blocks: gib / 2,
    touches: () => all(gib / 2),
    cpuUs: (_, fromMs, toMs) => cpu(0.02, fromMs, toMs),
  },
  {
    name: "every 90 s",
    what: "152 MiB with read()",
    blocks: 152 * mib,
    touches: (fromMs, toMs) => (fromMs === 0 || comesUp(90_000, fromMs, toMs) ? all(152 * mib) : nothing),
  },
  {
    name: "every 10 min",
    what: "512 MiB with read()",
    blocks: gib / 2,
    touches: (fromMs, toMs) => (fromMs === 0 || comesUp(10 * minuteMs, fromMs, toMs) ? all(gib / 2) : nothing),
  },
  database(),
  {
    name: "nightly",
    what: "3 GiB with read() in half an hour each night",
    blocks: 3 * gib,
    touches: (fromMs, toMs) => {
      const start = within(fromMs, dayMs);
      return start >= 30 * minuteMs ? nothing : [part(3 * gib, start, start + toMs - fromMs, 30 * minuteMs)];
    },
    cpuUs: (_, fromMs, toMs) => (within(fromMs, dayMs) < 30 * minuteMs ? cpu(0.5, fromMs, toMs) : 0),
  },
  build(),
  sandboxes(),
  {
    name: "restarts",
    what: "a container of 512 MiB, mapped, a tenth of it hot; another instance every 6 h",
    blocks: gib / 2,
    touches: (fromMs, toMs) =>
      fromMs === 0 || comesUp(6 * hourMs, fromMs, toMs)
        ? all(gib / 2, { mapped: true })
        : all(gib / 20, { mapped: true }),
    cpuUs: (_, fromMs, toMs) => cpu(0.03, fromMs, toMs),
    ends: (_, fromMs, toMs) => comesUp(6 * hourMs, fromMs + 20_000, toMs + 20_000),
  },
  {
    name: "shared",
    what: "1 GiB that one cgroup read once, and another reads every 5 min",
    blocks: gib,
    cgroups: 2,
    touches: (fromMs, toMs) => {
      if (fromMs === 0) return all(gib);
      return comesUp(5 * minuteMs, fromMs, toMs) ? all(gib, { by: 1 }) : nothing;
    },
  },
];
