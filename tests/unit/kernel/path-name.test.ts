import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { escapeControls } from "../../../src/base/log-line.ts";
import { decodeName, displayPath, encodeName, fsPath } from "../../../src/system/path-name.ts";
import { Tree } from "./fixtures.ts";
import { seeded } from "./mutate.ts";

const rows: readonly [string, number[], string, string][] = [
  ["plain", [...Buffer.from("/a b")], "/a b", "/a b"],
  ["UTF-8", [...Buffer.from("/größe")], "/größe", "/größe"],
  ["beyond 16 bits", [...Buffer.from("/\u{1f4a9}")], "/\u{1f4a9}", "/\u{1f4a9}"],
  ["a byte order mark is part of the name", [0xef, 0xbb, 0xbf, 0x61], "\ufeffa", "\\ufeffa"],
  ["a byte that is not UTF-8", [0x61, 0xff, 0x62], "a\udcffb", "a\\xffb"],
  ["a sequence cut short", [0x61, 0xc3], "a\udcc3", "a\\xc3"],
  ["a surrogate in UTF-8's form is no UTF-8", [0xed, 0xb3, 0xbf], "\udced\udcb3\udcbf", "\\xed\\xb3\\xbf"],
  ["a longer form than needed", [0xc0, 0xaf], "\udcc0\udcaf", "\\xc0\\xaf"],
  ["control characters", [0x1b, 0x5b, 0x0a, 0x7f], "\u001b[\n\u007f", "\\x1b[\\x0a\\x7f"],
];

describe("names", () => {
  for (const [name, bytes, text, shown] of rows) {
    test(name, () => {
      expect(decodeName(Uint8Array.from(bytes))).toBe(text);
      expect([...encodeName(text)]).toEqual(bytes);
      expect(displayPath(text)).toBe(shown);
      expect(displayPath(Buffer.from(bytes))).toBe(shown);
    });
  }

  test("any bytes come back", () => {
    const random = seeded(11);
    for (let run = 0; run < 20_000; run++) {
      const bytes = Buffer.from(Array.from({ length: Math.floor(random() * 9) }, () => Math.floor(random() * 256)));
      const back = fsPath(decodeName(bytes));
      expect(Buffer.from(back as Uint8Array).equals(bytes)).toBe(true);
    }
  });

  test("JSON carries them", () => expect(JSON.parse(JSON.stringify("a\udcffb"))).toBe("a\udcffb"));

  test("the file system is given the bytes", () => {
    using tree = new Tree();
    mkdirSync(fsPath(`${tree.root}/${decodeName(Uint8Array.from([0x78, 0xff]))}`));
    expect(readdirSync(tree.root, "buffer").map((name) => [...name])).toEqual([[0x78, 0xff]]);
    expect(fsPath("/plain")).toBe("/plain");
  });
});

/** What `displayPath` wrote, read back. */
const nameOf = (text: string): string =>
  text.replaceAll(/\\x([01][0-9a-f]|5c|7f|[89a-f][0-9a-f])|\\u([0-9a-f]{4})/g, (_, byte?: string, code?: string) => {
    const value = Number.parseInt(byte ?? code ?? "", 16);
    return String.fromCharCode(byte !== undefined && value > 0x7f ? 0xdc00 + value : value);
  });

describe("what people see of a name", () => {
  const shown: readonly (readonly [name: string, shown: string])[] = [
    ["\\xff", "\\x5cxff"],
    ["\\x5cxff", "\\x5cx5cxff"],
    ["a\\x0ab", "a\\x5cx0ab"],
    ["\\u202e", "\\x5cu202e"],
    ["system-systemd\\x2dfsck.slice", "system-systemd\\x2dfsck.slice"],
    ["back\\slash\\", "back\\slash\\"],
    ["\u0085", "\\u0085"],
    ["a\u202egnp.exe", "a\\u202egnp.exe"],
    ["\u061c\u200f\u2066\ufeff", "\\u061c\\u200f\\u2066\\ufeff"],
    ["😀 grüße", "😀 grüße"],
    ["\u{1f080}", "\u{1f080}"],
  ];
  for (const [name, text] of shown) test(text, () => expect(displayPath(name)).toBe(text));

  test("no two names look the same: each is read back", () => {
    const random = seeded(17);
    const pieces = [
      "\\",
      "x",
      "u",
      "f",
      "0",
      "5c",
      "ff",
      "202e",
      "\u202e",
      "\u0085",
      "\n",
      "\udcff",
      "\udc85",
      "é",
      "😀",
    ];
    for (let run = 0; run < 20_000; run++) {
      const name = Array.from(
        { length: Math.floor(random() * 8) },
        () => pieces[Math.floor(random() * pieces.length)],
      ).join("");
      const text = displayPath(name);
      expect(nameOf(text)).toBe(name);
      expect(escapeControls(text)).toBe(text);
    }
  });
});
