import { expect, test } from "bun:test";
import { compileGlob, globMatches, levelsOf, normalizePath } from "../../../src/config/path.ts";

const normalForms: readonly [text: string, normal: string | null][] = [
  ["/", "/"],
  ["//", "/"],
  ["a", "/a"],
  ["/a", "/a"],
  ["a/", "/a"],
  ["/a/b/", "/a/b"],
  ["//a///b//", "/a/b"],
  ["/a b/c,d=e", "/a b/c,d=e"],
  ["/*/b", "/*/b"],
  ["/a..b/.c", "/a..b/.c"],
  ["", null],
  ["/a/../b", null],
  ["./a", null],
  ["/a\nb", null],
  ["/a\0", null],
  ["/".repeat(5000), null],
];
test.each(normalForms)("the normal form of %j is %j", (text, normal) => {
  expect(normalizePath(text)).toBe(normal);
});

const matches: readonly [glob: string, path: string, expected: boolean][] = [
  ["/*", "/a", true],
  ["/*", "/", false],
  ["/*", "/a/b", false],
  ["/**", "/", true],
  ["/**", "/a/b/c", true],
  ["/a/**", "/a", true],
  ["/a/**", "/b", false],
  ["/a/**/z", "/a/z", true],
  ["/a/**/z", "/a/b/c/z", true],
  ["/a/**/z", "/a/b/c/y", false],
  ["/**/b/**/d", "/a/b/c/b/d", true],
  ["/**/b/*/d", "/b/x/b/d/b/y/d", true],
  ["/**/b/*/d", "/b/x/b/d/b/y/e", false],
  ["/a/*.service", "/a/x.service", true],
  ["/a/*.service", "/a/.service", true],
  ["/a/*.service", "/a/x.slice", false],
  ["/a/x*y*z", "/a/x1y2z", true],
  ["/a/x*y*z", "/a/xyz", true],
  ["/a/x*y*z", "/a/xz", false],
  ["/a/x*x", "/a/x", false],
  ["/a/x*x", "/a/xx", true],
  ["/a/*ab*ab", "/a/ab", false],
  ["/a/*ab*ab", "/a/abab", true],
  ["/a/b**c", "/a/bxc", true],
  ["/a.c/*", "/abc/x", false],
];
test.each(matches)("%s names %s: %p", (glob, path, expected) => {
  const names = levelsOf(path);
  expect(globMatches(compileGlob(glob), names, names.length)).toBe(expected);
});

test("only the first names of a path are looked at", () => {
  expect(globMatches(compileGlob("/a/*"), ["a", "b", "c"], 2)).toBe(true);
  expect(globMatches(compileGlob("/a/*"), ["a", "b", "c"], 3)).toBe(false);
});

test("a glob made to be slow is not", () => {
  const names = Array.from({ length: 400 }, () => "a".repeat(8));
  const glob = compileGlob(`${"/**/aa*aa*aa".repeat(100)}/b`);
  const from = performance.now();
  expect(globMatches(glob, names, names.length)).toBe(false);
  const inOneName = compileGlob(`/${"*a".repeat(200)}b`);
  expect(globMatches(inOneName, ["a".repeat(250)], 1)).toBe(false);
  expect(performance.now() - from).toBeLessThan(200);
});
