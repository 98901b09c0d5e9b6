/** `unit`: how the daemon is run as a service. */
import { exitCodes, Failure } from "../failure.ts";
import { isOn, textOf, type Invocation } from "../invocation.ts";
import { writeOut } from "../output.ts";
import { binaryDefault, openrcScript, systemdUnit } from "../service-files.ts";

/** An absolute path without control characters: it goes into files that programs read line by line. */
function absolutePath(flag: string, value: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is refused
  if (value.startsWith("/") && !/[\u0000-\u001f\u007f]/.test(value)) return value;
  throw new Failure(exitCodes.usage, [`--${flag} ${JSON.stringify(value)} is not an absolute path`]);
}

export function unit(invocation: Invocation): number {
  const binary = absolutePath("binary", textOf(invocation, "binary") ?? binaryDefault);
  const given = textOf(invocation, "config");
  const config = given === null ? null : absolutePath("config", given);
  writeOut((isOn(invocation, "openrc") ? openrcScript : systemdUnit)({ binary, config }));
  return exitCodes.done;
}
