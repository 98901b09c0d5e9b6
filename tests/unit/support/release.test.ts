import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTargets } from "../../../build.ts";
import packageJson from "../../../package.json" with { type: "json" };
import { checksumLine, companions, releaseName, releaseTar } from "../../support/release.ts";
import { makeTar } from "../../support/tar.ts";

/** Runs a program in a new folder with one file in it. */
function withFile<T>(
  name: string,
  bytes: Uint8Array,
  use: (folder: string, run: (...words: string[]) => string) => T,
): T {
  const folder = mkdtempSync(join(tmpdir(), "mem-agent-release-"));
  try {
    writeFileSync(join(folder, name), bytes);
    return use(folder, (...words) => {
      const { stdout, stderr, success } = Bun.spawnSync(words, {
        cwd: folder,
        env: { TZ: "UTC", PATH: process.env.PATH },
      });
      if (!success) throw new Error(stderr.toString());
      return stdout.toString();
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("makeTar", () => {
  const entries = [
    { path: "b/long", bytes: Buffer.alloc(1025, "x"), mode: 0o755 },
    { path: "a", bytes: Buffer.from("hello\n"), mode: 0o644 },
    { path: "b/empty", bytes: Buffer.alloc(0), mode: 0o600 },
  ];

  test("is what tar unpacks, sorted, with the given time and modes", () => {
    withFile("t.tar", makeTar(entries, 315_532_800), (folder, run) => {
      const lines = run("tar", "-tvf", "t.tar", "--full-time").trimEnd().split("\n");
      expect(lines.map((line) => line.replaceAll(/ +/g, " "))).toEqual([
        "-rw-r--r-- root/root 6 1980-01-01 00:00:00 a",
        "-rw------- root/root 0 1980-01-01 00:00:00 b/empty",
        "-rwxr-xr-x root/root 1025 1980-01-01 00:00:00 b/long",
      ]);
      run("tar", "-xf", "t.tar");
      expect(readFileSync(join(folder, "a"), "utf8")).toBe("hello\n");
      expect(statSync(join(folder, "b/long")).size).toBe(1025);
    });
  });

  test("does not depend on the order of its entries", () => {
    expect(makeTar(entries, 0)).toEqual(makeTar(entries.toReversed(), 0));
    expect(makeTar(entries, 0).length % 10_240).toBe(0);
  });

  test("refuses a path that has no room", () => {
    expect(() => makeTar([{ path: "x".repeat(101), bytes: Buffer.alloc(0), mode: 0 }], 0)).toThrow("too long");
  });
});

describe("a release", () => {
  test("names its archives after version, machine and libc", () => {
    const { version } = packageJson;
    expect(buildTargets.map(releaseName)).toEqual([
      `mem-agent-${version}-linux-x64-glibc`,
      `mem-agent-${version}-linux-arm64-glibc`,
      `mem-agent-${version}-linux-x64-musl`,
      `mem-agent-${version}-linux-arm64-musl`,
    ]);
  });

  test("holds the executable and what an installation needs", async () => {
    const [target] = buildTargets;
    if (target === undefined) throw new Error("no target");
    const beside = await companions("# mem-agent\n");
    const tar = releaseTar(target, Buffer.from("binary"), beside);
    expect(releaseTar(target, Buffer.from("binary"), await companions("# mem-agent\n"))).toEqual(tar);
    withFile("r.tar", tar, (_folder, run) => {
      const name = releaseName(target);
      expect(run("tar", "-tf", "r.tar").trimEnd().split("\n")).toEqual(
        [
          "README.md",
          "completions/_mem-agent",
          "completions/mem-agent.bash",
          "completions/mem-agent.fish",
          "mem-agent",
          "mem-agent.openrc",
          "mem-agent.schema.json",
          "mem-agent.service",
          "mem-agent.toml",
        ].map((path) => `${name}/${path}`),
      );
    });
    for (const { path, bytes } of beside) expect([path, bytes.length > 0]).toEqual([path, true]);
  });

  test("writes checksums that sha256sum accepts", () => {
    withFile("x", Buffer.from("abc"), (folder, run) => {
      writeFileSync(join(folder, "SHA256SUMS"), checksumLine("x", Buffer.from("abc")));
      expect(run("sha256sum", "-c", "SHA256SUMS")).toBe("x: OK\n");
    });
  });
});
