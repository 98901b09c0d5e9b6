/** Abuse of the control socket of the real daemon, inside the guest. The 50,000 mutated requests are a unit test. */
import { demand, socketPath, type Scene, type Trial } from "./trial.ts";

const clients = 200;
const setters = 100;
const mib = 2 ** 20;

export const socketTrials: readonly Trial[] = [
  {
    fault: `${clients} clients that hold half a request open`,
    expected: "others are answered meanwhile; all are closed within 20 s, descriptors as before",
    run: halfRequests,
  },
  {
    fault: `${setters} setters at once`,
    expected: "the end state is one of theirs, whole",
    run: concurrentSetters,
  },
  {
    fault: "a body of 10 MiB, endless headers, random bytes",
    expected: "4xx or a closed connection; nothing changed, memory back to where it was",
    run: floods,
  },
  {
    fault: "another user than root; a symbolic link in place of the socket",
    expected: "refused: no permission; a second daemon does not follow the link",
    run: strangers,
  },
];

async function descriptors(scene: Scene, pid: number): Promise<number> {
  return Number(await scene.guest.sh(`ls /proc/${pid}/fd | wc -l`));
}

async function halfRequests(scene: Scene): Promise<string> {
  const { guest } = scene;
  const { pid } = await scene.status();
  const before = await descriptors(scene, pid);
  const held = await guest.spawn(`exec probe half ${socketPath} ${clients}`);
  await guest.until(async () => (await held.stdout()).includes("open"), { deadlineMs: 30_000, what: "clients" });
  // They are connected before the daemon takes them up.
  const most = await guest.until(
    async () => {
      const now = await descriptors(scene, pid);
      return now >= before + clients && now;
    },
    { deadlineMs: 10_000, what: "all clients taken up" },
  );
  const start = performance.now();
  await scene.status();
  const answerMs = performance.now() - start;
  const { stdout } = await held.exited;
  const after = await descriptors(scene, pid);
  demand(after <= before + 4, `${after} descriptors after it, ${before} before`);
  return `${most} descriptors, an answer in ${answerMs.toFixed(0)} ms (a process in the guest); ${stdout.trim().split("\n").at(-1)}; ${after} descriptors`;
}

/** Two settings that belong together. */
function pair(value: number): string {
  return `{"swappiness_max":${value},"eviction_run_aging_count_min":${value}}`;
}

/** Words of the shell that set both in the background. */
function setBoth(value: number): string {
  const body = pair(value);
  const head = `PATCH /v1/memcg HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n`;
  return `printf '${head}${body}' | probe send ${socketPath} >/tmp/set${value} &`;
}

async function concurrentSetters(scene: Scene): Promise<string> {
  const { guest } = scene;
  const values = Array.from({ length: setters }, (_, index) => index + 1);
  await guest.sh(`${values.map(setBoth).join("\n")}\nwait`, { timeoutMs: 90_000 });
  const taken = Number(await guest.sh("cat /tmp/set* | grep -c 'HTTP/1.1 200'; rm /tmp/set*"));
  const end = (await scene.targets())[0]?.settings;
  const whole = end?.swappiness_max === end?.eviction_run_aging_count_min;
  await scene.json("/v1/memcg", "PATCH", '{"swappiness_max":50,"eviction_run_aging_count_min":1}');
  demand(taken === setters, `${taken} of ${setters} were answered with 200`);
  demand(whole, `swappiness_max ${end?.swappiness_max}, aging count ${end?.eviction_run_aging_count_min}`);
  return `${taken} answers 200; ${end?.swappiness_max} in both settings`;
}

async function floods(scene: Scene): Promise<string> {
  const { guest } = scene;
  const before = await scene.status();
  const settings = JSON.stringify((await scene.targets())[0]?.settings);
  const send = async (input: string): Promise<string> => {
    const { stdout } = await guest.run(`{ ${input}; } 2>/dev/null | probe send ${socketPath} | head -c 300`);
    return /^HTTP\/1\.1 (\d+)/.exec(stdout)?.[1] ?? "closed";
  };
  const head = "Host: x\\r\\nConnection: close\\r\\n";
  const large = 10 * mib;
  const seen = [
    await send(
      `printf 'PATCH /v1/memcg HTTP/1.1\\r\\n${head}Content-Length: ${large}\\r\\n\\r\\n'; head -c ${large} /dev/zero`,
    ),
    await send(
      `printf 'GET /v1/status HTTP/1.1\\r\\n${head}'; yes 'X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaa' | head -c 4000000`,
    ),
    await send("head -c 1000000 /dev/urandom"),
  ];
  demand(
    // 505 is Bun's own word for what is no HTTP at all.
    seen.every((status) => status === "closed" || status === "505" || status.startsWith("4")),
    seen.join(", "),
  );
  demand(JSON.stringify((await scene.targets())[0]?.settings) === settings, "a setting has changed");
  const after = await scene.until(
    ({ own }) => (own.private_bytes ?? 0) < (before.own.private_bytes ?? 0) + 6 * mib && own,
    {
      deadlineMs: 60_000,
      what: "private memory back to where it was",
    },
  );
  const sizes = [before.own.private_bytes, after.private_bytes].map((bytes) => ((bytes ?? 0) / mib).toFixed(1));
  return `${seen.join(", ")}; private memory ${sizes.join(", then ")} MiB`;
}

async function strangers(scene: Scene): Promise<string> {
  const { guest } = scene;
  await guest.sh("grep -q nobody /etc/passwd || echo 'nobody:x:65534:65534::/:/bin/sh' >>/etc/passwd");
  const nobody = await guest.run(`su nobody -s /bin/sh -c 'mem-agent status --addr ${socketPath}'`);
  demand(nobody.status !== 0 && nobody.stdout === "", `exit ${nobody.status}`);
  await guest.sh("mkdir -p /run/other && ln -s /run/agent/control.sock /run/other/link.sock");
  const linked = await guest.run("mem-agent serve --memcg-disabled --compact-disabled --addr /run/other/link.sock");
  demand(linked.status === 1 && linked.stderr.includes("symbolic link"), `exit ${linked.status}: ${linked.stderr}`);
  await guest.sh("rm -r /run/other");
  return `exit ${nobody.status}; "${linked.stderr.trim().slice(0, 90)}"`;
}
