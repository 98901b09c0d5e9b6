/** The watch on real folders, with a clock that the test moves: how long is waited is never left to chance. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ConfigWatch, readConfigText } from "../../../src/agent/config-file.ts";
import { SteppedClock } from "./memcg-kernel.ts";

let top: string;
let clock: SteppedClock;
let heard: (string | null)[];
let troubles: (string | null)[];
let watches: DisposableStack;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "mem-agent-watch-"));
  clock = new SteppedClock();
  heard = [];
  troubles = [];
  watches = new DisposableStack();
});

afterEach(() => {
  watches.dispose();
  rmSync(top, { recursive: true });
});

const eventMsMax = 2000;
const quietMs = 50;
/** Bun tells of one event only when two of one name come within this time. */
const bunDropsMs = 5;

function watching(path: string): ConfigWatch {
  return watches.use(
    new ConfigWatch({
      path,
      clock,
      changed: () => heard.push(readConfigText(path)),
      trouble: (why) => troubles.push(why),
    }),
  );
}

/** Waits for the kernel to tell of what was done, then lets the settle time pass. */
async function settled(): Promise<void> {
  const deadlineMs = performance.now() + eventMsMax;
  while (clock.nextMs === null && performance.now() < deadlineMs) await Bun.sleep(1);
  for (let turn = 0; turn < 10; turn++) await Bun.sleep(1);
  await clock.pass(1000);
  await clock.pass(1000);
}

interface Way {
  readonly name: string;
  /** Makes what is there before; returns the watched path. */
  readonly before: () => string;
  readonly act: (path: string) => void;
  readonly reads: string | null;
}

function plainFile(text = "old"): string {
  const path = join(top, "conf", "agent.toml");
  mkdirSync(dirname(path));
  writeFileSync(path, text);
  return path;
}

function nothingThere(): string {
  return join(top, "conf", "deep", "agent.toml");
}

/** As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is swapped as a whole. */
function configMap(): string {
  const folder = join(top, "map");
  mkdirSync(join(folder, "..1"), { recursive: true });
  writeFileSync(join(folder, "..1", "agent.toml"), "old");
  symlinkSync("..1", join(folder, "..data"));
  symlinkSync("..data/agent.toml", join(folder, "agent.toml"));
  return join(folder, "agent.toml");
}

function swapConfigMap(folder: string, text: string, version: string): void {
  mkdirSync(join(folder, `..${version}`));
  writeFileSync(join(folder, `..${version}`, "agent.toml"), text);
  symlinkSync(`..${version}`, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
}

function replaceBy(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

const ways: readonly Way[] = [
  { name: "written in place", before: plainFile, act: (path) => writeFileSync(path, "new"), reads: "new" },
  { name: "appended to", before: plainFile, act: (path) => appendFileSync(path, "er"), reads: "older" },
  { name: "replaced by rename, as by sed -i", before: plainFile, act: (path) => replaceBy(path, "new"), reads: "new" },
  {
    name: "moved away and written anew, as by vim with backups",
    before: plainFile,
    act: (path) => {
      renameSync(path, `${path}~`);
      writeFileSync(path, "new");
      rmSync(`${path}~`);
    },
    reads: "new",
  },
  { name: "removed", before: plainFile, act: (path) => rmSync(path), reads: null },
  {
    name: "written with its size and time of change kept",
    before: plainFile,
    act: (path) => {
      writeFileSync(path, "new");
      utimesSync(path, 1, 1);
    },
    reads: "new",
  },
  {
    name: "made where there was no file",
    before: () => {
      const path = plainFile();
      rmSync(path);
      return path;
    },
    act: (path) => writeFileSync(path, "new"),
    reads: "new",
  },
  {
    name: "made with the folders above it",
    before: nothingThere,
    act: (path) => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, "new");
    },
    reads: "new",
  },
  {
    name: "swapped with the whole ConfigMap",
    before: configMap,
    act: (path) => swapConfigMap(dirname(path), "new", "2"),
    reads: "new",
  },
  {
    name: "changed where a link in another folder leads to",
    before: () => {
      mkdirSync(join(top, "real"));
      mkdirSync(join(top, "via"));
      writeFileSync(join(top, "real", "file"), "old");
      symlinkSync(join(top, "real", "file"), join(top, "via", "link"));
      symlinkSync("via/link", join(top, "agent.toml"));
      return join(top, "agent.toml");
    },
    act: () => replaceBy(join(top, "real", "file"), "new"),
    reads: "new",
  },
  {
    name: "led elsewhere by a link in the middle",
    before: () => {
      mkdirSync(join(top, "via"));
      writeFileSync(join(top, "one"), "old");
      writeFileSync(join(top, "two"), "new");
      symlinkSync("../one", join(top, "via", "link"));
      symlinkSync("via/link", join(top, "agent.toml"));
      return join(top, "agent.toml");
    },
    act: () => {
      symlinkSync("../two", join(top, "via", "other"));
      renameSync(join(top, "via", "other"), join(top, "via", "link"));
    },
    reads: "new",
  },
  {
    name: "replaced with its whole folder",
    before: plainFile,
    act: (path) => {
      mkdirSync(join(top, "next"));
      writeFileSync(join(top, "next", "agent.toml"), "new");
      renameSync(dirname(path), join(top, "away"));
      renameSync(join(top, "next"), dirname(path));
    },
    reads: "new",
  },
  {
    name: "gone with a folder far above it",
    before: () => {
      const path = nothingThere();
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, "old");
      return path;
    },
    act: () => renameSync(join(top, "conf"), join(top, "away")),
    reads: null,
  },
];

describe("is told once when the file is", () => {
  for (const { name, before, act, reads } of ways) {
    test(name, async () => {
      const path = before();
      watching(path);
      act(path);
      await settled();
      expect(heard).toEqual([reads]);
      expect(clock.nextMs).toBeNull();
    });
  }
});

describe("goes on after", () => {
  for (const { name, before, act } of ways.filter(({ reads }) => reads === "new")) {
    test(name, async () => {
      const path = before();
      watching(path);
      act(path);
      await settled();
      appendFileSync(path, "er");
      await settled();
      expect(heard).toEqual(["new", "newer"]);
    });
  }

  test("many renames, swaps and replaced folders", async () => {
    const path = plainFile();
    watching(path);
    for (let round = 0; round < 5; round++) {
      replaceBy(path, `a${round}`);
      await settled();
      renameSync(dirname(path), join(top, `away${round}`));
      mkdirSync(dirname(path));
      writeFileSync(path, `b${round}`);
      await settled();
    }
    expect(heard).toEqual([0, 1, 2, 3, 4].flatMap((round) => [`a${round}`, `b${round}`]));
  });

  test("many swaps of a ConfigMap whose old versions are removed", async () => {
    const path = configMap();
    watching(path);
    for (let version = 2; version < 7; version++) {
      swapConfigMap(dirname(path), `v${version}`, String(version));
      rmSync(join(dirname(path), `..${version - 1}`), { recursive: true });
      await settled();
    }
    expect(heard).toEqual(["v2", "v3", "v4", "v5", "v6"]);
  });
});

describe("the settle time", () => {
  test("takes a write in two steps for one version", async () => {
    const path = plainFile();
    watching(path);
    writeFileSync(path, "");
    while (clock.nextMs === null) await Bun.sleep(1);
    await Bun.sleep(bunDropsMs);
    await clock.pass(149);
    writeFileSync(path, "whole");
    while (clock.nextMs !== 150) await Bun.sleep(1);
    await clock.pass(149);
    expect(heard).toEqual([]);
    await clock.pass(1);
    expect(heard).toEqual(["whole"]);
  });

  test("begins anew when a write was not told", async () => {
    const path = plainFile();
    watching(path);
    writeFileSync(path, "");
    // Told or not: it comes within a millisecond of the first.
    writeFileSync(path, "half");
    while (clock.nextMs === null) await Bun.sleep(1);
    writeFileSync(path, "whole");
    await clock.pass(150);
    expect(heard).toEqual([]);
    await clock.pass(150);
    expect(heard).toEqual(["whole"]);
  });

  test("ends a second after the first write, however long a writer goes on", async () => {
    const path = plainFile();
    watching(path);
    for (let step = 0; step < 10; step++) {
      appendFileSync(path, String(step));
      const wantedMs = Math.min(150, 1000 - step * 100);
      while (clock.nextMs !== wantedMs) await Bun.sleep(1);
      await Bun.sleep(bunDropsMs);
      await clock.pass(100);
    }
    expect(heard).toEqual(["old0123456789"]);
  });
});

describe("is not told", () => {
  const idle: readonly [name: string, act: (path: string) => void][] = [
    ["another file of the folder", (path) => writeFileSync(`${path}.swp`, "x")],
    ["reading", (path) => void readFileSync(path)],
    ["another folder beside it", () => mkdirSync(join(top, "beside"))],
  ];
  for (const [name, act] of idle) {
    test(name, async () => {
      const path = plainFile();
      watching(path);
      act(path);
      await Bun.sleep(quietMs);
      expect(clock.nextMs).toBeNull();
    });
  }

  test("anything after the end", async () => {
    const path = plainFile();
    const watch = watching(path);
    appendFileSync(path, "er");
    while (clock.nextMs === null) await Bun.sleep(1);
    watch[Symbol.dispose]();
    expect(clock.nextMs).toBeNull();
    appendFileSync(path, "er");
    watch.refresh();
    await Bun.sleep(quietMs);
    expect(clock.nextMs).toBeNull();
    expect(heard).toEqual([]);
  });
});

test("what the kernel did not tell is found by refresh", async () => {
  const path = plainFile();
  const watch = watching(path);
  appendFileSync(path, "er");
  watch.refresh();
  expect(clock.nextMs).toBe(150);
});

test("a loop of links is no file", async () => {
  symlinkSync("b", join(top, "a"));
  symlinkSync("a", join(top, "b"));
  const path = join(top, "a");
  watching(path);
  rmSync(path);
  writeFileSync(path, "new");
  await settled();
  expect(heard).toEqual(["new"]);
});

const isRoot = process.getuid?.() === 0;

/** Nothing but a lack of watches keeps root from watching a folder. */
test.if(!isRoot)("a folder that cannot be watched is told, and that it can be again", () => {
  const path = plainFile();
  chmodSync(dirname(path), 0o300);
  const watch = watching(path);
  expect(troubles).toEqual([`cannot watch ${dirname(path)}: EACCES`]);
  chmodSync(dirname(path), 0o700);
  watch.refresh();
  expect(troubles.at(-1)).toBeNull();
});
