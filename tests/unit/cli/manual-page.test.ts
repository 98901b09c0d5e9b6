/** Pages of the manual as people see them, in a pipe and on a terminal. */
import { expect, test } from "bun:test";
import { manualPageLines } from "../../../src/cli/screens/manual-page.ts";
import { plainTerminal } from "../../../src/cli/screens/terminal.ts";
import { textWidth } from "../../../src/cli/screens/text.ts";
import { pageText, topicOf, topics } from "../../../src/manual/pages.ts";

test("marks become words, links name their topic, diagrams are left out", () => {
  const page = "# One `two`\n\nSee [rules](rules.md#x), **a `b`** and \\*.\n\n```mermaid\nx\n```\n\n- one\n- two\n";
  expect(manualPageLines(page, plainTerminal)).toEqual([
    "ONE TWO",
    "",
    "See rules (see help), a b and *.",
    "",
    "- one",
    "- two",
  ]);
});

test("a table that is too wide becomes paragraphs", () => {
  const wide = "x".repeat(30);
  const page = `| a | b | c |\n|---|---|---|\n| ${wide} | ${wide} | y\\|z |\n`;
  const lines = manualPageLines(page, { columns: 40, rows: 24, colour: false });
  expect(lines).toEqual([wide, `  b: ${wide}`, "  c: y|z"]);
});

const isCode = (line: string): boolean => line.startsWith("    ");

for (const topic of topics) {
  test(`${topic} fits a terminal, without a mark left`, async () => {
    const terminal = { columns: 80, rows: 24, colour: true };
    const lines = manualPageLines(await pageText(topic), terminal);
    expect(lines.filter((line) => textWidth(line) > 80 && !isCode(line) && / .* /.test(line.trim()))).toEqual([]);
    expect(lines.filter((line) => /<!--|\]\(/.test(line) && !isCode(line))).toEqual([]);
  });
}

test("no page names the variables whose names build.ts destroys in the executable", async () => {
  const texts = await Promise.all(topics.map(pageText));
  expect(texts.filter((text) => /BUN_(?:OPTIONS|BE_BUN)/.test(text))).toEqual([]);
});

test("words that people look for lead to a topic", () => {
  expect([topicOf("pace"), topicOf("rules"), topicOf("xyzzy")]).toEqual(["how-it-decides", "rules", null]);
});
