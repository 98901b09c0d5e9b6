/** The course of the demo as a picture. Pure. */
import { type Course, type Moment, roundStep, seriesNames, type SeriesKey } from "./course.ts";

const width = 960;
const height = 480;
const plot = { left: 76, right: width - 24, top: 92, bottom: height - 56 };

/** Colours that stay apart for people who do not see red from green. */
const colours: Readonly<Record<SeriesKey, string>> = { hostMiB: "#0b5fa5", idleMiB: "#d9730d", hotMiB: "#5b7f2a" };
const keys = Object.keys(colours) as readonly SeriesKey[];

interface Scale {
  readonly x: (secs: number) => number;
  readonly y: (mib: number) => number;
  readonly secsMax: number;
  readonly mibMax: number;
  readonly secsStep: number;
  readonly mibStep: number;
}

function scaleOf({ samples }: Course): Scale {
  const secsLast = Math.max(1, ...samples.map(({ atSecs }) => atSecs));
  const mibLargest = Math.max(1, ...samples.flatMap((sample) => keys.map((key) => sample[key])));
  const mibStep = roundStep(mibLargest, 5);
  const mibMax = Math.ceil(mibLargest / mibStep) * mibStep;
  return {
    x: (secs) => plot.left + (secs / secsLast) * (plot.right - plot.left),
    y: (mib) => plot.bottom - (mib / mibMax) * (plot.bottom - plot.top),
    secsMax: secsLast,
    mibMax,
    secsStep: roundStep(secsLast, 8),
    mibStep,
  };
}

function steps(step: number, max: number): readonly number[] {
  return Array.from({ length: Math.floor(max / step + 1e-9) + 1 }, (_, index) => index * step);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function text(x: number, y: number, words: string, more = ""): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escaped(words)}</text>`;
}

function axes({ x, y, secsMax, mibMax, secsStep, mibStep }: Scale): string[] {
  const across = steps(mibStep, mibMax).flatMap((mib) => [
    `<line class="grid" x1="${plot.left}" x2="${plot.right}" y1="${y(mib).toFixed(1)}" y2="${y(mib).toFixed(1)}"/>`,
    text(plot.left - 8, y(mib) + 4, String(mib), 'class="tick" text-anchor="end"'),
  ]);
  const along = steps(secsStep, secsMax).flatMap((secs) => [
    `<line class="axis" x1="${x(secs).toFixed(1)}" x2="${x(secs).toFixed(1)}" y1="${plot.bottom}" y2="${plot.bottom + 5}"/>`,
    text(x(secs), plot.bottom + 20, String(secs), 'class="tick" text-anchor="middle"'),
  ]);
  const middle = (plot.top + plot.bottom) / 2;
  return [
    ...across,
    `<line class="axis" x1="${plot.left}" x2="${plot.right}" y1="${plot.bottom}" y2="${plot.bottom}"/>`,
    ...along,
    text((plot.left + plot.right) / 2, height - 16, "seconds", 'class="label" text-anchor="middle"'),
    text(22, middle, "MiB", `class="label" text-anchor="middle" transform="rotate(-90 22 ${middle})"`),
  ];
}

/** Labels that would lie over each other stand on rows below each other. */
function marks(moments: readonly Moment[], { x }: Scale): string[] {
  const ends: number[] = [];
  return moments.flatMap(({ atSecs, text: words }) => {
    const at = x(atSecs);
    const row = ends.findIndex((end) => end < at);
    const taken = row === -1 ? ends.length : row;
    const room = plot.right - at;
    const columns = words.length * 6.6 + 12;
    const left = room < columns;
    ends[taken] = left ? Number.POSITIVE_INFINITY : at + columns;
    const anchor = left ? 'text-anchor="end"' : "";
    return [
      `<line class="mark" x1="${at.toFixed(1)}" x2="${at.toFixed(1)}" y1="${plot.top}" y2="${plot.bottom}"/>`,
      text(at + (left ? -6 : 6), plot.top + 12 + taken * 16, words, `class="tick" ${anchor}`),
    ];
  });
}

function line({ samples }: Course, key: SeriesKey, { x, y }: Scale): string {
  const points = samples.map((sample) => `${x(sample.atSecs).toFixed(1)},${y(sample[key]).toFixed(1)}`).join(" ");
  return `<polyline points="${points}" stroke="${colours[key]}" stroke-width="${key === "hostMiB" ? 3 : 2}"/>`;
}

function legend(): string[] {
  let left = plot.left;
  return keys.flatMap((key) => {
    const at = left;
    left += 44 + seriesNames[key].length * 7.2;
    return [
      `<line x1="${at}" x2="${at + 22}" y1="70" y2="70" stroke="${colours[key]}" stroke-width="${key === "hostMiB" ? 3 : 2}"/>`,
      text(at + 28, 74, seriesNames[key], 'class="label"'),
    ];
  });
}

/** @param title above the picture; @param subtitle below it, smaller */
export function renderSvg(course: Course, title: string, subtitle: string): string {
  const scale = scaleOf(course);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>
  text { font-family: system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 18px; font-weight: 600; }
  .label { font-size: 13px; }
  .tick { font-size: 12px; fill: #59636e; }
  .grid { stroke: #e4e7eb; }
  .axis { stroke: #8c959f; }
  .mark { stroke: #8c959f; stroke-dasharray: 3 4; }
  polyline { fill: none; stroke-linejoin: round; stroke-linecap: round; }
</style>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${text(plot.left, 30, title, 'class="title"')}
${text(plot.left, 50, subtitle, 'class="tick"')}
${[...legend(), ...axes(scale), ...marks(course.marks, scale), ...keys.map((key) => line(course, key, scale))].join("\n")}
</svg>
`;
}
