import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { LruGenScanner, parseLruGen, scanLruGen, type LruGenCgroup } from "../../../src/kernel/lru-gen-scan.ts";
import { guestFile, guestNames } from "./fixtures.ts";
import { mutate, mutationsPerParser, seeded } from "./mutate.ts";

const lruGen = "sys/kernel/debug/lru_gen";

function cgroupText(id: string, path: string, nodes = 1, files = 5122): string {
  let text = `memcg ${id.padStart(5)} ${path}\n`;
  for (let node = 0; node < nodes; node++) {
    text += ` node ${String(node).padStart(5)}\n`;
    for (let seq = 1; seq <= 4; seq++) text += `          ${seq}      ${5 - seq}528          ${seq}        ${files} \n`;
  }
  return text;
}

function scanned(text: string | Uint8Array): { paths: string[]; malformedLines: number; cgroups: number } {
  const bytes = Buffer.from(text as Uint8Array);
  const paths = new Set<string>();
  const scan = scanLruGen(bytes, bytes.length, (_, path) => paths.add(path));
  return { paths: [...paths], ...scan };
}

describe("parseLruGen reads real guests", () => {
  const commonPaths = ["/", "/work", "/work/inner", "/guarded", "/with blank", "/idle"];
  for (const name of guestNames) {
    test(name, () => {
      const cgroups = parseLruGen(guestFile(name, lruGen));
      expect(cgroups.map(({ path }) => path)).toEqual(expect.arrayContaining(commonPaths));
      expect(cgroups.map(({ path }) => path)).toContain("/odd\udcffbyte");
      for (const cgroup of cgroups) {
        expect(cgroup.nodes).toHaveLength(name === "6.12-numa" ? 2 : 1);
        const counts = cgroup.nodes.map(({ generations }) => generations.length);
        expect(counts.every((count) => count >= 2 && count <= 4)).toBe(true);
      }
      expect(scanned(guestFile(name, lruGen)).malformedLines).toBe(0);
    });
  }

  test("the numbers are those of the text", () => {
    expect(parseLruGen(guestFile("6.1", lruGen)).find(({ path }) => path === "/guarded")).toEqual({
      id: "3",
      path: "/guarded",
      nodes: [
        {
          node: 0,
          generations: [
            { seq: 2, ageMs: 3736, anonPages: 1, filePages: 3076 },
            { seq: 3, ageMs: 3736, anonPages: 784, filePages: 113 },
            { seq: 4, ageMs: 1004, anonPages: 0, filePages: 0 },
            { seq: 5, ageMs: 812, anonPages: 0, filePages: 0 },
          ],
        },
      ],
    });
  });

  test("an offline cgroup has id 0", () => {
    expect(parseLruGen(guestFile("6.1", lruGen)).find(({ path }) => path === "/gone")?.id).toBe("0");
  });
});

describe("forms of the text", () => {
  const generation = "          1        528          0        5122 \n";
  const rows: readonly [string, string, readonly LruGenCgroup[]][] = [
    ["nothing", "", []],
    ["an inode as id", `memcg 1844674407370955161 /a\n node 0\n`, [cgroup("1844674407370955161", "/a", [[]])]],
    ["blanks in the path, also at its end", `memcg     2 /a b  \n node     0\n`, [cgroup("2", "/a b  ", [[]])]],
    ["a path like a line of the file", `memcg     2 / node 0\n node     0\n`, [cgroup("2", "/ node 0", [[]])]],
    ["no memory cgroups in the kernel", `memcg     0 \n node     0\n`, [cgroup("0", "", [[]])]],
    ["a cgroup without nodes", `memcg     2 /a\n`, []],
    ["UTF-8", `memcg     2 /größe\n node     0\n`, [cgroup("2", "/größe", [[]])]],
    ["seq 0", `memcg     2 /a\n node     0\n 0 1 2 3\n`, [cgroup("2", "/a", [[[0, 1, 2, 3]]])]],
    ["a size below zero", `memcg     2 /a\n node     0\n 1 9 -3 7 \n`, [cgroup("2", "/a", [[[1, 9, 0, 7]]])]],
    [
      "a size below zero printed without a sign",
      `memcg     2 /a\n node     0\n 1 9 18446744073709551613 7 \n`,
      [cgroup("2", "/a", [[[1, 9, 0, 7]]])],
    ],
    [
      "a generation number at the end of what a number holds",
      `memcg     2 /a\n node     0\n 9007199254740991 9 1 7 \n`,
      [cgroup("2", "/a", [[[9007199254740991, 9, 1, 7]]])],
    ],
    [
      "two nodes that are not the first",
      `memcg     2 /a\n node     3\n${generation} node     7\n`,
      [cgroup("2", "/a", [[[1, 528, 0, 5122]], []], [3, 7])],
    ],
  ];
  for (const [name, text, cgroups] of rows) {
    test(name, () => {
      expect(parseLruGen(text)).toEqual([...cgroups]);
      expect(scanned(text).malformedLines).toBe(0);
    });
  }
});

function cgroup(
  id: string,
  path: string,
  nodes: readonly (readonly (readonly number[])[])[],
  numbers?: number[],
): LruGenCgroup {
  return {
    id,
    path,
    nodes: nodes.map((rows, index) => ({
      node: numbers?.[index] ?? index,
      generations: rows.map(([seq = -1, ageMs = -1, anonPages = -1, filePages = -1]) => ({
        seq,
        ageMs,
        anonPages,
        filePages,
      })),
    })),
  };
}

describe("a line that is not understood costs its cgroup and no other", () => {
  const broken: readonly [string, string][] = [
    ["a newline in a name", cgroupText("2", "/bad\nname")],
    ["no id", "memcg /bad\n node 0\n"],
    ["an id with letters", "memcg 2a /bad\n node 0\n"],
    ["a path without a slash", "memcg 2 bad\n node 0\n"],
    ["a node without a number", "memcg 2 /bad\n node x\n"],
    ["a generation outside of a node", "memcg 2 /bad\n 1 2 3 4\n"],
    ["three columns", "memcg 2 /bad\n node 0\n 1 2 3\n"],
    ["five columns", "memcg 2 /bad\n node 0\n 1 2 3 4 5\n"],
    ["a number run together with a word", "memcg 2 /bad\n node 0\n 1 2 3 4pages\n"],
    ["generations that do not follow each other", "memcg 2 /bad\n node 0\n 1 2 3 4\n 3 2 3 4\n"],
    ["a generation number beyond what a number holds", "memcg 2 /bad\n node 0\n 9007199254740993 2 3 4\n"],
    ["a generation number below zero", "memcg 2 /bad\n node 0\n -1 2 3 4\n"],
    ["a mark on the generation's number", "memcg 2 /bad\n node 0\n 1x 2 3 4\n"],
    ["a mark on a size, as lru_gen_full has", "memcg 2 /bad\n node 0\n 1 2 3x 4\n"],
    ["an empty line", "memcg 2 /bad\n node 0\n\n 1 2 3 4\n"],
  ];
  for (const [name, text] of broken) {
    test(name, () => {
      const whole = cgroupText("1", "/") + text + cgroupText("3", "/after");
      const { paths, malformedLines } = scanned(whole);
      expect(paths).toEqual(["/", "/after"]);
      expect(malformedLines).toBeGreaterThan(0);
    });
  }

  test("a line without indent that is not `memcg` ends the cgroup before it", () => {
    const whole = `${cgroupText("1", "/")}memory 2 /bad\n node 0\n 1 2 3 4\n${cgroupText("3", "/after")}`;
    expect(scanned(whole)).toEqual({ paths: ["/", "/after"], cgroups: 2, malformedLines: 1 });
  });

  test("a text that ends inside a line", () => {
    const whole = cgroupText("1", "/") + cgroupText("2", "/cut");
    expect(scanned(whole.slice(0, -3))).toEqual({ paths: ["/"], cgroups: 1, malformedLines: 1 });
  });
});

test("damage between cgroups never loses a well-formed one behind it", () => {
  const random = seeded(41);
  const names = Array.from({ length: 8 }, (_, index) => `/kept ${index}`);
  for (let run = 0; run < mutationsPerParser / 10; run++) {
    let text = "";
    for (const [index, name] of names.entries()) {
      const damaged = mutate(Buffer.from(cgroupText("77", "/damaged", 2)), random).toString("latin1");
      // The last line before a damaged text may seem to go on in it: that is not one to keep.
      text += `${damaged}\n${cgroupText(String(index + 100), name, 1 + (index % 2))}${cgroupText("78", "/between")}`;
    }
    const { paths } = scanned(text);
    expect(paths.filter((path) => path.startsWith("/kept"))).toEqual(names);
  }
});

test("20,000 damaged texts never throw and never give impossible numbers", () => {
  const random = seeded(3);
  const sources = guestNames.map((name) => guestFile(name, lruGen));
  const scanner = new LruGenScanner();
  let visits = 0;
  for (let run = 0; run < mutationsPerParser; run++) {
    const text = mutate(sources[run % sources.length] ?? Buffer.alloc(0), random);
    scanner.scan(text, text.length, (id, path, node, generations, count) => {
      visits++;
      const names = /^\d{1,20}$/.test(id) && (path === "" || path.startsWith("/")) && Number.isInteger(node);
      let sane = names && count <= generations.seqs.length;
      for (let index = 0; index < count; index++) {
        const { seqs, agesMs, anonPages, filePages } = generations;
        for (const numbers of [seqs, agesMs, anonPages, filePages]) sane &&= (numbers[index] ?? -1) >= 0;
      }
      if (!sane) throw new Error(`run ${run}: ${id} ${path} ${node} in ${text.toString("latin1")}`);
    });
  }
  expect(visits).toBeGreaterThan(mutationsPerParser);
});

describe("LruGenScanner", () => {
  const many = Buffer.from(Array.from({ length: 1000 }, (_, n) => cgroupText(`${n + 1}`, `/many/${n}.scope`)).join(""));

  test("gives the same string objects again, and new ones for a cgroup with another id", () => {
    const scanner = new LruGenScanner();
    const first = Buffer.from(cgroupText("1", "/a") + cgroupText("2", "/b"));
    const seen: string[] = [];
    const note = (id: string, path: string): number => seen.push(`${id}${path}`);
    scanner.scan(first, first.length, note);
    const second = Buffer.from(cgroupText("9", "/a") + cgroupText("2", "/b"));
    scanner.scan(second, second.length, note);
    expect(seen).toEqual(["1/a", "2/b", "9/a", "2/b"]);
  });

  test("allocates nothing for cgroups that it knows", () => {
    const scanner = new LruGenScanner();
    let pages = 0;
    const visit = (_id: string, _path: string, _node: number, generations: { filePages: Float64Array }): void => {
      pages += generations.filePages[0] ?? 0;
    };
    for (let warm = 0; warm < 5; warm++) scanner.scan(many, many.length, visit);
    Bun.gc(true);
    const before = heapStats();
    for (let run = 0; run < 20; run++) scanner.scan(many, many.length, visit);
    const after = heapStats();
    expect(pages).toBe(25 * 1000 * 5122);
    // A string for each path would be 20,000 objects; the scan's own result is one a scan.
    expect(after.objectCount - before.objectCount).toBeLessThan(2000);
    expect(after.extraMemorySize - before.extraMemorySize).toBeLessThan(64 * 1024);
  });

  test("forgets names that are gone, and still finds the others", () => {
    const scanner = new LruGenScanner();
    const random = seeded(5);
    for (let run = 0; run < 60; run++) {
      const wanted = Array.from({ length: Math.floor(random() * 300) }, () => `/c${Math.floor(random() * 500)}`);
      const text = Buffer.from([...new Set(wanted)].map((path) => cgroupText("3", path)).join(""));
      const paths: string[] = [];
      scanner.scan(text, text.length, (_, path) => paths.push(path));
      expect(paths).toEqual([...new Set(wanted)]);
    }
  });

  test("takes up again after a visitor that threw", () => {
    const scanner = new LruGenScanner();
    expect(() =>
      scanner.scan(many, many.length, () => {
        throw new Error("stop");
      }),
    ).toThrow("stop");
    let visits = 0;
    expect(scanner.scan(many, many.length, () => visits++)).toEqual({ cgroups: 1000, malformedLines: 0 });
    expect(visits).toBe(1000);
  });

  test("a path that is not UTF-8 is told from one that looks alike", () => {
    const odd = Buffer.concat([Buffer.from("memcg 1 /x"), Buffer.from([0xff]), Buffer.from("\n node 0\n")]);
    const text = Buffer.concat([odd, Buffer.from("memcg 2 /x\ufffd\n node 0\n")]);
    expect(parseLruGen(text).map(({ path }) => path)).toEqual(["/x\udcff", "/x\ufffd"]);
  });
});
