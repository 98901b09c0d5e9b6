/** Rules that match no cgroup: mostly a misspelt path, and what it should protect is evicted like all the rest. */
import { ruleId, unmatchedRules } from "../../config/rules.ts";
import type { MemcgRule } from "../../config/schema.ts";
import type { Warnings } from "../warnings.ts";
import type { MemcgRegistry } from "./registry.ts";

const unmatchedWarning = "rules_unmatched";
/** A service that is restarted has no cgroup for a moment. */
const graceMs = 60_000;
const shownMax = 5;

export class RuleCheck {
  readonly #registry: MemcgRegistry;
  readonly #warnings: Warnings;
  /** By the rule's identity, since when it matches nothing. */
  #sinceMs: ReadonlyMap<string, number> = new Map();

  constructor(registry: MemcgRegistry, warnings: Warnings) {
    this.#registry = registry;
    this.#warnings = warnings;
  }

  /** To be called when a snapshot was taken, and when the rules changed. */
  look(rules: readonly MemcgRule[], nowMs: number): void {
    const unmatched = rules.length === 0 ? [] : unmatchedRules(rules, this.#cgroups());
    const before = this.#sinceMs;
    this.#sinceMs = new Map(unmatched.map((rule) => [ruleId(rule), before.get(ruleId(rule)) ?? nowMs]));
    const lasting = unmatched.filter((rule) => nowMs - (this.#sinceMs.get(ruleId(rule)) ?? nowMs) >= graceMs);
    if (lasting.length === 0) this.#warnings.clear(unmatchedWarning);
    else this.#warnings.raise(unmatchedWarning, text(lasting), "mem-agent config show");
  }

  *#cgroups() {
    for (const { path, targets } of this.#registry.cgroups.values()) {
      yield { path, nodes: targets.map(({ node }) => node) };
    }
  }
}

function text(rules: readonly MemcgRule[]): string {
  const shown = rules.slice(0, shownMax).map((rule) => ruleId(rule));
  const more = rules.length > shownMax ? ` and ${rules.length - shownMax} more` : "";
  const what = rules.length === 1 ? "a rule matches no cgroup" : `${rules.length} rules match no cgroup`;
  return `${what}: ${shown.join(" ")}${more}; nothing is protected or changed by ${rules.length === 1 ? "it" : "them"}`;
}
