/** From a command line to the verb that answers it, and from what went wrong to an exit code. */
import { isFault, messageOf } from "../base/fault.ts";
import { didYouMean } from "../config/nearest.ts";
import { readArguments } from "./arguments.ts";
import { type Command, type GroupCommand, isGroup, type LeafCommand } from "./command-types.ts";
import { exitCodes, Failure } from "./failure.ts";
import type { Invocation } from "./invocation.ts";
import { complain, ReaderGone, writeLines, writeOut } from "./output.ts";
import { terminalOf } from "./screens/terminal.ts";
import { version } from "./version.ts";

export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
}

/** Runs what the command line asks for. Returns the exit code of SPEC 2; problems are on stderr by then. */
export async function dispatch(program: Command, argv: readonly string[], around: Surroundings): Promise<number> {
  const { command, path, rest } = resolve(program, addressBehind(program, argv));
  try {
    return await answer({ command, path, rest }, program, around);
  } catch (error) {
    if (error instanceof ReaderGone) return exitCodes.done;
    const lines = error instanceof Failure ? error.lines : isFault(error) ? error.problems : [messageOf(error)];
    for (const line of lines) complain(`${path}: ${line}`);
    if (error instanceof Failure) for (const line of error.help) complain(line);
    if (error instanceof Failure && error.exitCode === exitCodes.usage) complain(`See: ${path} --help`);
    return error instanceof Failure ? error.exitCode : exitCodes.failed;
  }
}

/** The original's `mem-agent-ctl` takes `--addr` before the command: it means the same there. */
function addressBehind(program: Command, argv: readonly string[]): readonly string[] {
  const [flag = "", value] = argv;
  const words = flag.startsWith("--addr=") ? 1 : flag === "--addr" && value !== undefined ? 2 : 0;
  if (words === 0 || argv.length === words || !isGroup(program)) return argv;
  return [...argv.slice(words), ...argv.slice(0, words)];
}

interface Resolved {
  readonly command: Command;
  /** `mem-agent config check` */
  readonly path: string;
  readonly rest: readonly string[];
}

/** Goes down the table as far as the command line names it. */
function resolve(program: Command, argv: readonly string[]): Resolved {
  let command = program;
  let path = program.meta.name;
  let at = 0;
  while (isGroup(command)) {
    const name = argv[at] ?? "";
    const below: Command | undefined = Object.hasOwn(command.subCommands, name) ? command.subCommands[name] : undefined;
    if (below === undefined) {
      const implied = impliedBy(command, argv.slice(at));
      if (implied !== null) command = implied;
      break;
    }
    command = below;
    path = `${path} ${name}`;
    at += 1;
  }
  return { command, path, rest: argv.slice(at) };
}

function impliedBy({ implied, subCommands }: GroupCommand, rest: readonly string[]): Command | null {
  const [first] = rest;
  if (implied === null || first === undefined || first === "--help" || first === "-h") return null;
  return subCommands[implied] ?? null;
}

function wantsHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end < 0 ? argv : argv.slice(0, end)).some((arg) => arg === "--help" || arg === "-h");
}

async function answer({ command, path, rest }: Resolved, program: Command, around: Surroundings): Promise<number> {
  const terminal = terminalOf(around.stdout, around.environment);
  if (wantsHelp(rest)) {
    const { renderHelp } = await import("./help.ts");
    writeLines(await renderHelp(command, path, terminal));
    return exitCodes.done;
  }
  if ((rest[0] === "--version" || rest[0] === "-v") && command.meta.version !== undefined) {
    writeOut(`${command.meta.name} ${version}\n`);
    return exitCodes.done;
  }
  if (isGroup(command)) {
    if (rest.length > 0) return refuseGroup(command, rest);
    const { renderHelp } = await import("./help.ts");
    throw new Failure(
      exitCodes.usage,
      ["a command is missing"],
      ["", ...(await renderHelp(command, path, terminal)), ""],
    );
  }
  const read = await readLeaf(command, rest, program);
  const invocation: Invocation = { ...read, environment: around.environment, terminal, command: path };
  // Not citty's runCommand: it would read the arguments once more, loosely, and take a millisecond for it.
  return command.run({ data: invocation });
}

function refuseGroup(command: GroupCommand, rest: readonly string[]): never {
  const names = Object.keys(command.subCommands);
  const name = rest.find((arg) => !arg.startsWith("-"));
  const flag = rest.find((arg) => arg.startsWith("-"));
  if (flag !== undefined && (name === undefined || rest.indexOf(flag) < rest.indexOf(name))) {
    const known = command.meta.version === undefined ? ["--help"] : ["--help", "--version", "-h", "-v"];
    throw new Failure(exitCodes.usage, [
      `unknown flag "${flag}"${didYouMean(flag, known)}; flags of a command follow it`,
    ]);
  }
  const near = didYouMean(name ?? "", names);
  const all = near === "" ? `; there are ${names.join(", ")}` : "";
  throw new Failure(exitCodes.usage, [`unknown command "${name ?? ""}"${near}${all}`]);
}

/** @param program where else a flag may belong */
async function readLeaf(
  command: LeafCommand,
  argv: readonly string[],
  program: Command,
): Promise<Pick<Invocation, "args" | "overrides" | "edits">> {
  if (command.settingFlags !== null) {
    const { readWithSettings } = await import("./setting-arguments.ts");
    return readWithSettings(command, argv, program);
  }
  const { values, problems, unknownFlags } = readArguments(command.args, argv);
  if (problems.length > 0) {
    const { homesOf } = unknownFlags.length === 0 ? { homesOf: () => [] } : await import("./setting-arguments.ts");
    throw new Failure(exitCodes.usage, [...problems, ...homesOf(program, unknownFlags)]);
  }
  return { args: values, overrides: {}, edits: {} };
}
