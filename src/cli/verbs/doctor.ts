/** `doctor`: is everything there that the agent needs, and what fixes the rest? Needs no daemon and changes nothing. */
import { realpathSync } from "node:fs";
import { readDaemonConfigText } from "../../agent/daemon/config-file.ts";
import { examine } from "../../agent/doctor/machine.ts";
import { checkOf, type Check, type Found } from "../../agent/doctor/check.ts";
import { call, NoDaemon, NoMemAgent } from "../../api/client.ts";
import { isFault, messageOf } from "../../base/fault.ts";
import { startSettings } from "../../config/merge.ts";
import { formatProblem } from "../../config/problems.ts";
import { defaultSettings, type Settings } from "../../config/schema.ts";
import { parseConfig } from "../../config/toml.ts";
import { runningDaemon } from "../../system/running-daemon.ts";
import { addressOf } from "../ask.ts";
import { renderDoctor, type DoctorReport } from "../screens/doctor.ts";
import { exitCodes } from "../failure.ts";
import { isOn, textOf, type Invocation } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { version } from "../version.ts";

const defaultConfigFile = "/etc/mem-agent.toml";
const daemonAnswerMs = 2000;

/** Exit 1 when a check fails, else 0. */
export async function doctor(invocation: Invocation): Promise<number> {
  const report = await doctorReport("/", invocation);
  if (isOn(invocation, "json")) writeJson(report);
  else writeLines(renderDoctor(report, invocation.terminal));
  return report.failures > 0 ? exitCodes.failed : exitCodes.done;
}

/** Looks at the machine whose file system begins at `root`. Failure `usage` for an address that is none. */
export async function doctorReport(root: string, invocation: Invocation): Promise<DoctorReport> {
  const file = textOf(invocation, "config");
  const { settings, check: config } = await checkConfig(file ?? defaultConfigFile, file !== null);
  const { checks: machine, choice } = examine(root, settings);
  const daemon = await askDaemon(daemonAddress(root, invocation, settings));
  const checks = [
    ...machine,
    config,
    checkOf("daemon", "daemon", false, daemon),
    checkOf("binary", "binary", false, describeBinary()),
  ];
  const failures = checks.filter(({ state }) => state === "failure").length;
  const warnings = checks.filter(({ state }) => state === "warning").length;
  return {
    version,
    state: failures > 0 ? "failure" : warnings > 0 ? "warning" : "ok",
    failures,
    warnings,
    backend: choice.backend,
    backend_why: choice.why,
    checks,
  };
}

/** The daemon's address: as for other commands, else where it says that it listens, else the one that the file gives it. */
function daemonAddress(root: string, invocation: Invocation, settings: Settings): string {
  const asked = textOf(invocation, "addr") !== null || (invocation.environment["MEM_AGENT_ADDR"] ?? "") !== "";
  return asked ? addressOf(invocation) : (runningDaemon(root)?.addr ?? settings.control.addr);
}

/** The settings of the file, or the defaults where it cannot be used. */
async function checkConfig(file: string, asked: boolean): Promise<{ settings: Settings; check: Check }> {
  const { settings, ...found } = await readConfig(file, asked);
  return { settings: settings ?? defaultSettings, check: checkOf("config", "configuration", true, found) };
}

async function readConfig(file: string, asked: boolean): Promise<Found & { settings?: Settings }> {
  let text: string | null;
  try {
    text = readDaemonConfigText(file);
  } catch (error) {
    const [observed, remedy = `chmod u+r ${file}`] = messageOf(error).split("; ");
    return { state: "failure", observed: observed ?? "", remedy };
  }
  if (text === null) {
    const observed = `${file}: not there${asked ? "" : ", so the defaults hold"}`;
    return asked
      ? { state: "failure", observed, remedy: `mem-agent config default > ${file}` }
      : { state: "info", observed };
  }
  const { overrides, problems } = await parseConfig(text, { file });
  const first = problems[0];
  if (first === undefined) {
    const { settings } = startSettings({ file: overrides });
    return { state: "ok", observed: `${file}: valid`, settings };
  }
  const more = problems.length === 1 ? "" : ` (and ${problems.length - 1} more)`;
  return { state: "failure", observed: `${formatProblem(first)}${more}`, remedy: `mem-agent config check ${file}` };
}

async function askDaemon(addr: string): Promise<Found> {
  try {
    const { version: theirs, pid, health } = await call(addr, "status", { timeoutMs: daemonAnswerMs });
    const observed = `mem-agent ${theirs} runs as process ${pid} at ${addr}, health ${health}`;
    return health === "ok" ? { state: "ok", observed } : { state: "warning", observed, remedy: "mem-agent status" };
  } catch (error) {
    if (error instanceof NoDaemon && !(error instanceof NoMemAgent))
      return { state: "info", observed: `none runs at ${addr}` };
    if (isFault(error, "denied")) return { state: "info", observed: `no permission to ask the daemon at ${addr}` };
    const remedy = "systemctl restart mem-agent (or end the process that listens there)";
    return {
      state: "warning",
      observed: `the program that listens at ${addr} does not answer: ${messageOf(error)}`,
      remedy,
    };
  }
}

function describeBinary(): Found {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const libc = header.glibcVersionRuntime === undefined ? "musl" : `glibc ${header.glibcVersionRuntime}`;
  const parts = [`mem-agent ${version}`, ownPath(), process.arch, libc, `Bun ${Bun.version}`];
  // The guest tests run on x64 with glibc alone.
  const tested = process.arch === "x64" && libc !== "musl";
  return { state: "info", observed: `${parts.join(", ")}${tested ? "" : "; never tested on this machine and libc"}` };
}

function ownPath(): string {
  try {
    return realpathSync("/proc/self/exe");
  } catch {
    return process.execPath;
  }
}
