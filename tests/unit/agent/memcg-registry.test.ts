import { describe, expect, test } from "bun:test";
import { MemcgRegistry, type TargetState } from "../../../src/agent/memcg/registry.ts";
import { compileRules } from "../../../src/config/rules.ts";
import { defaultSettings } from "../../../src/config/schema.ts";

const rules = compileRules(defaultSettings.memcg);

/** A snapshot of cgroups, each `path id inode`, with one node. */
function see(registry: MemcgRegistry, ...cgroups: readonly string[]): readonly string[] {
  registry.beginScan();
  for (const cgroup of cgroups) {
    const [path = "", id = "", inode = ""] = cgroup.split(" ");
    if (!registry.hasLiving(path)) registry.seeTarget(registry.seeCgroup(path, id, Number(inode)), 0);
  }
  return registry.endScan(() => false).map(({ path }) => path);
}

function target(registry: MemcgRegistry, path: string): TargetState {
  const found = registry.cgroups.get(path)?.targets[0];
  if (found === undefined) throw new Error(`no target ${path}`);
  return found;
}

describe("MemcgRegistry", () => {
  test("keeps what it knows from snapshot to snapshot", () => {
    const registry = new MemcgRegistry(rules);
    see(registry, "/ 1 1", "/a 2 70");
    target(registry, "/a").agings = 3;
    expect(see(registry, "/ 1 1", "/a 2 70")).toEqual([]);
    expect(target(registry, "/a").agings).toBe(3);
    expect(registry.targetCount).toBe(2);
  });

  test("forgets what is gone, and what came back as another", () => {
    const registry = new MemcgRegistry(rules);
    see(registry, "/ 1 1", "/a 2 70", "/b 3 80");
    target(registry, "/a").agings = 3;
    expect(see(registry, "/ 1 1", "/a 2 90")).toEqual(["/b"]);
    expect(target(registry, "/a").agings).toBe(0);
    expect([...(registry.cgroups.get("/")?.children ?? [])].map(({ inode }) => inode)).toEqual([90]);
  });

  test.each([
    ["before it", ["/a 70 90", "/a 90 90"], "90"],
    ["after it", ["/a 90 90", "/a 70 90"], "90"],
    ["before it, with ids that are no inodes", ["/a 5 90", "/a 6 90"], "6"],
  ])("tells a cgroup from a dead one of its name that is listed %s", (_, listed, id) => {
    const registry = new MemcgRegistry(rules);
    see(registry, "/ 1 1", ...listed);
    expect(registry.cgroups.get("/a")?.id).toBe(id);
    expect(registry.targetCount).toBe(2);
  });

  test("finds the nearest parent that is known", () => {
    const registry = new MemcgRegistry(rules);
    see(registry, "/ 1 1", "/a 2 2", "/a/b 3 3", "/x/y/z 4 4");
    const parent = (path: string): string | undefined => registry.cgroups.get(path)?.parent?.path;
    expect(["/", "/a", "/a/b", "/x/y/z"].map(parent)).toEqual([undefined, "/", "/a", "/"]);
  });

  test.each([
    [
      "is listed again",
      [
        ["/ 1 1", "/a/b 3 3"],
        ["/ 1 1", "/a 2 2", "/a/b 3 3"],
      ],
      "/a",
    ],
    ["is another now", [["/ 1 1", "/a 5 5", "/a/b 3 3"]], "/a"],
    ["is listed no more", [["/ 1 1", "/a/b 3 3"]], "/"],
  ])("a child has a living parent when its parent %s", (_, snapshots, parent) => {
    const registry = new MemcgRegistry(rules);
    see(registry, "/ 1 1", "/a 2 2", "/a/b 3 3");
    for (const snapshot of snapshots) see(registry, ...snapshot);
    const child = registry.cgroups.get("/a/b");
    expect(child?.parent).toBe(registry.cgroups.get(parent) ?? null);
    const owners = [...registry.cgroups.values()].filter(({ children }) => child !== undefined && children.has(child));
    expect(owners.map(({ path }) => path)).toEqual([parent]);
  });

  test("knows at most four generations, and counts their pages", () => {
    const registry = new MemcgRegistry(rules);
    see(registry, "/ 1 1");
    const root = target(registry, "/");
    expect([root.maxSeq, root.youngestAgeMs, root.generation(0)]).toEqual([null, 0, null]);
    root.generationCount = 2;
    root.setGeneration(0, 7, 2_000, 10, 20);
    root.setGeneration(1, 8, 1_000, 100, 200);
    expect(root.generations).toEqual([
      { seq: 7, ageMs: 2_000, anonPages: 10, filePages: 20 },
      { seq: 8, ageMs: 1_000, anonPages: 100, filePages: 200 },
    ]);
    expect([root.maxSeq, root.youngestAgeMs]).toEqual([8, 1_000]);
    expect([root.pagesUpTo(7, "anon"), root.pagesUpTo(7, "file"), root.pagesUpTo(6, "file")]).toEqual([10, 20, 0]);
    expect(root.pagesUpTo(Number.POSITIVE_INFINITY, "file")).toBe(220);
  });
});
