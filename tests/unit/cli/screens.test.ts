import { describe, expect, test } from "bun:test";
import { renderCompactStatus } from "../../../src/cli/screens/compact.ts";
import { renderMemcgStatus, selectTargets, standInLines } from "../../../src/cli/screens/memcg.ts";
import { histogramLines, renderRunReport } from "../../../src/cli/screens/run.ts";
import { renderStatus } from "../../../src/cli/screens/status.ts";
import { plainTerminal, type Terminal, terminalOf } from "../../../src/cli/screens/terminal.ts";
import { textWidth } from "../../../src/cli/screens/text.ts";
import { FakeDaemon, targets } from "../../cli/fake-daemon.ts";
import { compactReport, compactStatus, memcgReport, memcgStatus, target } from "../api/fake-control.ts";

const nowMs = Date.parse("2026-01-02T04:00:00Z");
const everything = { path: null, sort: "path", top: null } as const;

function screens(terminal: Terminal, wrongFile: boolean): Record<string, string[]> {
  const daemon = new FakeDaemon();
  daemon.wrongFile = wrongFile;
  const coldByAge = [{ age_secs: 600, bytes: 2 ** 30 }];
  return {
    status: renderStatus({ status: daemon.status(), memcg: daemon.memcgStatus(), nowMs }, terminal),
    memcg: renderMemcgStatus(memcgStatus(targets), everything, { long: false }, terminal),
    // Where each target has many lines its path is never cut.
    long: renderMemcgStatus(memcgStatus(targets.slice(3)), everything, { long: true }, terminal),
    compact: renderCompactStatus(compactStatus(), nowMs, terminal),
    run: renderRunReport(memcgReport({ dry_run: true, cold_by_age: coldByAge }), nowMs, terminal),
    compactRun: renderRunReport(compactReport, nowMs, terminal),
  };
}

test("cold memory is shown in classes of age, each with its two ends", () => {
  const classes = [60, 300, 900].map((age_secs) => ({ age_secs, bytes: 2 ** 20 }));
  const lines = histogramLines(classes, plainTerminal).slice(1);
  const texts = ["1 min to 5 min", "5 min to 15 min", "15 min and more"];
  for (const [index, text] of texts.entries()) expect(lines[index]).toContain(text);
});

describe("on a terminal no line is wider than it", () => {
  for (const columns of [60, 80, 100, 160]) {
    for (const wrongFile of [false, true]) {
      test(`${columns} columns${wrongFile ? ", with warnings" : ""}`, () => {
        for (const [name, lines] of Object.entries(screens({ columns, rows: 24, colour: true }, wrongFile))) {
          for (const line of lines) {
            const width = textWidth(line);
            if (width > columns) throw new Error(`${name} has a line of ${width} columns: ${line}`);
          }
        }
      });
    }
  }

  test("the status fits on one screen of 80 columns and 24 rows", () => {
    expect(screens({ columns: 80, rows: 24, colour: false }, false)["status"]?.length).toBeLessThanOrEqual(23);
  });
});

test("colour adds nothing but colour", () => {
  const [plain, coloured] = [false, true].map((colour) => screens({ columns: 80, rows: 24, colour }, true));
  for (const name of Object.keys(plain ?? {})) {
    const stripped = coloured?.[name]?.map((line) => Bun.stripANSI(line).trimEnd());
    expect(stripped).toEqual(plain?.[name]?.map((line) => line.trimEnd()));
  }
});

function freeLine(reportable_bytes: number | null): string | undefined {
  const status = { ...memcgStatus(), free: { free_bytes: 2 ** 29, order_bytes: 2 ** 28, reportable_bytes } };
  const lines = renderMemcgStatus(status, everything, { long: false }, plainTerminal);
  return lines.find((line) => line.startsWith("Free now"));
}

test("memcgstatus says how much is free, and how much of that the host gets", () => {
  expect(freeLine(2 ** 27)).toEndWith("512 MiB, 128 MiB of it reportable to the host");
  expect(freeLine(null)).toEndWith("512 MiB, nothing is reportable to the host");
});

test("compactstatus says that a dry run compacts nothing", () => {
  const lines = renderCompactStatus({ ...compactStatus(), dry_run: true, next_run_secs: null }, nowMs, plainTerminal);
  expect(lines[0]).toContain("dry run: nothing is compacted");
});

test("memcgstatus --long says what the reason means", () => {
  const status = memcgStatus([target("/a", { last_end: "protected" })]);
  const lines = renderMemcgStatus(status, everything, { long: true }, plainTerminal);
  expect(lines.join("\n")).toContain("protected: the rest is protected by memory.min or memory.low");
});

describe("whose pressure stands in", () => {
  const rows: readonly [what: string, sources: readonly (readonly [string, string | null])[], string][] = [
    [
      "nobody's",
      [
        ["/a", "/a"],
        ["/b", null],
      ],
      "",
    ],
    ["the root cgroup has the system's as its own", [["/", "system"]], ""],
    [
      "the system's",
      [
        ["/", "system"],
        ["/a", "system"],
        ["/b", "system"],
      ],
      "the system's stands in for 2 targets",
    ],
    [
      "a parent's",
      [
        ["/a", "/a"],
        ["/a/b", "/a"],
      ],
      "that of /a stands in for 1 target",
    ],
    [
      "several",
      [
        ["/a/b", "/a"],
        ["/c", "system"],
        ["/d", "system"],
      ],
      "the system's stands in for 2 targets; 1 other cgroup for others",
    ],
  ];
  for (const [what, sources, text] of rows) {
    test(what, () => {
      const targets = sources.map(([path, pressure_source]) => target(path, { pressure_source }));
      expect(
        standInLines(targets, plainTerminal)
          .join("")
          .replace(/^Pressure +/, ""),
      ).toBe(text);
    });
  }
});

function paths(sort: "path" | "cold" | "evicted" | "size", top: number | null = null): string[] {
  return selectTargets(targets, { path: null, sort, top }).map(({ path }) => path.slice(0, 5));
}

describe("selectTargets", () => {
  test("sorts and cuts", () => {
    expect(paths("path")).toEqual(["/init", "/syst", "/user", "/weir"]);
    expect(paths("cold")).toEqual(["/syst", "/user", "/init", "/weir"]);
    expect(paths("evicted")).toEqual(["/syst", "/init", "/user", "/weir"]);
    expect(paths("size", 2)).toEqual(["/syst", "/user"]);
  });
});

describe("the terminal", () => {
  const tty = { isTTY: true, columns: 120, rows: 40 };
  const rows: readonly [what: string, stream: object, environment: Record<string, string>, Terminal][] = [
    ["a pipe", {}, {}, plainTerminal],
    ["a terminal", tty, {}, { columns: 120, rows: 40, colour: true }],
    ["NO_COLOR", tty, { NO_COLOR: "yes" }, { columns: 120, rows: 40, colour: false }],
    ["an empty NO_COLOR", tty, { NO_COLOR: "" }, { columns: 120, rows: 40, colour: true }],
    ["a dumb one", tty, { TERM: "dumb" }, { columns: 120, rows: 40, colour: false }],
    ["of unknown size", { isTTY: true }, {}, { columns: 80, rows: 24, colour: true }],
    ["of no width", { isTTY: true, columns: 0, rows: 0 }, {}, { columns: 40, rows: 0, colour: true }],
  ];
  for (const [what, stream, environment, terminal] of rows) {
    test(what, () => expect(terminalOf(stream, environment)).toEqual(terminal));
  }
});
