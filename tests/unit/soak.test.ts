/** The account at the end of a soak: a leak must not add up to nothing. */
import { expect, test } from "bun:test";
import { addUp, slopePerHour, stolenPages, unexplainedLines, type Sample } from "../guest/soak/ledger.ts";

const sample = (secs: number, privateMiB: number): Sample => ({
  secs,
  descriptors: 10,
  threads: 5,
  privateMiB,
  residentMiB: 20,
  virtualMiB: 1000,
  committedMiB: 30,
});
const size = ({ privateMiB }: Sample): number => privateMiB;

const slopes: readonly [what: string, samples: readonly Sample[], slope: number][] = [
  ["a MiB in each minute", [0, 60, 120].map((secs) => sample(secs, secs / 60)), 60],
  ["nothing, but noise", [sample(0, 5), sample(60, 6), sample(120, 5)], 0],
  ["one sample", [sample(0, 5)], 0],
];
test.each(slopes)("the slope of %s", (_, samples, slope) => expect(slopePerHour(samples, size)).toBeCloseTo(slope, 6));

test("pages that the kernel reclaimed, of both kinds and by whomever", () => {
  expect(stolenPages("pgsteal_kswapd 9\npgsteal_direct 5\npgsteal_anon 6\npgsteal_file 8\n")).toBe(14);
});

const lines: readonly [line: string, explained: boolean][] = [
  ["2026-11-22T22:31:03.148Z info     memcg run run=1", true],
  ["2026-11-22T22:31:03.148Z info     setting changed key=memcg.swap", true],
  ['2026-11-22T22:31:03.148Z error    settings file refused problem="swap = nonsense"', true],
  ['2026-11-22T22:31:03.148Z error    settings file refused problem="something else"', false],
  ["2026-11-22T22:31:03.148Z warn     the settings file /etc/soak.toml is gone; what it said no longer applies", true],
  ["2026-11-22T22:31:03.148Z info     no settings file file=/etc/soak.toml changes=0", true],
  ["2026-11-22T22:31:03.148Z warn     target failed path=/a", false],
  ["TypeError: undefined is not an object", false],
];
test.each(lines)("%s: explained %p", (line, explained) => {
  expect(unexplainedLines(`${line}\n`)).toEqual(explained ? [] : [line]);
});

test("events add up, without the line that the end cut short", () => {
  const report = { evicted_bytes: { anon_bytes: 1, file_bytes: 2 } };
  const events = [
    { event: "started" },
    { event: "target_end", end: "nothing_cold", evicted_bytes: 3 },
    { event: "target_end", end: "pressure", evicted_bytes: 0 },
    { event: "memcg_run", report },
    { event: "lost", count: 4 },
  ];
  const text = `${events.map((event) => JSON.stringify(event)).join("\n")}\n{"event":"memcg_r`;
  expect(addUp(text)).toEqual({
    memcgRuns: 1,
    evictedBytes: 3,
    evictedByTargetBytes: 3,
    ends: { nothing_cold: 1, pressure: 1 },
    lost: 4,
  });
});
