import { describe, expect, test } from "bun:test";
import { type Column, renderTable, styled } from "../../../src/cli/screens/table.ts";
import { plainTerminal, type Terminal } from "../../../src/cli/screens/terminal.ts";
import { textWidth } from "../../../src/cli/screens/text.ts";

interface Row {
  readonly path: string;
  readonly size: string;
  readonly note: string;
}

const columns: readonly Column<Row>[] = [
  { title: "PATH", align: "left", cut: "middle", leaveOut: null, cell: ({ path }) => path },
  { title: "SIZE", align: "right", cut: null, leaveOut: null, cell: ({ size }) => styled(size, "red") },
  { title: "NOTE", align: "left", cut: null, leaveOut: 1, cell: ({ note }) => note },
];

const rows: readonly Row[] = [
  { path: "/a/rather/long/path/of/a/cgroup", size: "1.5 MiB", note: "x" },
  { path: "/数据", size: "0", note: "a note" },
];

function terminal(columns: number, colour = false): Terminal {
  return { columns, rows: 24, colour };
}

describe("renderTable", () => {
  test("in a pipe everything is there, with tabs between", () => {
    expect(renderTable(columns, rows, plainTerminal)).toEqual([
      "PATH\tSIZE\tNOTE",
      "/a/rather/long/path/of/a/cgroup\t1.5 MiB\tx",
      "/数据\t0\ta note",
    ]);
  });

  test("a narrow terminal cuts what may be cut, and leaves out what still does not fit", () => {
    expect(renderTable(columns, rows, terminal(42))).toEqual([
      "PATH                          SIZE  NOTE",
      "/a/rather/lo…/of/a/cgroup  1.5 MiB  x",
      "/数据                            0  a note",
    ]);
    expect(renderTable(columns, rows, terminal(30))).toEqual([
      "PATH                      SIZE",
      "/a/rather/…f/a/cgroup  1.5 MiB",
      "/数据                        0",
    ]);
  });

  for (let width = 27; width <= 60; width++) {
    test(`${width} columns are not exceeded`, () => {
      for (const line of renderTable(columns, rows, terminal(width)))
        expect(textWidth(line)).toBeLessThanOrEqual(width);
    });
  }

  test("colour takes no room", () => {
    const lines = renderTable(columns, rows, terminal(100, true));
    expect(lines[1]).toBe("/a/rather/long/path/of/a/cgroup  \u001b[31m1.5 MiB\u001b[39m  x");
    const plain = renderTable(columns, rows, terminal(100));
    expect(lines.map((line) => Bun.stripANSI(line))).toEqual(plain);
  });
});
