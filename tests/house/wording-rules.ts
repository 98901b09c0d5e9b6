/** What no file of ours may hold, line by line. */

interface Rule {
  readonly pattern: RegExp;
  readonly why: string;
}

const unfinished = ["TO", "FIX", "XX", "HA"].map((start, index) => start + ["DO", "ME", "X", "CK"][index]);

const rules: readonly Rule[] = [
  { pattern: new RegExp(`\\b(${unfinished.join("|")})\\b`), why: "unfinished work belongs into an issue" },
  { pattern: /not (yet )?implemented/i, why: "what is not there is not claimed" },
  { pattern: /\b(test|it|describe)\.(skip|todo|only|failing)\b/, why: "every test runs" },
  { pattern: /^export default\b/, why: "exports have names" },
  { pattern: /^export \*/, why: "no barrels: import from where it is" },
  { pattern: /@ts-(ignore|nocheck|expect-error)/, why: "the types hold for all" },
  { pattern: /(oxlint|eslint)-disable(?!-next-line [\w/-]+ -- \S)/, why: "one line at a time, one rule, and a reason" },
];

/** `12: <why>` for each line that breaks a rule. */
export function wordingViolations(text: string): readonly string[] {
  return text
    .split("\n")
    .flatMap((line, index) =>
      rules.filter(({ pattern }) => pattern.test(line)).map(({ why }) => `${index + 1}: ${why}`),
    );
}

/** Names that say nothing about what is in a file. */
export function isVagueName(path: string): boolean {
  return /(^|\/)(utils?|helpers?|common|misc|shared|index)(\.ts|\/)/.test(path);
}
