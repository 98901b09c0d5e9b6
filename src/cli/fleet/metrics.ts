/** The metrics of many guests as one Prometheus text: each sample gets the label `guest`. Pure. */
import { escapeControls } from "../../base/log-line.ts";
import type { Gathered } from "./gather.ts";

interface Family {
  /** `# HELP` and `# TYPE`, as the first guest that has it says them. */
  readonly head: string[];
  readonly samples: string[];
}

/** Of the fleet itself: whether a guest answered, and what the host pays for it. */
const own = {
  up: ["mem_agent_fleet_up", "1 for a guest whose agent answered, 0 for one whose agent did not."],
  host: ["mem_agent_fleet_host_bytes", "What the host pays for a guest: the proportional set size of its VMM."],
} as const;

/**
 * The label is the name in the list of guests, else the address: unlike the name that a guest gives itself, it is there
 * when the guest does not answer, and no two guests have the same.
 */
export function fleetMetrics(gathered: readonly Gathered<string>[], hostBytes: ReadonlyMap<string, number>): string {
  const families = new Map<string, Family>();
  const up = ownFamily(families, own.up);
  const host = ownFamily(families, own.host);
  for (const { guest, answer } of gathered) {
    const label = `guest="${labelValue(guest.label ?? guest.address)}"`;
    up.samples.push(`${own.up[0]}{${label}} ${answer === null ? 0 : 1}`);
    const bytes = hostBytes.get(guest.address);
    if (bytes !== undefined) host.samples.push(`${own.host[0]}{${label}} ${bytes}`);
    addText(families, answer ?? "", label);
  }
  return [...families.values()]
    .filter(({ samples }) => samples.length > 0)
    .map(({ head, samples }) => `${[...head, ...samples].join("\n")}\n`)
    .join("");
}

function ownFamily(families: Map<string, Family>, [name, help]: readonly [string, string]): Family {
  const family = { head: [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`], samples: [] };
  families.set(name, family);
  return family;
}

function familyOf(families: Map<string, Family>, name: string): Family {
  const known = families.get(name);
  if (known !== undefined) return known;
  const family = { head: [], samples: [] };
  families.set(name, family);
  return family;
}

function addText(families: Map<string, Family>, text: string, label: string): void {
  const started = new Set<Family>();
  for (const line of text.split("\n")) {
    const [, word = "", name = ""] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? [];
    if (name !== "") {
      const family = familyOf(families, name);
      if (word === "HELP" && family.head.length === 0) started.add(family);
      if (started.has(family)) family.head.push(line);
      continue;
    }
    const [, metric = "", labels = "", value = ""] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (metric === "") continue;
    familyOf(families, metric).samples.push(`${metric}{${label}${labels === "" ? "" : `,${labels}`}} ${value}`);
  }
}

function labelValue(value: string): string {
  return escapeControls(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"');
}
