/**
 * Rules for cgroups and nodes: which one holds for a target, and how a list of them is edited.
 *
 * For a target the nearest rule wins. In this order: the cgroup's own path before its parent's, and so on upward; at one
 * level an exact path before a glob; then a rule that names the node before one that names none. What SPEC leaves
 * open is settled so: among globs the one with more levels without a star, then the longer one; among rules of one path
 * the one that names fewer nodes; then the one that was declared first. A rule with `no_subdir` holds only for the
 * cgroups that its path itself names. One rule holds, not several: what it leaves unsaid comes from the base settings.
 */
import { compileGlob, type Glob, globMatches, isGlob, levelsOf } from "./path.ts";
import type { Problem } from "./problems.ts";
import {
  type MemcgRule,
  type MemcgSettings,
  type RulePatch,
  type RuleTarget,
  ruleValueKeys,
  type Settings,
  type SettingValue,
} from "./schema.ts";

/** What holds for a target; the objects are the same ones for all targets of a rule. */
export interface Effective {
  readonly settings: MemcgSettings;
  /** Null where the base settings hold. */
  readonly rule: MemcgRule | null;
}

/** The rule's identity in the form of the flags, `path=/a,numa-id=0:1`: unique, and it can be given to `--memcg-del`. */
export function ruleId(target: RuleTarget): string {
  const path = `path=${target.path.replaceAll("\\", "\\\\").replaceAll(",", "\\,")}`;
  return target.numa_id === undefined ? path : `${path},numa-id=${target.numa_id.join(":")}`;
}

/** The rule's keys that are said, without path and nodes. */
export function ruleValues(rule: RulePatch): [key: string, value: SettingValue][] {
  const said = rule as unknown as Readonly<Record<string, SettingValue | undefined>>;
  return ruleValueKeys.flatMap((key): [string, SettingValue][] => {
    const value = said[key];
    return value === undefined ? [] : [[key, value]];
  });
}

/** A rule of these values at the target of another. */
export function ruleOf(target: RuleTarget, values: Iterable<readonly [string, SettingValue]>): MemcgRule {
  return {
    path: target.path,
    ...(target.numa_id === undefined ? {} : { numa_id: target.numa_id }),
    no_subdir: false,
    ...Object.fromEntries(values),
  };
}

/** True when no cgroup can be a target: the base settings are off, and no rule switches any on. */
export function isMemcgOff({ disabled, cgroups }: Settings["memcg"]): boolean {
  return disabled && cgroups.every((rule) => rule.disabled !== false);
}

interface CompiledRule {
  readonly rule: MemcgRule;
  readonly nodes: ReadonlySet<number> | null;
  readonly glob: Glob | null;
  readonly effective: Effective;
}

export interface RuleBook {
  /** @param path as the kernel writes it: `/a/b`, and `/` for the root */
  lookup(path: string, node: number): Effective;
  /** The agent's own cgroup, which is disabled unless a rule names it; null where that is not known. */
  readonly ownCgroup: string | null;
}

/**
 * Prepares the rules for many lookups; without rules a lookup allocates nothing. `ownCgroup` is the agent's, which is left
 * alone unless a rule names its very path: what the agent reads again to run costs more than it frees.
 */
export function compileRules(memcg: Settings["memcg"], ownCgroup: string | null = null): RuleBook {
  const book = bookOf(memcg);
  if (ownCgroup === null) return book;
  return {
    ownCgroup,
    lookup(path, node) {
      const found = book.lookup(path, node);
      if (path !== ownCgroup || found.rule?.path === ownCgroup) return found;
      return { settings: { ...found.settings, disabled: true }, rule: found.rule };
    },
  };
}

function bookOf({ cgroups, ...base }: Settings["memcg"]): RuleBook {
  const plain: Effective = { settings: base, rule: null };
  if (cgroups.length === 0) return { lookup: () => plain, ownCgroup: null };
  const compiled = cgroups.map((rule) => compileRule(base, rule));
  const globs = compiled.filter((one) => one.glob !== null).toSorted(byGlob);
  const exact = Map.groupBy(compiled.filter((one) => one.glob === null).toSorted(byNodes), (one) => one.rule.path);
  return { lookup: (path, node) => nearestRule(exact, globs, path, node)?.effective ?? plain, ownCgroup: null };
}

function compileRule(base: MemcgSettings, rule: MemcgRule): CompiledRule {
  const overrides = ruleValues(rule).filter(([key]) => key !== "no_subdir");
  return {
    rule,
    nodes: rule.numa_id === undefined ? null : new Set(rule.numa_id),
    glob: isGlob(rule.path) ? compileGlob(rule.path) : null,
    effective: { settings: { ...base, ...Object.fromEntries(overrides) }, rule },
  };
}

function byNodes(left: CompiledRule, right: CompiledRule): number {
  const [leftSize, rightSize] = [left.nodes?.size ?? Infinity, right.nodes?.size ?? Infinity];
  return leftSize === rightSize ? 0 : leftSize - rightSize;
}

function byGlob(left: CompiledRule, right: CompiledRule): number {
  if ((left.nodes === null) !== (right.nodes === null)) return left.nodes === null ? 1 : -1;
  const [one, other] = [left.glob, right.glob];
  if (one === null || other === null) return 0;
  return other.literalLevels - one.literalLevels || other.length - one.length || byNodes(left, right);
}

function nearestRule(
  exact: ReadonlyMap<string, readonly CompiledRule[]>,
  globs: readonly CompiledRule[],
  path: string,
  node: number,
): CompiledRule | null {
  const names = globs.length === 0 ? [] : levelsOf(path);
  let at = path;
  let count = names.length;
  let own = true;
  const holds = (one: CompiledRule): boolean =>
    (own || !one.rule.no_subdir) && (one.nodes === null || one.nodes.has(node));
  for (;;) {
    const found =
      exact.get(at)?.find(holds) ??
      globs.find((one) => one.glob !== null && holds(one) && globMatches(one.glob, names, count));
    if (found !== undefined) return found;
    if (at === "/" || at === "") return null;
    at = at.slice(0, at.lastIndexOf("/")) || "/";
    count--;
    own = false;
  }
}

/** A cgroup by its path, with the nodes that have memory of it. */
export interface CgroupNodes {
  readonly path: string;
  readonly nodes: readonly number[];
}

/** The rules whose path, or nodes, none of these cgroups has. What lies below a rule's path does not count: it is there too. */
export function unmatchedRules(rules: readonly MemcgRule[], cgroups: Iterable<CgroupNodes>): MemcgRule[] {
  const left = new Map(
    rules.map((rule) => [
      rule,
      { glob: isGlob(rule.path) ? compileGlob(rule.path) : null, nodes: rule.numa_id ?? null },
    ]),
  );
  for (const { path, nodes } of cgroups) {
    if (left.size === 0) break;
    let names: readonly string[] | null = null;
    for (const [rule, wanted] of left) {
      if (wanted.nodes !== null && !wanted.nodes.some((node) => nodes.includes(node))) continue;
      if (wanted.glob === null) {
        if (rule.path === path) left.delete(rule);
        continue;
      }
      names ??= levelsOf(path);
      if (globMatches(wanted.glob, names, names.length)) left.delete(rule);
    }
  }
  return [...left.keys()];
}

/** Edits of the rule list; taken in the order del, set, add, so that one request can replace a rule. */
export interface RuleEdits {
  readonly add?: readonly RulePatch[];
  readonly set?: readonly RulePatch[];
  readonly del?: readonly RuleTarget[];
}

/**
 * Applies the edits, or says everything that prevents it: `add` of a rule that is there, `set` and `del` of one that
 * is not. `set` changes only the keys it names. The rules that come back are to be used only if there are no problems.
 */
export function editRules(
  rules: readonly MemcgRule[],
  edits: RuleEdits,
): { readonly rules: readonly MemcgRule[]; readonly problems: readonly Problem[] } {
  const byId = new Map(rules.map((rule) => [ruleId(rule), rule]));
  const problems: Problem[] = [];
  const missing = (list: string, index: number, id: string): void => {
    const there = [...byId.keys()].slice(0, 10).join(" ");
    problems.push({
      key: `${list}[${index}]`,
      message: `there is no rule ${id}`,
      allowed: there === "" ? `none is there; use add` : `one of ${there}`,
    });
  };
  for (const [index, target] of (edits.del ?? []).entries()) {
    if (!byId.delete(ruleId(target))) missing("del", index, ruleId(target));
  }
  for (const [index, patch] of (edits.set ?? []).entries()) {
    const id = ruleId(patch);
    const rule = byId.get(id);
    if (rule === undefined) missing("set", index, id);
    else byId.set(id, ruleOf(rule, [...ruleValues(rule), ...ruleValues(patch)]));
  }
  for (const [index, patch] of (edits.add ?? []).entries()) {
    const id = ruleId(patch);
    if (byId.has(id)) {
      problems.push({ key: `add[${index}]`, message: `the rule ${id} is there already`, allowed: "set, or del first" });
    } else byId.set(id, ruleOf(patch, ruleValues(patch)));
  }
  return { rules: [...byId.values()], problems };
}
