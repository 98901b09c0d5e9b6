/** What a terminal shows as a picture: lines with the escape sequences of their colours. Pure. */

const fontPx = 14;
const columnPx = 8.43;
const linePx = 19;
const marginPx = 16;

const background = "#15191e";
const foreground = "#d8dee6";
/** By the number in the escape sequence; see terminal.ts. */
const colours: Readonly<Record<number, string>> = {
  31: "#ff7a72",
  32: "#6fd08c",
  33: "#e5b95c",
  34: "#6cb0f5",
  35: "#d295ea",
  36: "#5cc8cf",
};

interface Ink {
  readonly colour: string;
  readonly bold: boolean;
  readonly dim: boolean;
}

const plain: Ink = { colour: foreground, bold: false, dim: false };

function inkAfter(ink: Ink, code: number): Ink {
  if (code === 1) return { ...ink, bold: true };
  if (code === 2) return { ...ink, dim: true };
  if (code === 22) return { ...ink, bold: false, dim: false };
  return { ...ink, colour: colours[code] ?? foreground };
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** Text between two escape sequences; blanks are moved over, since not every viewer keeps them. */
function spans(line: string): string[] {
  let ink = plain;
  let column = 0;
  // oxlint-disable-next-line no-control-regex -- escape sequences are what it reads
  return line.split(/(\u001b\[\d+m)/).flatMap((part) => {
    // oxlint-disable-next-line no-control-regex -- as above
    const code = /^\u001b\[(\d+)m$/.exec(part)?.[1];
    if (code !== undefined) {
      ink = inkAfter(ink, Number(code));
      return [];
    }
    const from = column;
    column += Bun.stringWidth(part);
    return [...part.matchAll(/\S+(?: \S+)*/g)].map((match) => {
      const x = marginPx + columnPx * (from + Bun.stringWidth(part.slice(0, match.index)));
      const width = columnPx * Bun.stringWidth(match[0]);
      const more = `${ink.bold ? ' font-weight="bold"' : ""}${ink.dim ? ' opacity="0.6"' : ""}`;
      const size = `x="${x.toFixed(1)}" textLength="${width.toFixed(1)}" lengthAdjust="spacingAndGlyphs"`;
      return `<tspan ${size} fill="${ink.colour}"${more}>${escaped(match[0])}</tspan>`;
    });
  });
}

/** @param title for those who cannot see it */
export function terminalSvg(lines: readonly string[], columns: number, title: string): string {
  const width = Math.ceil(2 * marginPx + columns * columnPx);
  const height = 2 * marginPx + lines.length * linePx;
  const texts = lines.map((line, row) => {
    const y = marginPx + (row + 0.75) * linePx;
    return `<text y="${y.toFixed(1)}">${spans(line).join("")}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${fontPx}">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" rx="8" fill="${background}"/>`,
    ...texts,
    "</svg>",
    "",
  ].join("\n");
}
