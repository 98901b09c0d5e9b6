/** One question to the daemon, with its refusal as an exit code. */
import { defaultAddress, parseAgentAddr } from "../base/address.ts";
import { isFault } from "../base/fault.ts";
import { runningDaemon } from "../system/running-daemon.ts";
import { call, callEvents, type CallOptions, NoDaemon, Refused } from "../api/client.ts";
import type { AnswerOf, EventLine, RouteName } from "../api/routes.ts";
import { exitCodes, Failure } from "./failure.ts";
import { type Invocation, listOf } from "./invocation.ts";
import { complain } from "./output.ts";
import { version } from "./version.ts";

/**
 * Where the daemon is: `--addr`, else MEM_AGENT_ADDR, else where the one of this machine says that it listens, else the
 * default. Failure `usage` for what is no address.
 */
export function addressOf(invocation: Invocation): string {
  const [flag = null] = listOf(invocation, "addr");
  const variable = invocation.environment["MEM_AGENT_ADDR"] ?? "";
  const [source, address] =
    flag !== null ? ["--addr", flag] : ["MEM_AGENT_ADDR", variable || (runningDaemon("/")?.addr ?? defaultAddress)];
  try {
    parseAgentAddr(address);
    return address;
  } catch (error) {
    const problems = isFault(error) ? error.problems : [];
    throw new Failure(
      exitCodes.usage,
      problems.map((problem) => `${source} ${JSON.stringify(address)}: ${problem}`),
    );
  }
}

/** The daemon's answer. Failure `noDaemon` or `refused`; other faults as they are. */
export async function ask<Name extends Exclude<RouteName, "events">>(
  invocation: Invocation,
  name: Name,
  options: Pick<CallOptions<Name>, "body" | "save"> = {},
): Promise<AnswerOf<Name>> {
  return askAt(addressOf(invocation), name, { ...options, ...versionCheck(invocation) });
}

/** As `ask`, of the daemon at this address, whatever its version. */
export async function askAt<Name extends Exclude<RouteName, "events">>(
  address: string,
  name: Name,
  options: CallOptions<Name> = {},
): Promise<AnswerOf<Name>> {
  try {
    return await call(address, name, options);
  } catch (error) {
    throw failureOf(error);
  }
}

/** What happens, as it happens. Failures as `ask`. */
export async function* listen(invocation: Invocation): AsyncGenerator<EventLine, void, undefined> {
  const address = addressOf(invocation);
  try {
    yield* callEvents(address, versionCheck(invocation));
  } catch (error) {
    throw failureOf(error);
  }
}

/** A command that asks several questions points a difference out once. */
let warned = false;

function versionCheck({ command }: Invocation): Pick<CallOptions<RouteName>, "version" | "warn"> {
  const warn = (message: string): void => {
    if (!warned) complain(`${command}: ${message}`);
    warned = true;
  };
  return { version, warn };
}

function failureOf(error: unknown): unknown {
  if (error instanceof NoDaemon) return new Failure(exitCodes.noDaemon, error.problems);
  if (error instanceof Refused) {
    return new Failure(exitCodes.refused, error.problems.length > 0 ? error.problems : [error.message]);
  }
  return error;
}
