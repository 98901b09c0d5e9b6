/** Packages with a stub in place of the executable, which takes half a minute to compress. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTargets } from "../../../build.ts";
import packageJson from "../../../package.json" with { type: "json" };
import { glibcNeeded, makeDeb, packageFiles, packageName, releasesOf } from "../../support/packages.ts";

const folder = mkdtempSync(join(tmpdir(), "mem-agent-packages-"));
const [target] = buildTargets;
if (target === undefined) throw new Error("no target");
let deb = "";

beforeAll(async () => {
  deb = await makeDeb(folder, target, await packageFiles("deb", Buffer.from("GLIBC_2.9\0GLIBC_2.17\0"), []));
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(...words: string[]): string {
  const { stdout, stderr, success } = Bun.spawnSync(words, { env: { PATH: process.env.PATH, TZ: "UTC" } });
  if (!success) throw new Error(stderr.toString());
  return stdout.toString();
}

describe("the Debian package", () => {
  test("holds what an installation needs, owned by root", () => {
    const lines = run("dpkg-deb", "--contents", deb).trimEnd().split("\n");
    expect(lines.filter((line) => !/^[-d]rw[-x]r-[-x]r-[-x] root\/root /.test(line))).toEqual([]);
    const files = lines.filter((line) => line.startsWith("-")).map((line) => line.split(" ./")[1]);
    expect(files).toEqual([
      "etc/mem-agent.toml",
      "usr/bin/mem-agent",
      "usr/lib/systemd/system/mem-agent.service",
      "usr/share/bash-completion/completions/mem-agent",
      "usr/share/doc/mem-agent/changelog.gz",
      "usr/share/doc/mem-agent/copyright",
      "usr/share/fish/vendor_completions.d/mem-agent.fish",
      "usr/share/lintian/overrides/mem-agent",
      "usr/share/man/man5/mem-agent.toml.5.gz",
      "usr/share/man/man8/mem-agent.8.gz",
      "usr/share/zsh/vendor-completions/_mem-agent",
    ]);
  });

  test("names version, machine, glibc and its file of settings", () => {
    expect(run("dpkg-deb", "--show", "--showformat", "${Version} ${Architecture} ${Depends}", deb)).toBe(
      `${packageJson.version} amd64 libc6 (>= 2.17)`,
    );
    expect(run("dpkg-deb", "--info", deb, "conffiles")).toBe("/etc/mem-agent.toml\n");
  });

  test.each(["postinst", "prerm", "postrm"])("has a %s that a shell understands", (name) => {
    run("dpkg-deb", "--control", deb, join(folder, "control"));
    expect(run("sh", "-n", join(folder, "control", name))).toBe("");
  });

  test("starts the executable where it lays it", () => {
    run("dpkg-deb", "--extract", deb, join(folder, "tree"));
    const unit = readFileSync(join(folder, "tree/usr/lib/systemd/system/mem-agent.service"), "utf8");
    expect(unit).toContain("ExecStart=/usr/bin/mem-agent serve\n");
  });

  test("is the same for the same files", async () => {
    const before = readFileSync(deb);
    await makeDeb(folder, target, await packageFiles("deb", Buffer.from("GLIBC_2.9\0GLIBC_2.17\0"), []));
    expect(readFileSync(deb).equals(before)).toBe(true);
  });
});

test("packages are named as each system names them", () => {
  const { version } = packageJson;
  const names = buildTargets.slice(0, 2).flatMap((each) => [packageName("deb", each), packageName("rpm", each)]);
  expect(names).toEqual([
    `mem-agent_${version}_amd64.deb`,
    `mem-agent-${version}-1.x86_64.rpm`,
    `mem-agent_${version}_arm64.deb`,
    `mem-agent-${version}-1.aarch64.rpm`,
  ]);
});

test("an executable without glibc asks for none", () => {
  expect(glibcNeeded(Buffer.from("musl"))).toBe(null);
});

test("releases are the parts of the changelog that have a date", () => {
  const text =
    "# Changelog\n\n## Next\n\n- x\n\n## 1.2.0 (2026-01-02)\n\n- one\n- two\n\n## 1.1.0 (2025-03-04)\n\n- three\n";
  expect(releasesOf(text)).toEqual([
    { version: "1.2.0", date: new Date("2026-01-02"), items: ["one", "two"] },
    { version: "1.1.0", date: new Date("2025-03-04"), items: ["three"] },
  ]);
});
