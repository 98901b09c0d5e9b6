/** Cgroups that come and go, are many, are oddly named, frozen, full, or removed while they are evicted. */
import { coldCache, HeldMemory, joining, swapBytes, usageBytes } from "../harness/agent.ts";
import { cgroupRoot, demand, type Scene, type Trial } from "./trial.ts";

const mib = 2 ** 20;
const many = 5000;
/** Long enough for three runs on a machine that is many times slower than most. */
const churnSecs = 24;

export const cgroupTrials: readonly Trial[] = [
  {
    fault: "50 cgroups a second made and removed, under the same 20 names",
    expected: "runs go on; the dead end as vanished, none is remembered",
    run: churned,
  },
  {
    fault: `${many.toLocaleString("en")} cgroups at once`,
    expected: "all are targets; memory and count fall when they go",
    run: crowded,
  },
  {
    fault: "names with blanks, quotes, a backslash, bytes that are not UTF-8, 255 characters, depth 30",
    expected: "each is a target and is evicted (the kernel itself refuses a newline)",
    run: oddlyNamed,
  },
  {
    fault: "a cgroup removed while it is evicted, its trigger armed (POLLERR)",
    expected: "it ends as vanished, its descriptors are closed, the run goes on",
    run: removedUnderEviction,
  },
  {
    fault: "a program that writes 160 MiB into a cgroup that is being evicted",
    expected: "what is old goes, what it wrote is whole, nothing fails",
    run: writtenBeside,
  },
  {
    fault: "memory.swap.max 0, with free swap (as Kubernetes sets it)",
    expected: "file pages go, anonymous memory stays where it is",
    run: swapForbidden,
  },
  {
    fault: "a frozen cgroup",
    expected: "it is evicted like any other; thawed, it has its memory unchanged",
    run: frozen,
  },
  {
    fault: "a cgroup at its memory.max, killed by the OOM killer again and again",
    expected: "the agent lives and goes on; the kills are the cgroup's own",
    run: overfull,
  },
];

async function churned(scene: Scene): Promise<string> {
  const before = await scene.status();
  const { stdout, status, stderr } = await scene.guest.run(`swarm churn ${cgroupRoot}/churn 50 ${churnSecs}`, {
    timeoutMs: 90_000,
  });
  demand(status === 0, `swarm: ${stderr}`);
  const after = await scene.status();
  const runs = after.memcg.runs - before.memcg.runs;
  demand(runs >= 3, `only ${runs} runs meanwhile`);
  await scene.guest.sh(`rmdir ${cgroupRoot}/churn/home ${cgroupRoot}/churn`);
  await scene.moreRuns(2);
  const left = (await scene.targets()).filter(({ path }) => path.startsWith("/churn")).length;
  demand(left === 0, `${left} dead cgroups are still targets`);
  const vanished = after.memcg.ends.vanished - before.memcg.ends.vanished;
  return `${stdout.trim()} in ${churnSecs} s, ${runs} runs, ${vanished} targets vanished in them, 0 remembered`;
}

async function crowded(scene: Scene): Promise<string> {
  const before = await scene.status();
  await scene.guest.sh(`swarm make ${cgroupRoot}/many ${many}`, { timeoutMs: 180_000 });
  await scene.until(({ memcg }) => memcg.targets_count > many, { deadlineMs: 60_000, what: `${many} targets` });
  await scene.moreRuns(1);
  const crowd = await scene.status();
  await scene.guest.sh(`swarm remove ${cgroupRoot}/many`, { timeoutMs: 180_000 });
  const after = await scene.until((now) => now.memcg.targets_count <= before.memcg.targets_count + 2 && now, {
    deadlineMs: 60_000,
    what: "the removed cgroups forgotten",
  });
  const sizes = [before, crowd, after].map(({ own }) => ((own.private_bytes ?? 0) / mib).toFixed(1));
  const secs = crowd.memcg.last_run?.wall_secs ?? 0;
  return `${crowd.memcg.targets_count} targets, a run of ${secs.toFixed(2)} s; private memory ${sizes.join(", then ")} MiB`;
}

/** Names as a shell's printf takes them. */
const oddNames: readonly string[] = [
  "with blank",
  " leading and trailing ",
  'quote"d',
  "back\\\\slash",
  "semi;colon,comma",
  "\\001\\033",
  "\\377\\376raw",
  "caf\\303\\251",
  "n".repeat(255),
];
const depth = 30;

async function oddlyNamed(scene: Scene): Promise<string> {
  const deep = Array.from({ length: depth }, () => "d").join("/");
  const fill = [...oddNames, deep].map(
    (name, index) => `
      name=$(printf '${name}.'); name=\${name%.}
      mkdir -p "$odd/$name"
      sh -c 'echo $$ >"$0/cgroup.procs"; exec dd if=/dev/zero of=/data/odd${index} bs=1M count=1 2>/dev/null' "$odd/$name"`,
  );
  await scene.guest.sh(`odd=${cgroupRoot}/odd at=${cgroupRoot}/odd
    mkdir $odd
    for level in $(seq ${depth}); do echo +memory >$at/cgroup.subtree_control; at=$at/d; mkdir $at; done
    ${fill.join("\n")}
    sync`);
  const newline = await scene.guest.run(`mkdir "$(printf '${cgroupRoot}/odd/a\\nb')"`);
  const wanted = oddNames.length + 1;
  const evicted = await scene.guest.until(
    async () => {
      const odd = (await scene.targets()).filter(({ path }) => path.startsWith("/odd/"));
      const done = odd.filter(({ evicted_bytes }) => evicted_bytes.file_bytes >= mib / 2);
      return done.length >= wanted ? odd : null;
    },
    { deadlineMs: 60_000, what: `${wanted} oddly named cgroups evicted` },
  );
  const deepest = evicted.some(({ path, evicted_bytes }) => path === `/odd/${deep}` && evicted_bytes.file_bytes > 0);
  demand(deepest, "the one at depth 30 was not evicted");
  await scene.guest.sh(`find ${cgroupRoot}/odd -depth -type d -exec rmdir {} \\; && rm -f /data/odd*`);
  return `${wanted} of ${wanted} evicted; newline: ${newline.status === 0 ? "taken" : "refused by the kernel"}`;
}

async function removedUnderEviction(scene: Scene): Promise<string> {
  const { guest } = scene;
  const sizeMiB = 384;
  const before = await scene.status();
  await scene.json("/v1/memcg", "PATCH", '{"period_secs":600,"period_min_secs":600}');
  await coldCache(guest, "doomed", sizeMiB);
  await scene.json("/v1/memcg", "PATCH", '{"period_secs":1,"period_min_secs":1}');
  // An eviction may end with the little that an aging in the middle of the writing left behind: half is more than that.
  const doomed = await guest.sh(`exec swarm doom ${cgroupRoot}/doomed ${sizeMiB / 2} ${before.pid}`, {
    timeoutMs: 90_000,
  });
  await scene.moreRuns(2);
  const { ends } = (await scene.status()).memcg;
  await guest.sh("rm -f /data/doomed");
  const leftMiB = Number(/\d+/.exec(doomed)?.[0]);
  demand(ends.vanished > before.memcg.ends.vanished, `with ${leftMiB} MiB left the ends are ${JSON.stringify(ends)}`);
  // The run goes on with others, whose triggers are armed meanwhile.
  const descriptors = await guest.until(
    async () => {
      const folder = `/proc/${before.pid}/fd`;
      const open = await guest.sh(`ls ${folder} | wc -l; ls -l ${folder} | grep -c pressure || true`);
      const [all = 0, triggers = 1] = open.split("\n").map(Number);
      return triggers === 0 ? all : null;
    },
    { deadlineMs: 20_000, what: "all pressure files closed" },
  );
  return `removed with ${leftMiB} of ${sizeMiB} MiB left, ended as vanished; ${descriptors} descriptors, none of a pressure file`;
}

async function writtenBeside(scene: Scene): Promise<string> {
  const { guest } = scene;
  await coldCache(guest, "written", 128);
  const write = `i=0; while [ $i -lt 160 ]; do yes "$i" | head -c ${mib}; i=$((i + 1)); done >/data/fresh`;
  const writer = await guest.spawn(`${joining("written")}; ${write}; md5sum </data/fresh`);
  const before = (await scene.status()).memcg.evicted_bytes.file_bytes;
  const { stdout } = await writer.exited;
  await scene.until(({ memcg }) => memcg.evicted_bytes.file_bytes - before >= 96 * mib, {
    deadlineMs: 60_000,
    what: "96 MiB evicted beside a writer",
  });
  await guest.sh("sync; echo 3 >/proc/sys/vm/drop_caches");
  const again = await guest.sh("md5sum </data/fresh");
  demand(stdout !== "" && again === stdout, `md5sum ${stdout.trim()}, then ${again.trim()}`);
  await guest.sh(`rmdir ${cgroupRoot}/written; rm /data/written /data/fresh`);
  return "128 MiB old and 160 MiB written at the time; the same sum read from the disk";
}

async function swapForbidden(scene: Scene): Promise<string> {
  const { guest } = scene;
  await guest.sh(`mkdir ${cgroupRoot}/noswap && echo 0 >${cgroupRoot}/noswap/memory.swap.max`);
  const held = await HeldMemory.hold(guest, "noswap", 48);
  await coldCache(guest, "noswap", 64);
  await guest.until(async () => (await usageBytes(guest, "noswap")) < (48 + 24) * mib, {
    deadlineMs: 60_000,
    what: "the file pages evicted",
  });
  await scene.moreRuns(3);
  const target = (await scene.targets()).find(({ path }) => path === "/noswap");
  const swapped = await swapBytes(guest, "noswap");
  demand(swapped === 0, `${swapped} bytes in swap`);
  demand(target?.evicted_bytes.anon_bytes === 0, `${target?.evicted_bytes.anon_bytes} anonymous bytes evicted`);
  const verdict = await held.verify();
  demand(verdict === "verified", verdict);
  await held.free();
  await guest.sh(`rmdir ${cgroupRoot}/noswap; rm /data/noswap`);
  return `64 MiB of file pages evicted, 0 of 48 MiB anonymous, ${verdict}`;
}

async function frozen(scene: Scene): Promise<string> {
  const { guest } = scene;
  const held = await HeldMemory.hold(guest, "frozen", 48);
  await guest.sh(`echo 1 >${cgroupRoot}/frozen/cgroup.freeze`);
  await guest.until(async () => (await usageBytes(guest, "frozen")) < 24 * mib, {
    deadlineMs: 60_000,
    what: "a frozen cgroup evicted",
  });
  const swapped = await swapBytes(guest, "frozen");
  await guest.sh(`echo 0 >${cgroupRoot}/frozen/cgroup.freeze`);
  const verdict = await held.verify();
  demand(verdict === "verified", verdict);
  await held.free();
  await guest.sh(`rmdir ${cgroupRoot}/frozen`);
  return `${Math.round(swapped / mib)} of 48 MiB swapped out while frozen, ${verdict} after the thaw`;
}

async function overfull(scene: Scene): Promise<string> {
  const { guest } = scene;
  const at = `${cgroupRoot}/edge`;
  await guest.sh(`mkdir ${at} && echo 24M >${at}/memory.max && echo 0 >${at}/memory.swap.max`);
  const before = await scene.status();
  await guest.run(
    `for turn in 1 2 3 4 5; do sh -c '${joining("edge")} && exec workload touch 64 0' >/dev/null 2>&1; done`,
  );
  await scene.moreRuns(1);
  const kills = Number(/^oom_kill (\d+)$/m.exec(await guest.read(`${at}/memory.events`))?.[1]);
  const after = await scene.status();
  demand(kills >= 5, `only ${kills} kills`);
  demand(after.pid === before.pid, "the agent is another process");
  await guest.sh(`rmdir ${at}`);
  return `${kills} kills beside it, ${after.memcg.runs - before.memcg.runs} runs meanwhile, same process`;
}
