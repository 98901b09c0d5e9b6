/**
 * Saves what real kernels say as fixtures: `tests/fixtures/<kernel>[-variant]/…`, with the paths that the texts have in
 * the guest. Each guest has a few cgroups with something in them, so that no text is trivial.
 *
 *     npm run capture [variant…]
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import { checked } from "./harness/commands.ts";
import { Guest, shellWord, type GuestOptions } from "./harness/guest.ts";
import { workloadFiles } from "./harness/workload.ts";

const fixtures = join(import.meta.dir, "../fixtures");

const variants: Readonly<Record<string, Pick<GuestOptions, "kernel" | "cgroup" | "nodes" | "append">>> = {
  "6.1": { kernel: "6.1" },
  "6.1-v1": { kernel: "6.1", cgroup: "v1" },
  "6.12": { kernel: "6.12" },
  "6.12-numa": { kernel: "6.12", nodes: 2 },
  "7.2": { kernel: "7.2" },
};

/** Shell patterns below `/`. */
const systemTexts = [
  "proc/{buddyinfo,cmdline,filesystems,meminfo,mounts,pagetypeinfo,swaps,vmstat,zoneinfo}",
  "proc/self/{cgroup,mountinfo}",
  "proc/pressure/{cpu,io,memory}",
  "proc/sys/kernel/osrelease",
  "sys/kernel/mm/lru_gen/{enabled,min_ttl_ms}",
  "sys/kernel/debug/lru_gen",
  "sys/module/page_reporting/parameters/page_reporting_order",
  "sys/devices/system/node/{online,possible,node*/meminfo}",
];

const cgroupTexts = [
  "cgroup.{controllers,events,subtree_control,type}",
  "memory.{stat,numa_stat,current,min,low,high,max,events,pressure,swap.current,swap.max}",
  "memory.{usage_in_bytes,limit_in_bytes,soft_limit_in_bytes,memsw.usage_in_bytes}",
  "{io,cpu}.pressure",
];

/** Their files are saved; the one with an odd byte in its name is only seen in lru_gen, since a tree can't hold it. */
const cgroups = ["", "work", "work/inner", "guarded", "with blank", "idle"];

async function capture(name: string, options: GuestOptions): Promise<void> {
  console.error(`capture: ${name}`);
  await using guest = await Guest.boot({
    ...options,
    memoryMiB: 512,
    swapMiB: 64,
    diskMiB: 64,
    files: await workloadFiles(),
  });
  const memory = options.cgroup === "v1" ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
  const roots = options.cgroup === "v1" ? [memory, "/sys/fs/cgroup/unified"] : [memory];

  await guest.sh(`
    mount -t debugfs debugfs /sys/kernel/debug
    mkdir -p /tmp/off && cat /sys/kernel/debug/lru_gen >/tmp/off/lru_gen && cat /sys/kernel/mm/lru_gen/enabled >/tmp/off/enabled`);
  if (name === "6.1") await save(guest, `${name}-off`, ["sys/kernel/mm/lru_gen/enabled", "sys/kernel/debug/lru_gen"]);
  await guest.write("/sys/kernel/mm/lru_gen/enabled", "7");

  for (const root of roots) {
    await guest.sh(`cd ${root} && mkdir -p work/inner guarded "with blank" idle gone "$(printf 'odd\\377byte')"`);
  }
  if (options.cgroup === "v1") {
    await guest.sh(`echo 16M >${memory}/work/inner/memory.limit_in_bytes`);
  } else {
    await guest.sh(`cd ${memory} && echo "+memory +io" >work/cgroup.subtree_control
      echo 4M >guarded/memory.min; echo 8M >guarded/memory.low; echo 16M >work/inner/memory.high`);
  }
  const within = (cgroup: string, script: string): string =>
    `${roots.map((root) => `echo $$ >${shellWord(`${root}/${cgroup}/cgroup.procs`)}`).join("; ")}; ${script}`;
  await guest.sh(within("guarded", "dd if=/dev/urandom of=/data/guarded bs=1M count=12 2>/dev/null"));
  await guest.sh(within("with blank", "dd if=/dev/urandom of=/data/blank bs=1M count=6 2>/dev/null"));
  await guest.sh(within("gone", "dd if=/dev/urandom of=/data/gone bs=1M count=2 2>/dev/null"));
  await guest.sh(`sync; ${roots.map((root) => `rmdir ${root}/gone`).join("; ")}`);
  const held = await guest.spawn(within("guarded", "exec workload hold 3 /run/hold"));
  // 24 MiB in turn under a limit of 16 MiB: the stalls that the pressure files show.
  const touching = await guest.spawn(within("work/inner", "exec workload touch 24 0"));
  const passed = async (): Promise<boolean> => (await touching.stdout()).includes("pass 2 ");
  await guest.until(passed, { deadlineMs: 60_000, what: "two passes over its memory" });

  // Two agings between the reads give generations of different ages and sizes.
  for (const _ of [1, 2]) {
    await guest.sh(`awk '$1 == "memcg" { id = $2 } $1 == "node" { node = $2 } NF == 4 && $1 ~ /^[0-9]+$/ { last[id " " node] = $1 }
      END { for (key in last) print "+ " key " " last[key] }' /sys/kernel/debug/lru_gen |
      while read -r line; do echo "$line" >/sys/kernel/debug/lru_gen; done 2>/dev/null; cat /data/blank >/dev/null`);
  }
  // memory.stat is flushed every 2 s.
  const root = `${memory}/guarded/memory.stat`;
  const flushed = async (): Promise<boolean> =>
    /^(total_)?inactive_anon [1-9]|^(total_)?active_anon [1-9]/m.test(await guest.read(root));
  await guest.until(flushed, { deadlineMs: 30_000, what: "the held memory in memory.stat" });

  const texts = roots.flatMap((part) =>
    cgroups.flatMap((cgroup) => cgroupTexts.map((text) => join(part, cgroup, text).slice(1))),
  );
  await save(guest, name, [...systemTexts, ...texts]);
  await Promise.all([held.kill("KILL"), touching.kill("KILL")]);
}

/** Copies what the patterns name into the fixture folder of this name, which is made anew. */
async function save(guest: Guest, name: string, patterns: readonly string[]): Promise<void> {
  const words = patterns.flatMap(expandBraces).map((word) => word.replaceAll(" ", "\\ "));
  const packed = await guest.sh(`rm -rf /tmp/saved; cd /
    for file in ${words.join(" ")}; do
      [ -f "$file" ] || continue
      mkdir -p "/tmp/saved/\${file%/*}"
      cat "$file" >"/tmp/saved/$file"
    done
    tar -c -C /tmp/saved . | base64`);
  const folder = join(fixtures, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const archive = join(folder, "archive.tar");
  await Bun.write(archive, Buffer.from(packed, "base64"));
  await checked(["tar", "-x", "--no-same-owner", "-C", folder, "-f", archive], folder);
  rmSync(archive);
}

/** `a/{b,c}/d` gives `a/b/d` and `a/c/d`: the guest's shell has no braces. */
function expandBraces(pattern: string): readonly string[] {
  const match = /^(.*?)\{([^{}]*)\}(.*)$/.exec(pattern);
  if (match === null) return [pattern];
  const [, before = "", choices = "", after = ""] = match;
  return choices.split(",").flatMap((choice) => expandBraces(`${before}${choice}${after}`));
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(variants);
for (const name of wanted) {
  const options = variants[name];
  if (options === undefined)
    throw new Error(`cannot capture ${name}: unknown; use some of ${Object.keys(variants).join(" ")}`);
  await capture(name, options);
}
