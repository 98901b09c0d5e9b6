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

/** Phrases that no native engineer writes: a sign that a text was translated. */
const giveaways: readonly Rule[] = [
  { pattern: /\bto be had\b/i, why: "write available, or say who has it" },
  { pattern: /\bleaves? away\b/i, why: "write drops or omits" },
  { pattern: /\bmend(s|ed|ing)?\b/i, why: "write fix" },
  { pattern: /\bheed(s|ed|ing)?\b/i, why: "write obey or follow" },
  { pattern: /\bis so already\b/i, why: "write already set" },
  { pattern: /\banew\b/i, why: "write again, or from zero" },
  { pattern: /\bwhoever\b/i, why: "name who that is" },
  { pattern: /\bmany a\b/i, why: "write many" },
  { pattern: /(?<![-\w])stands?\b(?!(?: for| in| out| alone|-in)\b)/i, why: "write is, or say how it got there" },
];

/** What opens a sentence of the manual with a clause in the place of a name. */
const clauseAsSubject: Rule = {
  pattern: /(^|[.;:] |\bof |\| )what is [a-z ]+ (is|are|goes|stays|comes|counts)\b/i,
  why: "name the thing: the cold pages, the rest, the evicted memory",
};

/** `12: <why>` for each line with a giveaway. @param isProse for pages of the manual, which people read as a text */
export function giveawayViolations(text: string, isProse: boolean): readonly string[] {
  const applied = isProse ? [...giveaways, clauseAsSubject] : giveaways;
  return text
    .split("\n")
    .flatMap((line, index) =>
      applied.filter(({ pattern }) => pattern.test(line)).map(({ why }) => `${index + 1}: ${why}`),
    );
}
