/**
 * Makes the release: for each target one archive with the executable and what an installation needs beside it; Debian
 * and RPM packages, checked by lintian and rpmlint; and the checksums of all.
 *
 *     bun tests/support/release.ts     dist/release/mem-agent-VERSION-linux-ARCH-LIBC.tar.zst, .deb, .rpm, SHA256SUMS
 *
 * The same sources make the same bytes: nothing of the machine, of the time, or of a folder's order gets in.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

import { buildTarget, buildTargets, type BuildTarget } from "../../build.ts";
import bashCompletions from "../../src/cli/completions/bash.sh" with { type: "text" };
import fishCompletions from "../../src/cli/completions/fish.sh" with { type: "text" };
import zshCompletions from "../../src/cli/completions/zsh.sh" with { type: "text" };
import { binaryDefault, openrcScript, systemdUnit } from "../../src/cli/service-files.ts";
import { version } from "../../src/cli/version.ts";
import { sampleToml, settingsJsonSchema } from "../../src/config/docs.ts";
import { noticeFiles } from "./notices.ts";
import { lintPackage, makeDeb, makeRpm, packageFiles, packageKinds } from "./packages.ts";
import { makeTar, type TarEntry } from "./tar.ts";

const root = join(import.meta.dir, "../..");

/** 1980-01-01: the earliest time that every archive format can hold. */
const mtimeSecs = 315_532_800;
/** Above 19 a reader needs more than 8 MiB of memory to unpack. */
const compressionLevel = 19;
const fileMode = 0o644;
const programMode = 0o755;

/** `mem-agent-0.2.0-linux-x64-glibc` */
export function releaseName(target: BuildTarget): string {
  return `mem-agent-${version}-linux-${target.arch}-${target.libc}`;
}

/** What every archive holds beside the executable; the same for all targets. */
export async function companions(readme: string): Promise<readonly TarEntry[]> {
  const service = { binary: binaryDefault, config: null };
  const texts: readonly (readonly [path: string, text: string, mode: number])[] = [
    ["README.md", readme, fileMode],
    ["mem-agent.toml", sampleToml(), fileMode],
    ["mem-agent.schema.json", `${JSON.stringify(await settingsJsonSchema(), null, 2)}\n`, fileMode],
    ["mem-agent.service", systemdUnit(service), fileMode],
    ["mem-agent.openrc", openrcScript(service), programMode],
    ["completions/mem-agent.bash", bashCompletions, fileMode],
    ["completions/_mem-agent", zshCompletions, fileMode],
    ["completions/mem-agent.fish", fishCompletions, fileMode],
  ];
  return texts.map(([path, text, mode]) => ({ path, bytes: Buffer.from(text), mode }));
}

/** The archive of one target, not yet compressed: everything in one folder of its name. */
export function releaseTar(target: BuildTarget, executable: Uint8Array, beside: readonly TarEntry[]): Buffer {
  const entries = [{ path: "mem-agent", bytes: executable, mode: programMode }, ...beside];
  return makeTar(
    entries.map((entry) => ({ ...entry, path: `${releaseName(target)}/${entry.path}` })),
    mtimeSecs,
  );
}

/** As `sha256sum` writes it and `sha256sum -c` reads it. */
export function checksumLine(name: string, bytes: Uint8Array): string {
  return `${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}  ${name}\n`;
}

/** Writes the compressed archive and returns its line of checksums. */
async function pack(folder: string, target: BuildTarget, tar: Buffer): Promise<string> {
  const name = `${releaseName(target)}.tar.zst`;
  const packed = await Bun.zstdCompress(tar, { level: compressionLevel });
  writeFileSync(join(folder, name), packed);
  return told(name, packed);
}

function told(name: string, bytes: Uint8Array): string {
  console.log(`dist/release/${name}  ${(bytes.length / 2 ** 20).toFixed(1)} MiB`);
  return checksumLine(name, bytes);
}

/** Makes and checks the packages of one target and returns their lines of checksums. */
async function packages(
  folder: string,
  target: BuildTarget,
  executable: Uint8Array,
  notices: readonly TarEntry[],
): Promise<string> {
  let sums = "";
  for (const kind of packageKinds) {
    const files = await packageFiles(kind, executable, notices);
    const path = await (kind === "deb" ? makeDeb : makeRpm)(folder, target, files);
    await lintPackage(kind, path);
    sums += told(basename(path), readFileSync(path));
  }
  return sums;
}

async function main(args: readonly string[]): Promise<number> {
  if (args.length > 0) {
    console.error(`cannot make a release with ${args.join(" ")}: it takes no arguments`);
    return 2;
  }
  const folder = join(root, "dist/release");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const notices = await noticeFiles();
  const beside = [...(await companions(readFileSync(join(root, "README.md"), "utf8"))), ...notices];
  const draft = join(folder, "mem-agent");
  // Packing takes a minute each: it goes on in the background while the next one is built.
  const packing: Promise<string>[] = [];
  for (const target of buildTargets) {
    await buildTarget(target, draft);
    const executable = readFileSync(draft);
    packing.push(pack(folder, target, releaseTar(target, executable, beside)));
    if (target.libc === "glibc") packing.push(packages(folder, target, executable, notices));
  }
  rmSync(draft);
  writeFileSync(join(folder, "SHA256SUMS"), (await Promise.all(packing)).join(""));
  console.log("dist/release/SHA256SUMS");
  console.log("The tests run the files for x64 with glibc. Those for arm64 and musl were built and never tested.");
  return 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
