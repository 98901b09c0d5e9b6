/**
 * Screens of a real guest: the pictures of the manual, and the same screens as text.
 *
 *     bun tests/guest/pictures.ts        after a build
 *
 * Writes dist/pictures/*.svg; those of the manual are copies, src/manual/screen-*.svg.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentStatus, HistoryStatus, MemcgStatus } from "../../src/agent/status.ts";
import { renderExplanation } from "../../src/cli/screens/explain.ts";
import { renderStatus } from "../../src/cli/screens/status.ts";
import { plainTerminal, type Terminal } from "../../src/cli/screens/terminal.ts";
import { firstView, renderWatch } from "../../src/cli/screens/watch.ts";
import { terminalSvg } from "./demo/terminal-svg.ts";
import { agentFiles, coldCache, GuestAgent, hotCache } from "./harness/agent.ts";
import { Guest } from "./harness/guest.ts";

const columns = 90;
const terminal: Terminal = { columns, rows: 24, colour: true };
const narrow: Terminal = { columns: 80, rows: 24, colour: false };
const directory = join(import.meta.dir, "../../dist/pictures");

/** As text, and as a picture where it has a name. */
function show(what: string, draw: (terminal: Terminal) => string[], name: string | null = null): void {
  console.log(`\n== ${what}\n${draw(narrow).join("\n")}`);
  if (name === null) return;
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name}.svg`), terminalSvg(draw(terminal), columns, what));
}

interface Seen {
  readonly status: AgentStatus;
  readonly memcg: MemcgStatus;
  readonly nowMs: number;
}

async function seen(agent: GuestAgent): Promise<Seen> {
  const [status, memcg] = [await agent.status(), await agent.memcg()];
  // The guest's clock, by which the agent tells times.
  const nowMs = Date.parse(status.started) + status.own.uptime_secs * 1000;
  return { status, memcg, nowMs };
}

function explainAt(what: string, path: string, { memcg }: Seen, name: string | null = null): void {
  const target = memcg.targets.find((one) => one.path === path);
  if (target !== undefined) show(what, (on) => renderExplanation(target, memcg, on), name);
}

async function until(startMs: number, secs: number): Promise<void> {
  await Bun.sleep(Math.max(0, startMs + secs * 1000 - performance.now()));
}

async function play(guest: Guest): Promise<void> {
  const slice = "/sys/fs/cgroup/system.slice";
  await guest.sh(`mkdir -p /data/system.slice ${slice} && echo +memory >${slice}/cgroup.subtree_control`);
  await coldCache(guest, "system.slice/web.service", 300);
  await coldCache(guest, "system.slice/docker-3f9c21b07a4e88d6e5f.scope", 60);
  const database = await hotCache(guest, "system.slice/db.service", 80);
  const startMs = performance.now();
  await using agent = await GuestAgent.serve(guest, "--log-level info");
  await until(startMs, 6);
  let now = await seen(agent);
  show("status, seconds after the start", (on) => renderStatus(now, on));
  await until(startMs, 30);
  now = await seen(agent);
  show("status, half a minute after the start", (on) => renderStatus(now, on), "status");
  explainAt("explain, half a minute after the start", "/system.slice/web.service", now, "explain");
  await until(startMs, 70);
  now = await seen(agent);
  const history = await agent.json<HistoryStatus>("history");
  const watched = { ...now, history, unanswered: null };
  show("status, a minute after the start", (on) => renderStatus(now, on));
  show("status --watch", (on) => renderWatch(watched, firstView, watched.nowMs, on), "watch");
  await until(startMs, 200);
  now = await seen(agent);
  show("status, three minutes after the start", (on) => renderStatus(now, on));
  for (const path of ["/system.slice/web.service", "/system.slice/db.service"]) explainAt(`explain ${path}`, path, now);
  await guest.sh("echo '[memcg]\nswap = 3' >/etc/mem-agent.toml");
  await guest.until(async () => (await agent.status()).health === "warning", { deadlineMs: 20_000, what: "a warning" });
  now = await seen(agent);
  show("status, a wrong file", (on) => renderStatus(now, on));
  // This kernel panicked twice where lru_gen was switched off under a reader.
  await database.kill("KILL");
  await guest.sh("rm /etc/mem-agent.toml; echo n >/sys/kernel/mm/lru_gen/enabled; mem-agent run memcg || true");
  now = await seen(agent);
  show("status, lru_gen switched off", (on) => renderStatus(now, on));
  await guest.sh(
    "mem-agent memcgset --memcg-disabled --addr /run/mem-agent.sock; mem-agent compactset --compact-disabled",
  );
  now = await seen(agent);
  show("status, all disabled", (on) => renderStatus(now, on));
  console.log(`\n== the log\n${(await agent.process.stderr()).split("\n").slice(0, 4).join("\n")}`);
  show("status, in a pipe", () => renderStatus(now, plainTerminal));
  await agent.stop();
  await guest.sh("echo y >/sys/kernel/mm/lru_gen/enabled");
  await using dry = await GuestAgent.serve(guest, "--dry-run --memcg-period-min-secs 5");
  await Bun.sleep(25_000);
  now = await seen(dry);
  show("status, a dry run", (on) => renderStatus(now, on));
}

await using guest = await Guest.boot({ kernel: "6.12", memoryMiB: 1024, diskMiB: 700, files: await agentFiles() });
await play(guest);
