/** Reads a list of guests; `-` is standard input. */
import { Fault, messageOf } from "../../base/fault.ts";

const bytesMax = 1024 * 1024;

/** Fault `io` where it cannot be read, `invalid` where it is too large for a list of guests. */
export async function readFleetFile(name: string): Promise<string> {
  let text: string;
  try {
    text = await Bun.file(name === "-" ? "/dev/stdin" : name).text();
  } catch (error) {
    throw new Fault("io", `cannot read ${name}: ${messageOf(error)}; name a file with an address on each line`);
  }
  if (text.length > bytesMax)
    throw new Fault("invalid", `cannot use ${name}: it is larger than 1 MiB; name less guests`);
  return text;
}
