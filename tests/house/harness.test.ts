/** The parts of the guest harness that need no guest. */

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { cpioArchive, dependenciesOf } from "../guest/harness/initramfs.ts";
import {
  cacheFolder,
  chosenKernels,
  configuredMirror,
  kernelsOf,
  packagesOfRelease,
  releaseOfMetapackage,
  type Mirror,
} from "../guest/harness/kernels.ts";
import { parsePortLine } from "../guest/harness/port.ts";
import { qemuCommand } from "../guest/harness/qemu.ts";

const scratch = mkdtempSync(join(tmpdir(), "mem-agent-house-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("the kernels that a test runs on", () => {
  const named = { MEM_AGENT_GUEST_KERNELS: "6.12, 6.1" };
  const all = { MEM_AGENT_GUEST_ALL: "1" };
  test.each([
    ["all by default", {}, {}, ["6.1", "6.12", "7.2"]],
    ["those that it can", { kernels: ["6.12", "7.2"] as const }, {}, ["6.12", "7.2"]],
    ["its one", { on: "6.12" as const }, {}, ["6.12"]],
    ["its one, in CI as well", { on: "6.12" as const }, { CI: "true" }, ["6.12"]],
    ["all that it can, for a release", { on: "7.2", kernels: ["6.12", "7.2"] } as const, all, ["6.12", "7.2"]],
    ["those that are named, though it needs one", { on: "7.2" as const }, named, ["6.12", "6.1"]],
    ["of those that are named, what it can", { kernels: ["6.1", "7.2"] as const }, named, ["6.1"]],
    ["nothing named", { on: "7.2" as const }, { MEM_AGENT_GUEST_KERNELS: "" }, ["7.2"]],
  ])("%s", (_, needs, environment, kernels) => {
    expect(kernelsOf(needs, environment).join()).toBe(kernels.join());
  });

  test("an unknown one is named", () => {
    expect(() => chosenKernels({ MEM_AGENT_GUEST_KERNELS: "6.1,5.4,toString" })).toThrow("5.4, toString");
  });
});

function mirrorFrom(name: string, file: string, text: string): Mirror {
  const folder = join(scratch, name);
  mkdirSync(join(folder, "sources.list.d"), { recursive: true });
  writeFileSync(join(folder, file), text);
  return configuredMirror(folder);
}

function encoded(value: string): string {
  return Buffer.from(value).toString("base64");
}

describe("the mirror that apt is set up with", () => {
  test.each([
    [
      "stanzas",
      "sources.list.d/debian.sources",
      "Types: deb\nURIs: http://a.test/security\nSuites: bookworm-security\n\n" +
        "Types: deb\n# URIs: http://b.test/old\nURIs: http://c.test/debian\nSuites: bookworm bookworm-updates\n" +
        "Components: main\nSigned-By: /usr/share/keyrings/a.gpg\n",
      { uri: "http://c.test/debian", signedBy: "/usr/share/keyrings/a.gpg" },
    ],
    [
      "disabled",
      "sources.list.d/debian.sources",
      "URIs: http://a.test/debian\nSuites: sid\nEnabled: no\n\nURIs: http://b.test/debian\nSuites: trixie\n",
      { uri: "http://b.test/debian", signedBy: null },
    ],
    [
      "lines",
      "sources.list",
      "# deb http://a.test/debian bookworm main\ndeb-src http://b.test/debian bookworm main\n" +
        "deb [arch=amd64 signed-by=/k.gpg] http://c.test/debian bookworm main\n",
      { uri: "http://c.test/debian", signedBy: "/k.gpg" },
    ],
  ])("%s", (name, file, text, expected) => {
    expect(mirrorFrom(name, file, text)).toEqual(expected);
  });

  test("none", () => {
    expect(() => mirrorFrom("none", "sources.list.d/x.list", "deb http://a.test/x stable-tools main\n")).toThrow(
      "cannot find a Debian mirror",
    );
  });
});

test("the release and its packages are found by the metapackage", () => {
  const shown =
    "Package: x\nDepends: linux-base-cloud-amd64 (= 7), linux-image-7.2.13+deb14-cloud-amd64 (= 7.2.13-1)\n";
  const release = releaseOfMetapackage(shown) ?? "";
  expect(release).toBe("7.2.13+deb14-cloud-amd64");
  expect(releaseOfMetapackage("Depends: linux-image-amd64\n")).toBeNull();
  const known = [`linux-image-${release}`, `linux-image-${release}-dbg`, `linux-modules-${release}`, "linux-libc-dev"];
  expect(packagesOfRelease(known, release)).toEqual([`linux-image-${release}`, `linux-modules-${release}`]);
});

test("the cache is where the environment says, else in the home folder", () => {
  expect(cacheFolder({ XDG_CACHE_HOME: "/x" })).toBe("/x/mem-agent");
  expect(cacheFolder({ XDG_CACHE_HOME: "" })).toMatch(/\/\.cache\/mem-agent$/);
});

test("a module names what it depends on", () => {
  expect(dependenciesOf(Buffer.from("\0license=GPL\0depends=a,b_c\0retpoline=Y\0"))).toEqual(["a", "b_c"]);
  expect(dependenciesOf(Buffer.from("\0license=GPL\0depends=\0"))).toEqual([]);
  expect(dependenciesOf(Buffer.from("\0license=GPL\0"))).toEqual([]);
});

test("an archive is one that cpio reads", () => {
  const archive = cpioArchive([
    { name: "folder", mode: 0o040755, content: Buffer.alloc(0) },
    { name: "folder/file", mode: 0o100644, content: Buffer.from("seven b") },
  ]);
  expect(archive.length % 4).toBe(0);
  const at = archive.indexOf("seven b");
  expect(at % 4).toBe(0);
  const header = archive.toString("latin1", archive.indexOf("folder/file") - 110, archive.indexOf("folder/file"));
  expect(header).toMatch(/^070701[0-9a-f]{104}$/);
  expect(header.slice(6 + 8, 6 + 16)).toBe("000081a4");
  expect(header.slice(6 + 48, 6 + 56)).toBe("00000007");
  expect(archive.includes("TRAILER!!!\0")).toBe(true);
});

describe("lines from a guest", () => {
  test.each([
    ["ready", { kind: "ready" }],
    ["started 4 120", { kind: "started", id: 4, pid: 120 }],
    [
      `done 4 3 ${encoded("é\n")} ${encoded("bad")}`,
      { kind: "done", id: 4, answer: { status: 3, stdout: "é\n", stderr: "bad" } },
    ],
    ["done 4 0  ", { kind: "done", id: 4, answer: { status: 0, stdout: "", stderr: "" } }],
    ["done 4 0", null],
    ["done x 0  ", null],
    ["[    1.0] garbage", null],
    ["", null],
  ])("%j", (line, expected) => {
    expect(parsePortLine(line)).toEqual(expected as ReturnType<typeof parsePortLine>);
  });
});

test("nodes share memory and processors, and psi can be switched off", () => {
  const parts = {
    accelerator: "tcg" as const,
    image: "i",
    initramfs: "r",
    socketPath: "s",
    rootDisk: "d",
    dataDisk: null,
  };
  const command = qemuCommand({ kernel: "6.12", memoryMiB: 1024, cpus: 4, nodes: 2, append: "psi=0" }, parts);
  expect(command.filter((word) => word.startsWith("node,"))).toEqual([
    "node,nodeid=0,memdev=m0,cpus=0,cpus=2",
    "node,nodeid=1,memdev=m1,cpus=1,cpus=3",
  ]);
  expect(command).toContain("memory-backend-memfd,size=512M,id=m1,share=on");
  expect(command[command.indexOf("-append") + 1]).toMatch(/psi=1.* psi=0$/);
  expect(command.join(" ")).toContain("virtio-balloon-pci,free-page-reporting=on");
  expect(qemuCommand({ kernel: "6.1", balloon: false }, parts).join(" ")).not.toContain("balloon");
  expect(command).toContain("max,-cx16");
  expect(qemuCommand({ kernel: "6.1" }, { ...parts, accelerator: "kvm" })).toContain("host");
});
