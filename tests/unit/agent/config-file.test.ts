/** The watch on real folders, with a clock that the test moves: how long is waited is never left to chance. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readConfigText, ConfigWatch } from "../../../src/agent/daemon/config-file.ts";
import { configMap, plainFile, replaceBy, swapConfigMap, ways } from "./config-file-ways.ts";
import { SteppedClock } from "./stepped-clock.ts";

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

describe("is told once when the file is", () => {
  for (const { name, before, act, reads } of ways) {
    test(name, async () => {
      const path = before(top);
      watching(path);
      act(path, top);
      await settled();
      expect(heard).toEqual([reads]);
      expect(clock.nextMs).toBeNull();
    });
  }
});

describe("goes on after", () => {
  for (const { name, before, act } of ways.filter(({ reads }) => reads === "new")) {
    test(name, async () => {
      const path = before(top);
      watching(path);
      act(path, top);
      await settled();
      appendFileSync(path, "er");
      await settled();
      expect(heard).toEqual(["new", "newer"]);
    });
  }

  test("many renames, swaps and replaced folders", async () => {
    const path = plainFile(top);
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
    const path = configMap(top);
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
    const path = plainFile(top);
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
    const path = plainFile(top);
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
    const path = plainFile(top);
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
      const path = plainFile(top);
      watching(path);
      act(path);
      await Bun.sleep(quietMs);
      expect(clock.nextMs).toBeNull();
    });
  }

  test("anything after the end", async () => {
    const path = plainFile(top);
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
  const path = plainFile(top);
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

test("a folder that cannot be watched is told, and that it can be again", () => {
  const path = plainFile(top);
  chmodSync(top, 0o711);
  chmodSync(dirname(path), 0o311);
  const watch = asNobody(() => watching(path));
  expect(troubles.at(-1)).toMatch(/^cannot watch .*: EACCES$/);
  watch.refresh();
  expect(troubles.at(-1)).toBeNull();
});

/** Root may watch everything, so the test becomes somebody else for a moment; somebody else gives the right back. */
function asNobody<T>(act: () => T): T {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    return act();
  } finally {
    if (isRoot) process.seteuid?.(0);
    else chmodSync(join(top, "conf"), 0o700);
  }
}

test.each(["EACCES", "ESTALE", "EIO"])("%s while looking is a trouble that passes", (code) => {
  const path = join(top, "agent.toml");
  writeFileSync(path, "old");
  const watch = watching(path);
  const looking = spyOn(fs, "statSync").mockImplementation(() => {
    throw Object.assign(new Error(code), { code });
  });
  try {
    watch.refresh();
  } finally {
    looking.mockRestore();
  }
  expect(troubles.at(-1)).toMatch(/^cannot watch .*: it cannot be looked at$/);
  watch.refresh();
  expect(troubles.at(-1)).toBeNull();
});
