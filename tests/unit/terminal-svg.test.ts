import { expect, test } from "bun:test";
import { terminalSvg } from "../guest/demo/terminal-svg.ts";

test("lines become texts in their colours, at their columns, and nothing of them is markup", () => {
  const svg = terminalSvg(["\u001b[1mhead\u001b[22m  \u001b[33m1 < 2\u001b[39m & x", "", "数 b"], 20, "a <screen>");
  expect(svg).toStartWith("<svg ");
  expect(svg).toContain("<title>a &lt;screen></title>");
  expect(svg).toContain('font-weight="bold">head</tspan>');
  expect(svg).toContain('fill="#e5b95c">1 &lt; 2</tspan>');
  expect(svg).toMatch(/x="117\.2" [^>]*>&amp; x</);
  expect(svg.match(/<text /g)).toHaveLength(3);
  expect(svg).not.toContain("\u001b");
});
