/**
 * Compiles mem-agent into one executable.
 *
 *     bun build.ts          dist/mem-agent for this machine
 *     bun build.ts --all    dist/mem-agent-linux-{x64,arm64}[-musl]
 *
 * Bun's runtime for another machine comes from the npm registry as well.
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

export interface BuildTarget {
  /** `linux-x64-musl`: as in the file's name. */
  readonly name: string;
  readonly arch: "x64" | "arm64";
  readonly libc: "glibc" | "musl";
}

export const buildTargets: readonly BuildTarget[] = [
  { name: "linux-x64", arch: "x64", libc: "glibc" },
  { name: "linux-arm64", arch: "arm64", libc: "glibc" },
  { name: "linux-x64-musl", arch: "x64", libc: "musl" },
  { name: "linux-arm64-musl", arch: "arm64", libc: "musl" },
];

const directory = `${import.meta.dir}/dist`;

/** Variables that make any compiled Bun program run something else, read before the first line of ours. */
const steeringVariables = ["BUN_OPTIONS", "BUN_BE_BUN"] as const;

/** The machine that this runs on; a musl system has its loader under /lib. */
export function ownTarget(): BuildTarget {
  const musl = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime;
  const libc = musl === undefined ? "musl" : "glibc";
  const own = buildTargets.find((target) => target.arch === process.arch && target.libc === libc);
  if (own === undefined) throw new Error(`cannot build for ${process.arch}: only x64 and arm64 are supported`);
  return own;
}

/**
 * Builds one executable at `outfile`.
 * @throws Error with the bundler's messages, or where the runtime no longer has the form that `forgetVariables` knows
 */
export async function buildTarget(target: BuildTarget, outfile: string): Promise<void> {
  const workshop = mkdtempSync(`${outfile}.`);
  // The bundler writes the file's name into it: it is the same for every build.
  const made = `${workshop}/mem-agent`;
  try {
    await Bun.build({
      entrypoints: [`${import.meta.dir}/src/main.ts`],
      minify: true,
      bytecode: true,
      format: "esm",
      splitting: true,
      compile: {
        target: `bun-${target.name}` as Bun.Build.CompileTarget,
        outfile: made,
        autoloadDotenv: false,
        autoloadBunfig: false,
      },
    });
    writeFileSync(made, forgetVariables(readFileSync(made)), { mode: 0o755 });
    // In one step: the file may be running, or be copied from, while it is replaced.
    renameSync(made, outfile);
  } finally {
    rmSync(workshop, { recursive: true });
  }
}

/**
 * Makes the runtime blind to the steering variables: the first byte of each name becomes NUL, and no variable's name
 * can hold one. A root service must not turn into a shell for anyone who sets its environment.
 */
export function forgetVariables(executable: Buffer): Buffer {
  const patched = Buffer.from(executable);
  for (const name of steeringVariables) {
    let count = 0;
    for (let at = patched.indexOf(name); at >= 0; at = patched.indexOf(name, at + name.length)) {
      patched[at] = 0;
      count += 1;
    }
    if (count === 0) throw new Error(`cannot make the executable ignore ${name}: the name is not in it`);
  }
  return patched;
}

/** Runs an executable of this machine with the variables set: it must answer as mem-agent, not as Bun. */
export function checkIgnoresVariables(outfile: string): void {
  const plain = Bun.spawnSync([outfile, "--version"], { env: {} });
  const version = plain.stdout.toString();
  if (!plain.success || !version.startsWith("mem-agent ")) {
    throw new Error(`cannot use ${outfile}: --version says ${JSON.stringify(version + plain.stderr.toString())}`);
  }
  for (const [name, value] of [
    ["BUN_BE_BUN", "1"],
    ["BUN_OPTIONS", "--preload=/nonexistent/preload.ts"],
  ] as const) {
    const steered = Bun.spawnSync([outfile, "--version"], { env: { [name]: value } });
    if (steered.stdout.toString() === version) continue;
    throw new Error(`cannot use ${outfile}: it obeys ${name}; see how this version of Bun reads it`);
  }
}

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.filter((arg) => arg !== "--all");
  if (unknown.length > 0) {
    console.error(`cannot build with ${unknown.join(" ")}: only --all is known`);
    return 2;
  }
  mkdirSync(directory, { recursive: true });
  const own = ownTarget();
  if (!args.includes("--all")) {
    await buildTarget(own, `${directory}/mem-agent`);
    checkIgnoresVariables(`${directory}/mem-agent`);
    console.log("dist/mem-agent");
    return 0;
  }
  for (const target of buildTargets) {
    await buildTarget(target, `${directory}/mem-agent-${target.name}`);
    if (target === own) checkIgnoresVariables(`${directory}/mem-agent-${target.name}`);
    console.log(`dist/mem-agent-${target.name}`);
  }
  return 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
