/** One check of kernel or machine, as the start of the agent obeys it and `doctor` prints it. */

export type CheckState = "ok" | "warning" | "failure" | "info";

export interface Check {
  /** Stable name, for `--json` and for scripts. */
  readonly key: string;
  readonly title: string;
  readonly state: CheckState;
  /** What was seen, in one line. */
  readonly observed: string;
  /** The exact line that fixes it, or one line for each kind of machine; null where there is nothing to fix. */
  readonly remedy: string | null;
  /** True when an enabled feature cannot work without it: then a failure ends the start. */
  readonly needed: boolean;
}

/** What a look at one thing shows. */
export interface Found {
  readonly state: CheckState;
  readonly observed: string;
  readonly remedy?: string;
}

export const runAsRoot = "sudo mem-agent … (run it as root)";

/** A check from what was found. */
export function checkOf(key: string, title: string, needed: boolean, found: Found): Check {
  return { key, title, needed, state: found.state, observed: found.observed, remedy: found.remedy ?? null };
}
