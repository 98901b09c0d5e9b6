import { describe, expect, test } from "bun:test";
import {
  decideRefault,
  isUnderJudgement,
  judgeRefaults,
  noRefaults,
  noteEviction,
  noteSitOut,
  waitEvictionsMax,
  type RefaultObservation,
  type RefaultState,
  type RefaultVerdict,
} from "../../../src/core/refault.ts";

const minuteMs = 60_000;
const limitPercent = 0.2;
/** 100,000 pages: the limit lets 200 of them come back a minute. */
const start: RefaultObservation = {
  atMs: 0,
  residentPages: 100_000,
  refaultedPages: 5_000,
  stolenPages: 9_000,
  ioStallUs: null,
};

function at(minutes: number, change: Partial<RefaultObservation> = {}): RefaultObservation {
  return { ...start, atMs: minutes * minuteMs, ...change };
}

/** A cgroup of which `pages` were evicted at the start, seen by pgsteal. */
function evicted(pages: number, state: RefaultState = noRefaults, before = start): RefaultState {
  return noteEviction(judgeRefaults(state, before, limitPercent).state, before, pages);
}

interface Row {
  readonly name: string;
  readonly evictedPages: number;
  readonly now: RefaultObservation;
  readonly verdict: RefaultVerdict;
  readonly returnedPages: number;
  readonly waitEvictions: number;
}

const rows: readonly Row[] = [
  {
    name: "nothing came back yet",
    evictedPages: 50_000,
    now: at(10, { refaultedPages: 5_000, stolenPages: 59_000 }),
    verdict: "pending",
    returnedPages: 0,
    waitEvictions: 0,
  },
  {
    name: "just the limit came back",
    evictedPages: 50_000,
    now: at(10, { refaultedPages: 7_000, stolenPages: 59_000 }),
    verdict: "pending",
    returnedPages: 2_000,
    waitEvictions: 0,
  },
  {
    name: "a page more than the limit",
    evictedPages: 50_000,
    now: at(10, { refaultedPages: 7_001, stolenPages: 59_000 }),
    verdict: "costly",
    returnedPages: 2_001,
    waitEvictions: 1,
  },
  {
    name: "within the first minute, a minute's share may come back",
    evictedPages: 50_000,
    now: at(0.1, { refaultedPages: 5_200, stolenPages: 59_000 }),
    verdict: "pending",
    returnedPages: 200,
    waitEvictions: 0,
  },
  {
    name: "seven times the limit: one eviction in nine is within it, one in five would not be",
    evictedPages: 50_000,
    now: at(10, { refaultedPages: 19_000, stolenPages: 59_000 }),
    verdict: "costly",
    returnedPages: 14_000,
    waitEvictions: 8,
  },
  {
    name: "all of it at once is sat out for as long as there is",
    evictedPages: 100_000,
    now: at(0.1, { refaultedPages: 105_000, stolenPages: 109_000 }),
    verdict: "costly",
    returnedPages: 100_000,
    waitEvictions: waitEvictionsMax,
  },
  {
    name: "no more than was evicted is counted",
    evictedPages: 1_000,
    now: at(10, { refaultedPages: 95_000, stolenPages: 10_000 }),
    verdict: "calm",
    returnedPages: 1_000,
    waitEvictions: 0,
  },
  {
    name: "all is still away, and could come back within the limit",
    evictedPages: 10_000,
    now: at(50, { stolenPages: 19_000 }),
    verdict: "calm",
    returnedPages: 0,
    waitEvictions: 0,
  },
  {
    name: "a minute sooner it could not",
    evictedPages: 10_000,
    now: at(49, { stolenPages: 19_000 }),
    verdict: "pending",
    returnedPages: 0,
    waitEvictions: 0,
  },
  {
    name: "where the kernel evicted as well, refaults are shared in proportion of what is away",
    evictedPages: 10_000,
    now: at(1, { refaultedPages: 5_000 + 45_000, stolenPages: 9_000 + 10_000 + 80_000 }),
    verdict: "costly",
    returnedPages: 5_000,
    waitEvictions: 32,
  },
  {
    name: "without pgsteal all refaults are taken for ours",
    evictedPages: 10_000,
    now: at(1, { refaultedPages: 85_000, stolenPages: null }),
    verdict: "costly",
    returnedPages: 10_000,
    waitEvictions: 32,
  },
  {
    name: "counters that went back are those of another cgroup",
    evictedPages: 10_000,
    now: at(1, { refaultedPages: 4_000, stolenPages: 0 }),
    verdict: "pending",
    returnedPages: 0,
    waitEvictions: 0,
  },
  {
    name: "refaults that cannot be read are unknown",
    evictedPages: 10_000,
    now: at(1, { refaultedPages: null }),
    verdict: "pending",
    returnedPages: 0,
    waitEvictions: 0,
  },
  {
    name: "a cgroup that grew is larger for the limit too",
    evictedPages: 50_000,
    now: at(10, { residentPages: 200_000, refaultedPages: 9_000, stolenPages: 59_000 }),
    verdict: "pending",
    returnedPages: 4_000,
    waitEvictions: 0,
  },
];

describe("one eviction", () => {
  test.each(rows)("$name", ({ evictedPages, now, verdict, returnedPages, waitEvictions }) => {
    const judged = judgeRefaults(evicted(evictedPages), now, limitPercent);
    expect(judged).toMatchObject({ verdict, returnedPages, state: { waitEvictions } });
    expect(isUnderJudgement(judged.state)).toBe(verdict !== "calm");
  });

  test("a few pages are noise in a small cgroup", () => {
    const small = { ...start, residentPages: 300 };
    const state = evicted(200, noRefaults, small);
    const few = at(1, { residentPages: 163, refaultedPages: 5_063, stolenPages: 9_200 });
    expect(judgeRefaults(state, few, limitPercent).verdict).toBe("pending");
    const more = { ...few, refaultedPages: 5_064 };
    expect(judgeRefaults(state, more, limitPercent).verdict).toBe("costly");
  });

  test("nothing to judge before anything was evicted", () => {
    expect(judgeRefaults(noRefaults, start, limitPercent).verdict).toBe("none");
    expect(isUnderJudgement(evicted(0))).toBe(false);
  });

  test("limit 0 switches off, and forgets", () => {
    const costly = judgeRefaults(evicted(50_000), at(1, { refaultedPages: 55_000 }), limitPercent).state;
    expect(decideRefault(costly, limitPercent)).toEqual({ do: "sit_out", left: 32 });
    expect(decideRefault(costly, 0)).toEqual({ do: "evict" });
    expect(judgeRefaults(costly, at(2), 0)).toEqual({ state: noRefaults, verdict: "off", returnedPages: 0 });
  });
});

/** Evicts 50,000 pages of which as many come back in ten minutes as makes it a little too much, again and again. */
function costlyAgain(state: RefaultState, round: number): RefaultState {
  const refaultedPages = round * 3_000;
  const before = at(round * 10, { refaultedPages, stolenPages: null });
  const after = at(round * 10 + 10, { refaultedPages: refaultedPages + 2_001, stolenPages: null });
  const judged = judgeRefaults(evicted(50_000, state, before), after, limitPercent);
  expect(judged.verdict).toBe("costly");
  return judged.state;
}

function sitAllOut(state: RefaultState): { readonly state: RefaultState; readonly count: number } {
  let left = state;
  let count = 0;
  for (; count < 100 && decideRefault(left, limitPercent).do === "sit_out"; count += 1) left = noteSitOut(left);
  return { state: left, count };
}

describe("several evictions", () => {
  test("the wait doubles up to 32, and each is followed by another try", () => {
    let state: RefaultState = noRefaults;
    const counts: number[] = [];
    for (let round = 0; round < 7; round += 1) {
      const out = sitAllOut(costlyAgain(state, round));
      counts.push(out.count);
      state = out.state;
    }
    expect(counts).toEqual([1, 2, 4, 8, 16, 32, 32]);
  });

  test("a calm eviction halves the wait", () => {
    let state: RefaultState = noRefaults;
    for (let round = 0; round < 3; round += 1) state = sitAllOut(costlyAgain(state, round)).state;
    const waits = [state.waitEvictions];
    for (let round = 0; round < 4; round += 1) {
      const before = at(1_000 * (round + 1), { stolenPages: null });
      const settled = { ...before, atMs: before.atMs + 250 * minuteMs };
      const judged = judgeRefaults(evicted(50_000, state, before), settled, limitPercent);
      expect(judged.verdict).toBe("calm");
      state = judged.state;
      waits.push(state.waitEvictions);
    }
    expect(waits).toEqual([4, 2, 1, 0, 0]);
  });

  test("what comes back later of a costly eviction makes the wait longer, once", () => {
    const first = judgeRefaults(evicted(50_000), at(10, { refaultedPages: 8_000, stolenPages: 59_000 }), limitPercent);
    expect(first.state).toMatchObject({ waitEvictions: 1, leftEvictions: 1 });
    const sat = noteSitOut(first.state);
    const more = judgeRefaults(sat, at(11, { refaultedPages: 55_000, stolenPages: 59_000 }), limitPercent);
    expect(more).toMatchObject({ verdict: "pending", state: { waitEvictions: 32, leftEvictions: 31 } });
    const noMore = judgeRefaults(more.state, at(12, { refaultedPages: 55_000, stolenPages: 59_000 }), limitPercent);
    expect(noMore).toMatchObject({ verdict: "pending", state: { waitEvictions: 32, leftEvictions: 31 } });
  });

  test("a costly eviction that all came back and was long ago is neither calm nor costly again", () => {
    const costly = judgeRefaults(evicted(50_000), at(1, { refaultedPages: 55_000 }), limitPercent).state;
    const later = judgeRefaults(costly, at(1_000, { refaultedPages: 55_000 }), limitPercent);
    expect(later).toMatchObject({ verdict: "none", state: { waitEvictions: 32, leftEvictions: 32, account: null } });
  });

  test("evictions that follow each other share an account, up to what the cgroup ever held", () => {
    let state = evicted(60_000);
    const between = at(10, { residentPages: 80_000, stolenPages: 69_000 });
    state = noteEviction(judgeRefaults(state, between, limitPercent).state, between, 60_000);
    expect(state.account).toMatchObject({ openedMs: 0, basePages: 100_000, awayPages: 100_000 });
  });

  test("the refaults of a subtree are shared with what others evicted earlier", () => {
    const others = at(10, { stolenPages: 9_000 + 10_000 + 30_000 });
    const { state } = judgeRefaults(evicted(10_000), others, limitPercent);
    const back = judgeRefaults(state, { ...others, atMs: 11 * minuteMs, refaultedPages: 9_000 }, limitPercent);
    expect(back.returnedPages).toBe(1_000);
  });
});

describe("where the kernel does not count refaults", () => {
  const before: RefaultObservation = { ...start, refaultedPages: 0, ioStallUs: 1_000_000 };

  interface StallRow {
    readonly name: string;
    /** Usual stall before the eviction, in percent. */
    readonly usualPercent: number;
    readonly residentPages: number;
    readonly ioStallUs: number;
    readonly verdict: RefaultVerdict;
    readonly returnedPages: number;
  }

  /** 50,000 pages evicted, judged ten minutes later: 0.2 % of that time is 1.2 s. */
  const stallRows: readonly StallRow[] = [
    {
      name: "it grew back and waited for its disk",
      usualPercent: 0,
      residentPages: 90_000,
      ioStallUs: 3_000_000,
      verdict: "costly",
      returnedPages: 40_000,
    },
    {
      name: "it grew without waiting",
      usualPercent: 0,
      residentPages: 90_000,
      ioStallUs: 2_000_000,
      verdict: "pending",
      returnedPages: 0,
    },
    {
      name: "it waited for other things than memory",
      usualPercent: 0,
      residentPages: 50_000,
      ioStallUs: 60_000_000,
      verdict: "pending",
      returnedPages: 0,
    },
    {
      name: "it waits as much as it always did",
      usualPercent: 10,
      residentPages: 90_000,
      ioStallUs: 61_000_000,
      verdict: "pending",
      returnedPages: 0,
    },
  ];

  test.each(stallRows)("$name", ({ usualPercent, residentPages, ioStallUs, verdict, returnedPages }) => {
    const earlier = { ...before, atMs: -10 * minuteMs, ioStallUs: before.ioStallUs! - usualPercent * 6_000_000 };
    const known = judgeRefaults(noRefaults, earlier, limitPercent).state;
    const state = noteEviction(judgeRefaults(known, before, limitPercent).state, before, 50_000);
    const now = { ...before, atMs: 10 * minuteMs, residentPages, ioStallUs };
    expect(judgeRefaults(state, now, limitPercent)).toMatchObject({ verdict, returnedPages });
  });
});
