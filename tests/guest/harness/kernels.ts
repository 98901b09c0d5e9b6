/**
 * Kernels for the guests: Debian's cloud kernels, fetched with apt from the mirror that this machine is set up with.
 *
 * A kernel lies unpacked in the cache folder, outside the tree, and is found there by every later run. Nothing of the
 * machine's own package state is read or changed: apt gets a private sources file and private list folders, and
 * checks signatures and hashes as it always does.
 */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { Fault } from "../../../src/base/fault.ts";
import { checked } from "./commands.ts";

/** The kernels that the tests know, oldest first, by the Debian suite that carries them. */
export const kernelSuites = {
  "6.1": "bookworm",
  "6.12": "bookworm-backports",
  "7.2": "sid",
} as const satisfies Record<string, string>;

export type KernelName = keyof typeof kernelSuites;

export const kernelNames = Object.keys(kernelSuites) as readonly KernelName[];

export interface Kernel {
  readonly name: KernelName;
  /** As `uname -r` prints it, such as `6.1.0-50-cloud-amd64`. */
  readonly release: string;
  /** Path of the bootable image. */
  readonly image: string;
  /** Folder that holds `kernel/…/*.ko`, possibly compressed. */
  readonly modules: string;
}

/** Set to 1 by `npm test -- --all`: each test on every kernel that it can run on. */
export const allKernelsVariable = "MEM_AGENT_GUEST_ALL";
const chosenVariable = "MEM_AGENT_GUEST_KERNELS";

/**
 * The kernels that MEM_AGENT_GUEST_KERNELS names (`6.1,7.2`), or all.
 *
 * @throws Fault `invalid` that names every unknown one.
 */
export function chosenKernels(environment: Environment): readonly KernelName[] {
  const wanted = environment[chosenVariable] ?? "";
  if (wanted.trim() === "") return kernelNames;
  const names = wanted.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !isKernelName(name));
  if (unknown.length > 0) {
    throw new Fault(
      "invalid",
      `cannot choose kernels ${unknown.join(", ")}: unknown; set ${chosenVariable} to some of ${kernelNames.join(",")}`,
    );
  }
  return names.filter(isKernelName);
}

export interface KernelNeeds {
  /** Those that a test can run on; all by default. */
  readonly kernels?: readonly KernelName[];
  /** What it shows does not differ between kernels: one is enough, and the tests are spread over all three. */
  readonly on?: KernelName;
}

/** Where a test runs: on those that are chosen by name, else on its one, else (and for a release) wherever it can. */
export function kernelsOf({ kernels = kernelNames, on }: KernelNeeds, environment: Environment): readonly KernelName[] {
  const isFree = (environment[chosenVariable] ?? "").trim() === "" && environment[allKernelsVariable] !== "1";
  if (on !== undefined && isFree) return [on];
  return chosenKernels(environment).filter((kernel) => kernels.includes(kernel));
}

type Environment = Readonly<Record<string, string | undefined>>;

function isKernelName(name: string): name is KernelName {
  return Object.hasOwn(kernelSuites, name);
}

/** Where fetched and built things live between runs: outside the tree, so that a fresh clone finds them. */
export function cacheFolder(environment: Environment = process.env): string {
  const base = environment["XDG_CACHE_HOME"];
  return join(base === undefined || base === "" ? join(homedir(), ".cache") : base, "mem-agent");
}

/**
 * The unpacked kernel, from the cache or fetched into it. Two processes may ask at once: each unpacks into a folder
 * of its own, and the first to rename it into place wins.
 *
 * @throws Fault `missing` when no mirror is configured, `io` when apt or dpkg fail; both carry their output.
 */
export async function findKernel(name: KernelName): Promise<Kernel> {
  const home = join(cacheFolder(), "kernels");
  const folder = join(home, name);
  if (!existsSync(folder)) {
    mkdirSync(home, { recursive: true });
    const scratch = mkdtempSync(join(home, `.fetch-${name}-`));
    try {
      await fetchKernel(name, scratch);
      moveIntoPlace(join(scratch, "root"), folder);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
  return describeKernel(name, folder);
}

/** Renames unless another process was first; then its result stands, which is as good as ours. */
export function moveIntoPlace(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

function describeKernel(name: KernelName, folder: string): Kernel {
  const modulesHome = ["usr/lib/modules", "lib/modules"].map((part) => join(folder, part)).find(existsSync);
  const release = modulesHome === undefined ? undefined : readdirSync(modulesHome)[0];
  const image = [`boot/vmlinuz-${release}`, `usr/lib/modules/${release}/vmlinuz`]
    .map((part) => join(folder, part))
    .find(existsSync);
  if (modulesHome === undefined || release === undefined || image === undefined) {
    throw new Fault("malformed", `cannot use the kernel in ${folder}: no image or no modules; remove that folder`);
  }
  return { name, release, image, modules: join(modulesHome, release) };
}

async function fetchKernel(name: KernelName, scratch: string): Promise<void> {
  const suite = kernelSuites[name];
  console.error(`guest: fetching kernel ${name} from ${suite}`);
  const apt = preparedApt(suite, scratch);
  await checked(["apt-get", ...apt, "update"], scratch);
  const { out: shown } = await checked(["apt-cache", ...apt, "show", "linux-image-cloud-amd64"], scratch);
  const release = releaseOfMetapackage(shown);
  if (release === null) {
    throw new Fault(
      "malformed",
      `cannot find kernel ${name} in ${suite}: its metapackage names no image; see ${shown}`,
    );
  }
  if (!release.startsWith(`${name}.`)) {
    console.error(`guest: ${suite} carries ${release} now; it stands in for ${name}`);
  }
  // sid splits the kernel into an image that only depends, a binary and the modules; older suites have one package.
  const { out: known } = await checked(["apt-cache", ...apt, "pkgnames", "linux-"], scratch);
  const parts = packagesOfRelease(known.split("\n"), release);
  await checked(["apt-get", ...apt, "download", ...parts], scratch);
  const root = join(scratch, "root");
  mkdirSync(root);
  for (const file of readdirSync(scratch).filter((entry) => entry.endsWith(".deb"))) {
    await checked(["dpkg", "-x", join(scratch, file), root], scratch);
  }
}

/** `Depends: linux-image-6.1.0-50-cloud-amd64 (= …)` gives `6.1.0-50-cloud-amd64`. */
export function releaseOfMetapackage(shown: string): string | null {
  return /^Depends:.*\blinux-image-(\d\S*-cloud-amd64)\b/m.exec(shown)?.[1] ?? null;
}

/** Of all package names, those that hold the image and the modules of one release. */
export function packagesOfRelease(known: readonly string[], release: string): readonly string[] {
  const parts = ["linux-image", "linux-binary", "linux-modules"].map((kind) => `${kind}-${release}`);
  return parts.filter((part) => known.includes(part));
}

/** Writes a sources file for one suite below `scratch` and returns the options that confine apt to it. */
function preparedApt(suite: string, scratch: string): readonly string[] {
  const mirror = configuredMirror("/etc/apt");
  const signedBy = mirror.signedBy === null ? "" : ` signed-by=${mirror.signedBy}`;
  const sources = join(scratch, "sources.list");
  writeFileSync(sources, `deb [arch=amd64${signedBy}] ${mirror.uri} ${suite} main\n`);
  for (const part of ["lists/partial", "archives/partial"]) mkdirSync(join(scratch, part), { recursive: true });
  const options = {
    "Dir::Etc::sourcelist": sources,
    "Dir::Etc::sourceparts": "/nonexistent",
    "Dir::State::Lists": join(scratch, "lists"),
    "Dir::Cache": scratch,
    // The scratch folder belongs to us; apt's own user could not write into it.
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
  };
  return Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
}

export interface Mirror {
  readonly uri: string;
  /** Path of the key ring, or null where apt's own trusted keys are meant. */
  readonly signedBy: string | null;
}

/**
 * The mirror that this machine installs Debian's main archive from.
 *
 * @param folder `/etc/apt`, or a tree like it.
 * @throws Fault `missing` when none of its sources is a Debian archive.
 */
export function configuredMirror(folder: string): Mirror {
  const parts = join(folder, "sources.list.d");
  const files = [
    join(folder, "sources.list"),
    ...(existsSync(parts) ? readdirSync(parts).toSorted() : []).map((file) => join(parts, file)),
  ];
  for (const file of files.filter((path) => existsSync(path))) {
    const text = readFileSync(file, "utf8");
    const found = file.endsWith(".sources")
      ? mirrorInStanzas(text)
      : file.endsWith(".list")
        ? mirrorInLines(text)
        : null;
    if (found !== null) return found;
  }
  throw new Fault(
    "missing",
    `cannot find a Debian mirror: no source in ${folder} has ${[...mainSuites].join(", ")}; add one`,
  );
}

/** A mirror that carries one of these carries backports and sid beside it; a security archive does not. */
const mainSuites: ReadonlySet<string> = new Set([
  "bookworm",
  "trixie",
  "forky",
  "stable",
  "testing",
  "unstable",
  "sid",
]);

function mirrorInStanzas(text: string): Mirror | null {
  for (const stanza of text.replaceAll(/^#.*\n/gm, "").split(/\n\s*\n/)) {
    const field = (name: string): string | null =>
      new RegExp(`^${name}:[ \\t]*(.+)$`, "im").exec(stanza)?.[1]?.trim() ?? null;
    const uri = field("URIs")?.split(/\s+/)[0];
    const suites = field("Suites")?.split(/\s+/) ?? [];
    if (uri === undefined || field("Enabled") === "no" || !suites.some((suite) => mainSuites.has(suite))) continue;
    const signedBy = field("Signed-By");
    return { uri, signedBy: signedBy?.startsWith("/") === true ? signedBy : null };
  }
  return null;
}

function mirrorInLines(text: string): Mirror | null {
  for (const line of text.split("\n")) {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s/.exec(`${line} `);
    const [, options = "", uri, suite] = match ?? [];
    if (uri === undefined || suite === undefined || !mainSuites.has(suite)) continue;
    return { uri, signedBy: /\bsigned-by=(\/\S+)/.exec(options)?.[1] ?? null };
  }
  return null;
}

if (import.meta.main) {
  for (const name of process.argv.length > 2
    ? process.argv.slice(2).filter(isKernelName)
    : chosenKernels(process.env)) {
    console.log(await findKernel(name));
  }
}
