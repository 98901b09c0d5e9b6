/**
 * What others have written and the executable holds: THIRD-PARTY-NOTICES for people, an SBOM (CycloneDX) for programs.
 * The packages come from package-lock.json, the versions of Bun's parts from the Bun that builds, and which parts those
 * are from LICENSE.md of its source.
 */

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { version } from "../../src/cli/version.ts";
import { releaseSecs } from "./packages.ts";
import bunParts from "./package/bun-parts.json" with { type: "json" };
import type { TarEntry } from "./tar.ts";

const root = join(import.meta.dir, "../..");
const bunSource = "https://github.com/oven-sh/bun";
const fileMode = 0o644;

interface LockedPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** The packages that are bundled: those of package-lock.json that are not only for development. */
export function bundledPackages(lock: string): readonly LockedPackage[] {
  const { packages } = JSON.parse(lock) as {
    packages: Readonly<
      Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean; version: string; license?: string }>
    >;
  };
  return Object.entries(packages)
    .filter(([path, entry]) => path !== "" && !(entry.dev ?? entry.devOptional ?? entry.optional ?? false))
    .map(([path, entry]) => ({
      name: path.replace(/^.*node_modules\//, ""),
      version: entry.version,
      license: entry.license ?? "unknown",
    }));
}

/** The commit or version of a part of Bun, null for one whose version Bun does not tell. */
function partVersion(key: string | null): string | null {
  return key === null ? null : ((process.versions as Readonly<Record<string, string>>)[key] ?? null);
}

/** The text of a package's licence. */
function licenceText(name: string): string {
  const [file] = globSync("LICEN[CS]E*", { cwd: join(root, "node_modules", name) });
  if (file === undefined) throw new Error(`cannot write notices: ${name} has no file LICENSE`);
  return readFileSync(join(root, "node_modules", name, file), "utf8").trim();
}

const rule = "-".repeat(80);

/** @param lock the text of package-lock.json */
export function noticesText(lock: string): string {
  const parts = bunParts.map(({ name, licence, source, version: key }) => {
    const commit = partVersion(key);
    return `- ${name}${commit === null ? "" : ` ${commit}`}\n  ${licence}; ${source}`;
  });
  const packages = bundledPackages(lock).map(
    ({ name, version: of, license }) => `${rule}\n${name} ${of} (${license})\n\n${licenceText(name)}\n`,
  );
  return `mem-agent ${version}: what it holds that others have written

The executable is the program, compiled together with the runtime Bun. mem-agent itself has no licence yet.

${rule}
Bun ${Bun.version}, commit ${Bun.revision} (MIT)
${bunSource}

Bun is linked statically with:

${parts.join("\n")}

JavaScriptCore and TinyCC are under the GNU Lesser General Public License: you may change them and link the executable
again. To do so:

1. git clone ${bunSource} && git -C bun checkout ${Bun.revision}
2. JavaScriptCore: git clone https://github.com/oven-sh/WebKit bun/vendor/WebKit, check out ${partVersion("webkit")},
   and change it. TinyCC: the same with https://github.com/oven-sh/tinycc, commit ${partVersion("tinycc")}, in
   bun/vendor/tinycc.
3. In bun: bun run build:local makes a Bun with your changes.
4. In the source of mem-agent: put that Bun in the place of node_modules/bun/bin/bun.exe and run npm run build. The
   executable dist/mem-agent is the new runtime with the program in it.

${packages.join("\n")}`;
}

interface BomComponent {
  readonly type: string;
  readonly name: string;
  readonly [field: string]: unknown;
}

interface Bom {
  readonly metadata: { readonly component: BomComponent; readonly [field: string]: unknown };
  readonly components: readonly BomComponent[];
  readonly [field: string]: unknown;
}

function licences(expression: string): readonly unknown[] {
  return / (?:AND|OR|WITH) /.test(expression) ? [{ expression }] : [{ license: { id: expression } }];
}

/** npm's bill of materials, with Bun and its parts, and nothing in it that differs from one call to the next. */
export function completeBom(made: Bom, secs: number): Bom {
  const components = [
    ...made.components,
    {
      "bom-ref": `bun@${Bun.version}`,
      type: "framework",
      name: "bun",
      version: Bun.version,
      scope: "required",
      purl: `pkg:github/oven-sh/bun@${Bun.revision}`,
      licenses: licences("MIT"),
      components: bunParts.map(({ name, licence, source, version: key }) => {
        const commit = partVersion(key);
        return {
          "bom-ref": `bun@${Bun.version}/${name}`,
          type: "library",
          name,
          ...(commit === null ? {} : { version: commit }),
          licenses: licences(licence),
          externalReferences: [{ type: "vcs", url: source }],
        };
      }),
    },
  ];
  const digest = new Bun.CryptoHasher("sha256").update(JSON.stringify(components)).digest("hex");
  const uuid = /^(.{8})(.{4}).(.{3}).(.{3})(.{12})/.exec(digest)?.slice(1) ?? [];
  const [low, mid, high, clock, node] = uuid;
  return {
    ...made,
    // A UUID of version 8, whose bits are ours to choose (RFC 9562, 5.8).
    serialNumber: `urn:uuid:${low}-${mid}-8${high}-8${clock}-${node}`,
    metadata: {
      ...made.metadata,
      timestamp: new Date(secs * 1000).toISOString(),
      component: { ...made.metadata.component, type: "application", name: "mem-agent" },
    },
    components,
  };
}

/** What `npm sbom` says of package-lock.json. */
function npmBom(): Bom {
  const words = ["npm", "sbom", "--sbom-format", "cyclonedx", "--package-lock-only", "--omit", "dev"];
  const { success, stdout, stderr } = Bun.spawnSync(words, { cwd: root });
  if (!success) throw new Error(`cannot make an SBOM: npm sbom failed: ${stderr.toString()}`);
  return JSON.parse(stdout.toString()) as Bom;
}

/** Both files, for archives and packages. Needs npm. */
export async function noticeFiles(): Promise<readonly TarEntry[]> {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  const bom = completeBom(npmBom(), await releaseSecs());
  return [
    { path: "THIRD-PARTY-NOTICES", bytes: Buffer.from(noticesText(lock)), mode: fileMode },
    { path: "mem-agent.cdx.json", bytes: Buffer.from(`${JSON.stringify(bom, null, 2)}\n`), mode: fileMode },
  ];
}
