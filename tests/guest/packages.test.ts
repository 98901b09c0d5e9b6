/** The Debian package under a real dpkg and a real systemd: installed, upgraded while it runs, removed, purged. */
import { afterAll, expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownTarget } from "../../build.ts";
import { makeDeb, packageFiles } from "../support/packages.ts";
import { binary } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import type { Guest } from "./harness/guest.ts";
import {
  insideSystemd,
  serviceProperty,
  startSystemd,
  systemctl,
  systemdFiles,
  untilActive,
} from "./harness/systemd.ts";

/** dpkg, and what it insists on finding. */
const dpkgFiles = [
  ...["dpkg", "dpkg-deb", "dpkg-split", "dpkg-query", "tar"].map((name) => `/usr/bin/${name}`),
  ...["start-stop-daemon", "ldconfig"].map((name) => `/sbin/${name}`),
];
const oldVersion = "0.0.1";
const newVersion = "0.0.2";
const settings = "/etc/mem-agent.toml";

const scratch = mkdtempSync(join(tmpdir(), "mem-agent-guest-packages-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Two versions of the package with one executable, not compressed; the newer one brings another sample. */
async function bring(): Promise<Readonly<Record<string, string>>> {
  const files = await packageFiles("deb", readFileSync(binary), []);
  const newer = files.map((entry) =>
    `/${entry.path}` === settings
      ? { ...entry, bytes: Buffer.concat([entry.bytes, Buffer.from("\n# newer\n")]) }
      : entry,
  );
  const pack = (version: string, of: typeof files): Promise<string> =>
    makeDeb(scratch, ownTarget(), of, { version, compressed: false });
  return {
    ...systemdFiles,
    ...Object.fromEntries(dpkgFiles.map((path) => [path, path])),
    // For its libraries: the package lays another one where it belongs.
    "/packages/mem-agent": binary,
    "/packages/old.deb": await pack(oldVersion, files),
    "/packages/new.deb": await pack(newVersion, newer),
  };
}

/** A dpkg that knows of glibc and nothing else. */
async function startDpkg(guest: Guest): Promise<void> {
  await guest.sh(`
    mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers /var/log
    printf '%s\\n' 'Package: libc6' 'Status: install ok installed' 'Version: 2.36-9' 'Architecture: amd64' \\
      'Maintainer: nobody' 'Description: glibc' >/var/lib/dpkg/status`);
  await startSystemd(guest);
}

async function dpkg(guest: Guest, words: string): Promise<string> {
  const { status, stdout, stderr } = await guest.run(
    insideSystemd(`env PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/bin/dpkg ${words}`),
    { timeoutMs: 180_000 },
  );
  if (status !== 0) throw new Error(`dpkg ${words} ended with ${status}: ${stdout}${stderr}`);
  return stdout + stderr;
}

guestTest(
  "the Debian package is installed, upgraded while it runs, removed and purged",
  { on: "6.1", spareMiB: 400, timeoutMs: 600_000 },
  throughItsLife,
  bring,
);

async function throughItsLife(guest: Guest): Promise<void> {
  await startDpkg(guest);
  expect(await dpkg(guest, "-i /packages/old.deb")).toContain("Setting up mem-agent (0.0.1)");
  await untilActive(guest);
  expect((await guest.sh(systemctl("is-enabled mem-agent"))).trim()).toBe("enabled");
  await guest.sh("mem-agent memcgset --memcg-period-secs 345 --save");
  const pid = await serviceProperty(guest, "MainPID");

  await dpkg(guest, "--force-confold -i /packages/new.deb");
  await untilActive(guest);
  expect(await serviceProperty(guest, "MainPID")).not.toBe(pid);
  expect(await guest.sh("/usr/bin/dpkg-query -W -f '${Version}' mem-agent")).toBe(newVersion);
  expect(await guest.sh("mem-agent config show")).toMatch(/period_secs\t345\tfile/);
  // The daemon runs the new file: the old one, replaced, would be named as deleted.
  const running = "readlink /proc/$(systemctl show --value -p MainPID mem-agent)/exe";
  expect((await guest.sh(insideSystemd(`sh -c '${running}'`))).trim()).toBe("/usr/bin/mem-agent");

  await dpkg(guest, "-r mem-agent");
  expect((await guest.run("test -e /run/mem-agent.sock")).status).toBe(1);
  expect((await guest.run("test -e /usr/bin/mem-agent")).status).toBe(1);
  expect(await guest.read(settings)).toContain("period_secs = 345");

  await dpkg(guest, "-P mem-agent");
  const left = await guest.sh("find / -xdev -name '*mem-agent*' ! -path '/packages/*'");
  expect(left).toBe("");
  expect((await guest.run("/usr/bin/dpkg-query -W mem-agent")).status).toBe(1);
}

guestTest(
  "the Debian package does not start the service without pressure information, and says why",
  { on: "6.1", append: "psi=0", spareMiB: 400, timeoutMs: 600_000 },
  async (guest) => {
    await startDpkg(guest);
    const said = await dpkg(guest, "-i /packages/old.deb");
    expect(said).toContain("mem-agent: not started");
    expect(said).toContain("psi=1");
    expect((await guest.run(systemctl("is-enabled mem-agent"))).stdout).toBe("disabled\n");
    expect((await guest.run(systemctl("is-active mem-agent"))).stdout).toBe("inactive\n");
    await dpkg(guest, "-P mem-agent");
  },
  bring,
);
