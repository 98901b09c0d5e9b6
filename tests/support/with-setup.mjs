/**
 * Runs one of the project's verbs on a machine that may have nothing but Node: installs the packages of
 * package-lock.json and, where guests are booted, what Debian packages they need; then hands over to Bun.
 *
 *     node tests/support/with-setup.mjs test --only unit
 *
 * What it cannot install it names, one line each with what to do, and ends with status 1.
 */

import { spawn, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, linkSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";

const root = join(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../..");

/** What Bun runs for a verb, and which Debian packages that needs. */
const verbs = {
  build: { command: ["build.ts"], needs: [] },
  release: { command: ["tests/support/release.ts"], needs: ["packages"] },
  check: { command: ["tests/run.ts", "--only", "format,lint,types,house,unit"], needs: [] },
  test: { command: ["tests/run.ts"], needs: ["guest", "checkers"] },
  demo: { command: ["tests/guest/demo.ts"], needs: ["guest"] },
  bench: { command: ["tests/bench/bench.ts"], needs: ["guest"] },
  soak: { command: ["tests/guest/soak.ts"], needs: ["guest"] },
  capture: { command: ["tests/guest/capture.ts"], needs: ["guest"] },
};

/** Debian packages by what they are needed for. `present` says whether the machine has what the package brings. */
const debianPackages = [
  { name: "qemu-system-x86", need: "guest", present: () => onPath("qemu-system-x86_64") },
  { name: "busybox-static", need: "guest", present: () => isStatic("/bin/busybox") },
  { name: "e2fsprogs", need: "guest", present: () => onPath("mkfs.ext4") },
  { name: "gcc", need: "guest", present: () => onPath("gcc") },
  { name: "libc6-dev", need: "guest", present: () => existsSync("/usr/lib/x86_64-linux-gnu/libc.a") },
  {
    name: "debian-archive-keyring",
    need: "guest",
    present: () => existsSync("/usr/share/keyrings/debian-archive-keyring.gpg"),
  },
  { name: "systemd", need: "checkers", present: () => onPath("systemd-analyze") },
  { name: "prometheus", need: "checkers", present: () => onPath("promtool") },
  { name: "zsh", need: "checkers", present: () => onPath("zsh") },
  { name: "fish", need: "checkers", present: () => onPath("fish") },
  { name: "man-db", need: "checkers", present: () => onPath("man") },
  { name: "mandoc", need: "checkers", present: () => onPath("mandoc") },
  { name: "rpm", need: "packages", present: () => onPath("rpmbuild") },
  { name: "rpmlint", need: "packages", present: () => onPath("rpmlint") },
  { name: "lintian", need: "packages", present: () => onPath("lintian") },
];

function onPath(program) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => existsSync(join(folder, program)));
}

function isStatic(program) {
  if (!existsSync(program)) return false;
  // ldd fails on a program without libraries.
  return spawnSync("ldd", [program], { stdio: "ignore" }).status !== 0;
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function stop(...lines) {
  for (const line of lines) say(line);
  process.exit(1);
}

function installNodeModules() {
  const lock = join(root, "package-lock.json");
  const installed = join(root, "node_modules/.package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  say("installing the packages of package-lock.json");
  // The lock file's versions and hashes hold here as with `npm ci`. That one refuses a lock file without the packages
  // for every other platform, and not every registry carries those, so the lock file cannot name them.
  const { status } = spawnSync("npm", ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (status !== 0) stop("cannot install packages: npm failed, see above; mend that and run this again");
  // npm leaves its record alone where nothing had to change.
  utimesSync(installed, new Date(), new Date());
}

/** Path of Bun. Its package puts a stub where the executable belongs until an install script has run. */
function findBun() {
  const expected = join(root, "node_modules/bun/bin/bun.exe");
  if (isExecutableOfBun(expected)) return expected;
  const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? "-musl" : "";
  const arch = process.arch === "arm64" ? "aarch64" : process.arch;
  const shipped = join(root, `node_modules/@oven/bun-${process.platform}-${arch}${libc}/bin/bun`);
  if (!isExecutableOfBun(shipped)) {
    stop(`cannot find Bun for ${process.platform} ${process.arch}: not in node_modules; remove node_modules and retry`);
  }
  rmSync(expected, { force: true });
  try {
    linkSync(shipped, expected);
  } catch {
    copyFileSync(shipped, expected);
  }
  chmodSync(expected, 0o755);
  return expected;
}

/** The stub is a few hundred bytes of shell; the executable some 100 MB. */
function isExecutableOfBun(path) {
  return existsSync(path) && statSync(path).size > 2 ** 20;
}

function aptGet(...words) {
  spawnSync("apt-get", ["-y", "-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300", ...words], {
    stdio: ["ignore", 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}

function installDebianPackages(needs) {
  const missing = debianPackages.filter((entry) => needs.includes(entry.need) && !entry.present());
  if (missing.length === 0) return;
  const names = missing.map((entry) => entry.name);
  if (process.getuid?.() !== 0 || !onPath("apt-get")) {
    const why = onPath("apt-get") ? "not root" : "no apt-get here";
    stop(...names.map((name) => `cannot install ${name}: ${why}; run: sudo apt-get install ${name}`));
  }
  say(`installing ${names.join(" ")}`);
  // The lists may be old or missing; where they cannot be had, the install itself says so.
  aptGet("update");
  aptGet("install", "--no-install-recommends", ...names);
  const still = missing.filter((entry) => !entry.present()).map((entry) => entry.name);
  if (still.length > 0) stop(...still.map((name) => `cannot install ${name}: apt-get failed, see above; install it`));
}

function removeStaleDrafts() {
  // `bun build --compile` that was killed leaves these, 100 MB each, where it ran.
  for (const name of readdirSync(root)) if (name.endsWith(".bun-build")) rmSync(join(root, name), { force: true });
}

const [name = "", ...words] = process.argv.slice(2);
const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
if (verb === undefined) stop(`cannot do "${name}": unknown; use one of ${Object.keys(verbs).join(" ")}`);

installNodeModules();
const bun = findBun();
installDebianPackages(verb.needs);
removeStaleDrafts();

const child = spawn(bun, [...verb.command, ...words], { cwd: root, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (status, signal) => process.exit(status ?? 128 + constants.signals[signal]));
