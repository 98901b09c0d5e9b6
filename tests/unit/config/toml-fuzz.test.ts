import { expect, test } from "bun:test";
import { formatProblem } from "../../../src/config/problems.ts";
import { sampleToml } from "../../../src/config/docs.ts";
import { parseConfig, parsePlaced, parseQuickly } from "../../../src/config/toml.ts";
import { randomFrom } from "./random.ts";

const filesCount = 20_000;
const seeds = [
  sampleToml().replaceAll(/^#(?=[a-z_]+ =|\[\[)/gm, ""),
  "[memcg]\nswap = true\nperiod_secs = 300\n\n[[memcg.cgroups]]\npath = '/a'\nnuma_id = [1, 0]\n\n[compact]\norder = 8\n",
  "memcg = { swap = true, cgroups = [{ path = '/a/*' }, { path = '/b', disabled = true }] }\nlog.level = 'info'\n",
  '[compact]\nforce_times = 9223372036854775807\nthreshold = 1_024 # pages\n[control]\naddr = "unix:///run/x.sock"\n',
];
const tokens = [
  "[",
  "]",
  "[[",
  "]]",
  "{",
  "}",
  "=",
  ".",
  ",",
  "#",
  "\n",
  "\r\n",
  '"',
  "'",
  '"""',
  "'''",
  "\\",
  "\\u0041",
  "true",
  "false",
  "nan",
  "inf",
  "-1",
  "0",
  "1e400",
  "0x7f",
  "1979-05-27",
  "07:32:00",
  "18446744073709551615",
  "memcg",
  "cgroups",
  "path",
  "period_secs",
  "__proto__",
  "constructor",
  "\u0000",
  "\u007f",
  "\ud800",
  "ä",
  "𝄞",
  "\uFEFF",
  " ",
  "\t",
  "never",
];

function mutated(text: string, random: ReturnType<typeof randomFrom>): string {
  let result = text;
  for (let count = 1 + random.below(4); count > 0; count--) {
    const at = random.below(result.length + 1);
    const length = random.below(random.below(4) === 0 ? 60 : 4);
    const other = random.below(result.length + 1);
    const inserted = [
      random.pick(tokens),
      "",
      result.slice(other, other + random.below(40)),
      String.fromCharCode(random.below(256)),
    ];
    result = result.slice(0, at) + random.pick(inserted) + result.slice(at + length);
  }
  return result;
}

test("20,000 mutated files: an answer or our problems, and one answer from both parsers", async () => {
  const random = randomFrom(20_251);
  let answers = 0;
  for (let count = 0; count < filesCount; count++) {
    const text = mutated(random.pick(seeds), random);
    const { overrides, problems } = await parseConfig(text, { file: "x.toml" });
    for (const problem of problems) {
      expect(problem.line).toBeGreaterThan(0);
      expect(problem.column).toBeGreaterThan(0);
      expect(formatProblem(problem)).toMatch(/^x\.toml:\d+:\d+: [^\n]+$/);
    }
    if (problems.length > 0) {
      expect(overrides).toEqual({});
      continue;
    }
    answers++;
    const quick = parseQuickly(text);
    if (quick !== null && text.isWellFormed())
      expect({ text, ...(await parsePlaced(text)) }).toEqual({ text, overrides: quick, problems: [] });
  }
  expect(answers).toBeGreaterThan(filesCount / 20);
  expect(answers).toBeLessThan(filesCount);
}, 120_000);
