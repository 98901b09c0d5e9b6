/** The Markdown of the manual as blocks: no more of the language than its pages use. */

export type Block =
  | { readonly type: "heading"; readonly level: number; readonly text: string }
  | { readonly type: "paragraph"; readonly text: string }
  | { readonly type: "item"; readonly mark: string; readonly text: string }
  | { readonly type: "code"; readonly language: string; readonly lines: readonly string[] }
  | { readonly type: "table"; readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] };

export type Span =
  | { readonly type: "text" | "code" | "strong" | "emphasis"; readonly text: string }
  | { readonly type: "link"; readonly text: string; readonly to: string };

/** Comments, such as the marks around generated parts, are left out. */
export function parseMarkdown(text: string): readonly Block[] {
  const lines = text.replaceAll(/<!--[^]*?-->/g, "").split("\n");
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const end = blockEnd(lines, at);
    const block = blockOf(lines.slice(at, end));
    if (block !== null) blocks.push(block);
    at = end;
  }
  return blocks;
}

const isFence = (line: string): boolean => line.startsWith("```");
const isItem = (line: string): boolean => /^(?:-|\d+\.) /.test(line);

/** The line behind the block that begins here. */
function blockEnd(lines: readonly string[], start: number): number {
  const first = lines[start] ?? "";
  if (isFence(first)) {
    const close = lines.findIndex((line, index) => index > start && isFence(line));
    return close < 0 ? lines.length : close + 1;
  }
  if (first.startsWith("|")) {
    const other = lines.findIndex((line, index) => index > start && !line.startsWith("|"));
    return other < 0 ? lines.length : other;
  }
  if (first.trim() === "" || first.startsWith("#")) return start + 1;
  const next = lines.findIndex(
    (line, index) => index > start && (line.trim() === "" || isItem(line) || isFence(line) || /^[|#]/.test(line)),
  );
  return next < 0 ? lines.length : next;
}

function blockOf(lines: readonly string[]): Block | null {
  const [first = ""] = lines;
  if (first.trim() === "") return null;
  if (isFence(first)) {
    return {
      type: "code",
      language: first.slice(3),
      lines: lines.slice(1, isFence(lines.at(-1) ?? "") ? -1 : undefined),
    };
  }
  if (first.startsWith("|")) {
    const [head = [], , ...rows] = lines.map(cellsOf);
    return { type: "table", head, rows };
  }
  const [, signs = "", title = ""] = /^(#+) (.*)$/.exec(first) ?? [];
  if (signs !== "") return { type: "heading", level: signs.length, text: title };
  const text = lines.map((line) => line.trim()).join(" ");
  const [, mark = "", rest = ""] = /^(-|\d+\.) (.*)$/.exec(text) ?? [];
  return mark === "" ? { type: "paragraph", text } : { type: "item", mark, text: rest };
}

/** A bar behind a backslash belongs to the cell. */
function cellsOf(line: string): string[] {
  return line
    .replace(/^\|/, "")
    .replace(/\|\s*$/, "")
    .split(/(?<!\\)\|/)
    .map((cell) => cell.replaceAll("\\|", "|").trim());
}

/** The text of a block in its parts. */
export function spansOf(text: string): readonly Span[] {
  const spans: Span[] = [];
  let plain = "";
  const flush = (): void => {
    if (plain !== "") spans.push({ type: "text", text: plain });
    plain = "";
  };
  const parts = /`([^`]+)`|\*\*(.+?)\*\*|(?<!\\)\*([^*\s][^*]*?)(?<!\\)\*|\[([^\]]+)\]\(([^)]+)\)|\\([*|\\])/g;
  let end = 0;
  for (const found of text.matchAll(parts)) {
    const [whole, code, strong, emphasis, label, to, escaped] = found;
    plain += text.slice(end, found.index);
    end = found.index + whole.length;
    if (escaped !== undefined) {
      plain += escaped;
      continue;
    }
    flush();
    if (code !== undefined) spans.push({ type: "code", text: code });
    else if (strong !== undefined) spans.push({ type: "strong", text: strong });
    else if (emphasis !== undefined) spans.push({ type: "emphasis", text: emphasis });
    else spans.push({ type: "link", text: label ?? "", to: to ?? "" });
  }
  plain += text.slice(end);
  flush();
  return spans;
}

/** The topic that a link within the manual leads to, null for any other link. */
export function linkedTopic(to: string): string | null {
  return /^([\w-]+)\.md(?:#|$)/.exec(to)?.[1] ?? null;
}
