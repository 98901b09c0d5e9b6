/** What the demo draws: the chart of the terminal, the picture, and the summary. */
import { describe, expect, test } from "bun:test";
import { plainTerminal } from "../../src/cli/screens/terminal.ts";
import { textWidth } from "../../src/cli/screens/text.ts";
import { type Course, median, roundStep } from "../guest/demo/course.ts";
import { chartLines, frameLines } from "../guest/demo/screen.ts";
import { type Outcome, summaryRows } from "../guest/demo/summary.ts";
import { renderSvg } from "../guest/demo/svg.ts";

/** Full until 20 s, then empty, for 40 s. */
const course: Course = {
  samples: Array.from({ length: 81 }, (_, index) => {
    const atSecs = index / 2;
    return { atSecs, hostMiB: atSecs < 20 ? 1200 : 400, idleMiB: atSecs < 20 ? 800 : 0, hotMiB: 128 };
  }),
  marks: [
    { atSecs: 19, text: "mem-agent starts" },
    { atSecs: 19.5, text: "a <second> mark" },
    { atSecs: 39, text: "compaction" },
  ],
};
const terminal = { columns: 80, rows: 24, colour: false };

describe("steps of an axis are round", () => {
  for (const [largest, steps, step] of [
    [1312, 5, 500],
    [1000, 5, 200],
    [61, 8, 10],
    [900, 4, 250],
    [0, 5, 0.2],
  ] as const) {
    test(`${largest} in ${steps}`, () => expect(roundStep(largest, steps)).toBeCloseTo(step));
  }
});

test("the median of nothing is nothing", () => {
  expect([median([]), median([3]), median([9, 1, 5])]).toEqual([null, 3, 5]);
});

describe("the chart of the terminal", () => {
  const lines = chartLines(course, 6, terminal);

  test("has its rows, marks and time", () => {
    expect(lines).toHaveLength(8);
    expect(lines[0]).toMatch(/^ +1500 /);
    expect(lines[5]).toMatch(/^ +0 █/);
    expect(lines[6]).toContain("▲ compaction");
    expect(lines[7]).toMatch(/0 s +60 s$/);
  });

  test("is high where much is paid, and ends where time is now", () => {
    // 60 s on 71 columns: 20 s end at the 24th, 40 s at the 48th.
    expect(lines[3]?.slice(8)).toMatch(/^█{23,25}$/);
    expect(lines[5]?.slice(8)).toMatch(/^█{46,49}$/);
  });

  for (const columns of [40, 80, 160]) {
    test(`fits into ${columns} columns with all that is around it`, () => {
      const notes = [{ atSecs: 3, text: "a long note, ".repeat(20) }];
      const frame = frameLines({ title: "t".repeat(200), course, notes }, { columns, rows: 24, colour: true });
      const widest = Math.max(...frame.map(textWidth));
      expect(widest).toBeLessThanOrEqual(columns);
      expect(frame.length).toBeLessThan(24);
    });
  }

  test("is the title alone before the first sample", () => {
    expect(frameLines({ title: "title", course: { samples: [], marks: [] }, notes: [] }, plainTerminal)).toEqual([
      "title",
    ]);
  });
});

describe("the picture", () => {
  const svg = renderSvg(course, "a & b", "about");

  test("has a line for each value, and axes with units", () => {
    expect(svg.match(/<polyline/g)).toHaveLength(3);
    for (const part of [">seconds<", ">MiB<", ">1250<", ">40<", "a &amp; b", "a &lt;second> mark"])
      expect(svg).toContain(part);
  });

  test("sets marks that are near each other on rows of their own, and none beyond its edge", () => {
    const labels = [
      ...svg.matchAll(
        /<text x="([\d.]+)" y="([\d.]+)" class="tick" (text-anchor="end")?>([^<]*(?:starts|mark|compaction))</g,
      ),
    ];
    expect(labels).toHaveLength(3);
    expect(labels[0]?.[2]).not.toBe(labels[1]?.[2]);
    expect(labels[2]?.[3]).toBe('text-anchor="end"');
  });

  test("stays within its frame", () => {
    const points = [...svg.matchAll(/([\d.]+),([\d.]+)(?=[ "])/g)].map(([, x, y]) => [Number(x), Number(y)]);
    expect(points.length).toBeGreaterThan(240);
    for (const [x = -1, y = -1] of points) {
      expect(x).toBeWithin(70, 961);
      expect(y).toBeWithin(80, 481);
    }
  });
});

const felt = { atSecs: 10, memoryStallUs: 0, ioStallUs: 1000, refaultedPages: 5, passes: 1 };
const outcome: Outcome = {
  host: { bareMiB: 280, beforeMiB: 1200, withAgentMiB: 1300, afterMiB: 600 },
  idle: { beforeMiB: 790, afterMiB: 2 },
  hot: {
    beforeMiB: 134,
    afterMiB: 133,
    felt: [
      felt,
      { ...felt, atSecs: 20, ioStallUs: 51_000, passes: 3 },
      { ...felt, atSecs: 60, ioStallUs: 51_000, passes: 3 },
    ],
    evictedBytes: 12 * 2 ** 20,
    passMs: [10, 20, 30],
  },
  evictedBytes: 800 * 2 ** 20,
  own: {
    cpu_user_secs: 1.25,
    cpu_system_secs: 2,
    charged_bytes: 2 ** 24,
    private_bytes: null,
    resident_bytes: 2 ** 24,
    threads: 4,
    uptime_secs: 40,
  },
  refaultsCounted: false,
};

describe("the summary", () => {
  const rows = new Map(summaryRows(outcome).map(([name, value]) => [name.trim(), value]));
  for (const [name, part] of [
    ["host pays, before", "1200 MiB (280 MiB when it had just booted"],
    ["with the agent", "1300 MiB: its start adds 100 MiB"],
    ["after", "600 MiB less, 50 %"],
    ["evicted", "800 MiB, 12.0 MiB of it from the hot workload"],
    ["idle workload", "790 MiB -> 2 MiB"],
    ["stalled, before", "50 ms in 10 s (0.50 %), 30 ms a reading"],
    ["stalled, with agent", "0 ms in 40 s (0.00 %), no reading ended"],
    ["refaults", "5 -> 5 pages (this kernel counts few"],
    ["the agent itself", "1.3 s user and 2.0 s system"],
  ] as const) {
    test(name, () => expect(rows.get(name)).toContain(part));
  }
});
