/**
 * Debian and RPM packages: the executable, its unit, the sample of its settings, man pages, completions, notices.
 *
 * The same files make the same package: times come from the release's date, owners and order are fixed.
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import type { BuildTarget } from "../../build.ts";
import bashCompletions from "../../src/cli/completions/bash.sh" with { type: "text" };
import fishCompletions from "../../src/cli/completions/fish.sh" with { type: "text" };
import zshCompletions from "../../src/cli/completions/zsh.sh" with { type: "text" };
import { program } from "../../src/cli/commands.ts";
import { latestRelease, manPage } from "../../src/cli/man-pages.ts";
import { systemdUnit } from "../../src/cli/service-files.ts";
import { version } from "../../src/cli/version.ts";
import { sampleToml } from "../../src/config/docs.ts";
import { pageText } from "../../src/manual/pages.ts";
import postinst from "./package/postinst.sh" with { type: "text" };
import postrm from "./package/postrm.sh" with { type: "text" };
import prerm from "./package/prerm.sh" with { type: "text" };
import serviceFunctions from "./package/service.sh" with { type: "text" };
import type { TarEntry } from "./tar.ts";

export const packageKinds = ["deb", "rpm"] as const;
export type PackageKind = (typeof packageKinds)[number];

const architectures: Readonly<Record<PackageKind, Readonly<Record<BuildTarget["arch"], string>>>> = {
  deb: { x64: "amd64", arm64: "arm64" },
  rpm: { x64: "x86_64", arm64: "aarch64" },
};

/** Nobody reads mail there: a real address is for whoever publishes the packages to set. */
const maintainer = "mem-agent maintainers <maintainers@mem-agent.invalid>";
const summary = "gives memory of a Linux guest back to its host";
const description = [
  "mem-agent finds memory that a Linux guest has not used for some time, evicts",
  "it, and compacts what is free, so that the host can have it back. Pressure",
  "stall information keeps it from hurting the workloads.",
];
/** The owner has chosen no licence yet, and no package may claim one. */
const licence = "none yet";
const licenceText = `mem-agent has no licence yet: that is its owner's decision. Until there is one, nothing grants you the right to
redistribute it. THIRD-PARTY-NOTICES names what it is built with, and the licences of that.
`;

/** What lintian and rpmlint would say, and why it is left. */
const overridesPath = join(import.meta.dir, "package/lintian-overrides");
const rpmlintrcPath = join(import.meta.dir, "package/rpmlintrc");

const fileMode = 0o644;
const programMode = 0o755;
const settingsPath = "etc/mem-agent.toml";

/** `mem-agent_0.2.0_amd64.deb`, `mem-agent-0.2.0-1.x86_64.rpm` */
export function packageName(kind: PackageKind, { arch }: BuildTarget, of = version): string {
  const name = architectures[kind][arch];
  return kind === "deb" ? `mem-agent_${of}_${name}.deb` : `mem-agent-${of}-1.${name}.rpm`;
}

/** Seconds since 1970 of the release's day. */
export async function releaseSecs(): Promise<number> {
  const release = latestRelease(await pageText("changelog"));
  if (release === null) throw new Error("the changelog names no release with its date");
  return Date.parse(`${release.date}T00:00:00Z`) / 1000;
}

function textEntry(path: string, text: string, mode = fileMode): TarEntry {
  return { path, bytes: Buffer.from(text), mode };
}

function packedEntry(path: string, text: string): TarEntry {
  return { path: `${path}.gz`, bytes: Bun.gzipSync(Buffer.from(text), { level: 9 }), mode: fileMode };
}

/**
 * What a package lays into the file system, paths from its root.
 *
 * @param notices what lies beside the copyright file
 */
export async function packageFiles(
  kind: PackageKind,
  executable: Uint8Array,
  notices: readonly TarEntry[],
): Promise<readonly TarEntry[]> {
  const share = "usr/share";
  const documents = `${share}/doc/mem-agent`;
  const zsh = kind === "deb" ? "vendor-completions" : "site-functions";
  const changelog = await pageText("changelog");
  return [
    { path: "usr/bin/mem-agent", bytes: executable, mode: programMode },
    textEntry(settingsPath, sampleToml()),
    textEntry("usr/lib/systemd/system/mem-agent.service", systemdUnit({ binary: "/usr/bin/mem-agent", config: null })),
    textEntry(`${share}/bash-completion/completions/mem-agent`, bashCompletions),
    textEntry(`${share}/zsh/${zsh}/_mem-agent`, zshCompletions),
    textEntry(`${share}/fish/vendor_completions.d/mem-agent.fish`, fishCompletions),
    packedEntry(`${share}/man/man8/mem-agent.8`, await manPage(program, "8")),
    packedEntry(`${share}/man/man5/mem-agent.toml.5`, await manPage(program, "5")),
    ...notices.map((entry) => ({ ...entry, path: `${documents}/${entry.path}` })),
    textEntry(`${documents}/copyright`, licenceText),
    ...(kind === "deb"
      ? [
          packedEntry(`${documents}/changelog`, debianChangelog(changelog)),
          textEntry(`${share}/lintian/overrides/mem-agent`, readFileSync(overridesPath, "utf8")),
        ]
      : [textEntry(`${documents}/changelog.md`, changelog)]),
  ];
}

interface ChangelogRelease {
  readonly version: string;
  readonly date: Date;
  readonly items: readonly string[];
}

/** The releases of src/manual/changelog.md that have a date, newest first. */
export function releasesOf(changelog: string): readonly ChangelogRelease[] {
  return changelog.split(/^## /m).flatMap((part) => {
    const [, name, day] = /^(\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2})\)\n/.exec(part) ?? [];
    if (name === undefined || day === undefined) return [];
    const items = part.split("\n").flatMap((line) => (line.startsWith("- ") ? [line.slice(2)] : []));
    return [{ version: name, date: new Date(`${day}T00:00:00Z`), items }];
  });
}

/** deb-changelog(5) */
function debianChangelog(changelog: string): string {
  return releasesOf(changelog)
    .map(({ version: name, date, items }) => {
      const lines = items.map((item) => `  * ${wrapped(item, 76).join("\n    ")}`);
      const when = date.toUTCString().replace("GMT", "+0000");
      return `mem-agent (${name}) unstable; urgency=medium\n\n${lines.join("\n")}\n\n -- ${maintainer}  ${when}\n`;
    })
    .join("\n");
}

function wrapped(text: string, columns: number): readonly string[] {
  return text.match(new RegExp(`.{1,${columns}}(?= |$)|\\S+`, "g"))?.map((line) => line.trim()) ?? [];
}

/** The newest version of glibc that the executable asks for, `2.17`; null for one that asks for none. */
export function glibcNeeded(executable: Buffer): string | null {
  const minors = Array.from(executable.toString("latin1").matchAll(/GLIBC_2\.(\d+)\0/g), ([, minor]) => Number(minor));
  return minors.length === 0 ? null : `2.${Math.max(...minors)}`;
}

async function command(words: readonly string[], environment: Readonly<Record<string, string>>): Promise<string> {
  const child = Bun.spawn([...words], {
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C.UTF-8", ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, complaints, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status !== 0)
    throw new Error(`cannot make or check a package: ${words[0]} ended with ${status}: ${complaints}${out}`);
  return out;
}

function writeTree(folder: string, files: readonly TarEntry[], secs: number): void {
  for (const { path, bytes, mode } of files) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    writeFileSync(target, bytes, { mode });
    utimesSync(target, secs, secs);
  }
}

function scriptOf(body: string): string {
  return `#!/bin/sh\nset -e\n\n${serviceFunctions}\n${body}`;
}

function md5sums(files: readonly TarEntry[]): string {
  return files
    .filter(({ path }) => path !== settingsPath)
    .map(({ path, bytes }) => `${new Bun.CryptoHasher("md5").update(bytes).digest("hex")}  ${path}\n`)
    .join("");
}

function debControl(target: BuildTarget, files: readonly TarEntry[], name: string): string {
  const bytes = files.reduce((sum, entry) => sum + entry.bytes.length, 0);
  const executable = files.find(({ path }) => path === "usr/bin/mem-agent");
  const glibc = executable === undefined ? null : glibcNeeded(Buffer.from(executable.bytes));
  return [
    "Package: mem-agent",
    `Version: ${name}`,
    `Architecture: ${architectures.deb[target.arch]}`,
    `Maintainer: ${maintainer}`,
    `Installed-Size: ${Math.ceil(bytes / 1024)}`,
    ...(glibc === null ? [] : [`Depends: libc6 (>= ${glibc})`]),
    "Section: admin",
    "Priority: optional",
    `Description: ${summary}`,
    ...description.map((line) => ` ${line}`),
    " .",
    " The project has no licence yet: see the file copyright.",
    "",
  ].join("\n");
}

/**
 * Has lintian or rpmlint check a package.
 * @throws Error with what it says, where that has an error
 */
export async function lintPackage(kind: PackageKind, path: string): Promise<void> {
  await command(
    kind === "deb" ? ["lintian", "--fail-on", "error", path] : ["rpmlint", "--rpmlintrc", rpmlintrcPath, path],
    {},
  );
}

export interface DebOptions {
  /** The version that it claims. */
  readonly version: string;
  readonly compressed: boolean;
}

/** Writes `mem-agent_VERSION_ARCH.deb` into the folder and returns its path. Needs dpkg-deb. */
export async function makeDeb(
  folder: string,
  target: BuildTarget,
  files: readonly TarEntry[],
  options: DebOptions = { version, compressed: true },
): Promise<string> {
  const secs = await releaseSecs();
  const tree = mkdtempSync(join(tmpdir(), "mem-agent-deb-"));
  try {
    writeTree(
      tree,
      [
        ...files,
        textEntry("DEBIAN/control", debControl(target, files, options.version)),
        textEntry("DEBIAN/conffiles", `/${settingsPath}\n`),
        textEntry("DEBIAN/md5sums", md5sums(files)),
        textEntry("DEBIAN/postinst", scriptOf(postinst), programMode),
        textEntry("DEBIAN/prerm", scriptOf(prerm), programMode),
        textEntry("DEBIAN/postrm", scriptOf(postrm), programMode),
      ],
      secs,
    );
    const path = join(folder, packageName("deb", target, options.version));
    await command(["chmod", "-R", "u=rwX,go=rX", tree], {});
    // lintian accepts no zstd; xz takes 28 s for the executable on a busy core at level 1, and 65 s at level 4 for 9 % less.
    const compression = options.compressed ? ["-Zxz", "-z1"] : ["-Znone"];
    await command(["dpkg-deb", "--build", "--root-owner-group", ...compression, tree, path], {
      SOURCE_DATE_EPOCH: String(secs),
    });
    return path;
  } finally {
    rmSync(tree, { recursive: true });
  }
}

/** `Sat Nov 28 2026` */
function specDay(date: Date): string {
  const [weekday = "", day = "", month = "", year = ""] = date.toUTCString().replace(",", "").split(" ");
  return `${weekday} ${month} ${day} ${year}`;
}

function specSection(name: string, body: string): readonly string[] {
  return [`%${name}`, serviceFunctions, body, ""];
}

/** The spec of a package whose files are ready in `tree`: nothing is compiled, stripped or searched. */
async function rpmSpec(files: readonly TarEntry[], tree: string): Promise<string> {
  const listed = files.map(({ path }) => {
    const kind = path === settingsPath ? "%config(noreplace) " : /^usr\/share\/(?:doc|man)\//.test(path) ? "%doc " : "";
    return `${kind}/${path}`;
  });
  return [
    "Name: mem-agent",
    `Version: ${version}`,
    "Release: 1",
    `Summary: ${summary.charAt(0).toUpperCase()}${summary.slice(1)}`,
    `License: ${licence}`,
    `Packager: ${maintainer}`,
    "Group: System/Base",
    "",
    "%global debug_package %{nil}",
    "%global __os_install_post %{nil}",
    "%global _build_id_links none",
    "",
    "%description",
    ...description,
    "",
    "%install",
    `cp -a ${tree}/. %{buildroot}`,
    "",
    ...specSection("post", 'if [ "$1" = 1 ]; then start_if_possible; fi'),
    ...specSection("preun", 'if [ "$1" = 0 ]; then stop; fi'),
    ...specSection("postun", 'if [ "$1" = 0 ]; then forget; else restart_if_running; fi'),
    "%files",
    ...listed,
    "%dir /usr/share/doc/mem-agent",
    "",
    "%changelog",
    ...releasesOf(await pageText("changelog")).map(
      ({ version: name, date, items }) =>
        `* ${specDay(date)} ${maintainer} - ${name}-1\n${items.map((item) => `- ${wrapped(item, 76).join("\n  ")}`).join("\n")}\n`,
    ),
  ].join("\n");
}

/** Writes `mem-agent-VERSION-1.ARCH.rpm` into the folder and returns its path. Needs rpmbuild. */
export async function makeRpm(folder: string, target: BuildTarget, files: readonly TarEntry[]): Promise<string> {
  const secs = await releaseSecs();
  const workshop = mkdtempSync(join(tmpdir(), "mem-agent-rpm-"));
  try {
    const tree = join(workshop, "tree");
    writeTree(tree, files, secs);
    const spec = join(workshop, "mem-agent.spec");
    writeFileSync(spec, await rpmSpec(files, tree));
    const defines = {
      _topdir: workshop,
      _rpmdir: folder,
      _rpmfilename: "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
      _buildhost: "localhost",
      _binary_payload: "w9.zstdio",
      use_source_date_epoch_as_buildtime: "1",
      clamp_mtime_to_source_date_epoch: "1",
    };
    const words = Object.entries(defines).flatMap(([name, value]) => ["--define", `${name} ${value}`]);
    await command(["rpmbuild", "-bb", "--target", `${architectures.rpm[target.arch]}-linux`, ...words, spec], {
      SOURCE_DATE_EPOCH: String(secs),
      HOME: workshop,
    });
    return join(folder, packageName("rpm", target));
  } finally {
    rmSync(workshop, { recursive: true });
  }
}
