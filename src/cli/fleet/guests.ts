/** Which guests a command for many of them is for: addresses from the command line and from a file, globs expanded. */
import { globSync } from "node:fs";
import { parseAgentAddr } from "../../base/address.ts";
import { isFault, messageOf } from "../../base/fault.ts";
import { exitCodes, Failure } from "../failure.ts";

export interface FleetGuest {
  readonly address: string;
  /** As the file names it, null where it does not: then the guest names itself. */
  readonly label: string | null;
}

export interface FleetFile {
  readonly guests: readonly FleetGuest[];
  readonly problems: readonly string[];
}

/** More than that are no addresses that somebody wrote. */
const guestsMax = 10_000;

/** One address a line, and a name behind a blank; `#` begins a comment. Pure. */
export function parseFleetFile(text: string): FleetFile {
  const guests: FleetGuest[] = [];
  const problems: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const [address, label, ...more] = line
      .replace(/(^|\s)#.*$/, "")
      .trim()
      .split(/\s+/);
    if (address === undefined || address === "") continue;
    const problem = more.length > 0 ? "more than an address and a name" : addressProblem(address);
    if (problem === null) guests.push({ address, label: label ?? null });
    else problems.push(`line ${index + 1}: ${JSON.stringify(address)}: ${problem}`);
  }
  return { guests, problems };
}

function addressProblem(address: string): string | null {
  try {
    parseAgentAddr(address);
    return null;
  } catch (error) {
    return isFault(error) ? error.problems.join("; ") : messageOf(error);
  }
}

/**
 * The guests of these words and of this file's text, each once. Failure `usage` with every problem: what is no address, a
 * glob without a match, a name that is given twice, none at all.
 */
export function fleetGuests(words: readonly string[], file: { name: string; text: string } | null): FleetGuest[] {
  const problems: string[] = [];
  const guests: FleetGuest[] = [];
  for (const word of words) {
    const problem = addressProblem(word);
    if (problem === null) guests.push({ address: word, label: null });
    else problems.push(`${JSON.stringify(word)}: ${problem}`);
  }
  if (file !== null) {
    const read = parseFleetFile(file.text);
    guests.push(...read.guests);
    problems.push(...read.problems.map((problem) => `${file.name}: ${problem}`));
  }
  const expanded = guests.flatMap((guest) => expand(guest, problems));
  const unique = [...new Map(expanded.map((guest) => [guest.address, guest])).values()];
  const labels = unique.flatMap(({ label }) => label ?? []);
  for (const label of new Set(labels.filter((one, at) => labels.indexOf(one) !== at)))
    problems.push(`the name ${JSON.stringify(label)} is given to several guests; each needs its own`);
  if (problems.length === 0 && unique.length === 0)
    problems.push("no guest is named: give addresses (vsock://CID:PORT, hvsock:///path:PORT), or --from FILE");
  if (unique.length > guestsMax) problems.push(`${unique.length} guests; at most ${guestsMax} at a time`);
  if (problems.length > 0) throw new Failure(exitCodes.usage, problems);
  return unique;
}

/** The sockets that a path with `*`, `?` or `[` stands for. */
function expand(guest: FleetGuest, problems: string[]): FleetGuest[] {
  const address = parseAgentAddr(guest.address);
  if (address.kind === "vsock" || !/[*?[]/.test(address.path)) return [guest];
  const paths = globSync(address.path).toSorted();
  if (paths.length === 0) problems.push(`${JSON.stringify(guest.address)}: no such socket; see that a VM runs`);
  if (guest.label !== null && paths.length > 1)
    problems.push(`${JSON.stringify(guest.address)}: one name for ${paths.length} guests; leave it out`);
  const written = (path: string): string => (address.kind === "unix" ? path : `hvsock://${path}:${address.port}`);
  return paths.map((path) => ({ address: written(path), label: guest.label }));
}
