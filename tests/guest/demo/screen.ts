/**
 * Shows the demo while it goes on: on a terminal one picture that is drawn anew with each sample, in a pipe a line for
 * what happens and one every few seconds for what it costs.
 */
import { paint, terminalOf, type Style, type Terminal } from "../../../src/cli/screens/terminal.ts";
import { cutText, padText } from "../../../src/cli/screens/text.ts";
import { type Course, type Moment, roundStep, type Sample, type SeriesKey, seriesNames } from "./course.ts";

const eighths = " ▁▂▃▄▅▆▇█";
const scaleColumns = 7;
/** The time axis begins with this length and grows when the demo takes longer. */
const spanSecsMin = 60;
const notesShown = 5;
const lineEverySecs = 4;

export interface Frame {
  readonly title: string;
  readonly course: Course;
  readonly notes: readonly Moment[];
}

function stamp(atSecs: number): string {
  return `${atSecs.toFixed(0).padStart(4)} s`;
}

/** The host's memory by column, the last sample of each; null where there is none yet. */
function columnValues(samples: readonly Sample[], spanSecs: number, columns: number): (number | null)[] {
  const values: (number | null)[] = Array.from({ length: columns }, () => null);
  for (const { atSecs, hostMiB } of samples) {
    values[Math.min(columns - 1, Math.floor((atSecs / spanSecs) * columns))] = hostMiB;
  }
  const last = values.findLastIndex((value) => value !== null);
  let held: number | null = null;
  return values.map((value, column) => (column > last ? null : (held = value ?? held)));
}

/** The lines of the chart: rows with their scale, the marks, the time. */
export function chartLines({ samples, marks }: Course, rows: number, terminal: Terminal): string[] {
  const columns = (terminal.columns ?? 80) - scaleColumns - 2;
  const spanSecs = Math.max(spanSecsMin, samples.at(-1)?.atSecs ?? 0);
  const values = columnValues(samples, spanSecs, columns);
  const largest = Math.max(1, ...values.map((value) => value ?? 0));
  const step = roundStep(largest, 4);
  const top = Math.ceil(largest / step) * step;
  const lines: string[] = [];
  for (let row = rows - 1; row >= 0; row -= 1) {
    const blocks = values.map((value) => {
      const filled = Math.round(((value ?? 0) / top) * rows * 8 - row * 8);
      return eighths[Math.max(0, Math.min(8, filled))] ?? " ";
    });
    const scale = row === rows - 1 ? `${top}` : row === 0 ? "0" : "";
    lines.push(`${padText(scale, scaleColumns, "right")} ${paint(terminal, "cyan", blocks.join("").trimEnd())}`);
  }
  const under = Array.from({ length: columns }, () => " ");
  for (const { atSecs, text } of marks) {
    const at = Math.min(columns - 1, Math.floor((atSecs / spanSecs) * columns));
    const words = `▲ ${text}`.slice(0, columns - at);
    for (let index = 0; index < words.length; index += 1) under[at + index] = words.charAt(index);
  }
  const end = `${spanSecs.toFixed(0)} s`;
  lines.push(" ".repeat(scaleColumns + 1) + paint(terminal, "yellow", under.join("").trimEnd()));
  lines.push(" ".repeat(scaleColumns + 1) + paint(terminal, "dim", `0 s${padText(end, columns - 3, "right")}`));
  return lines;
}

function valueLine(terminal: Terminal, style: Style, name: string, mib: number, highest: number): string {
  const change = `${highest.toFixed(0)} -> ${mib.toFixed(0)} MiB`;
  return `${padText(name, 22, "left")}${paint(terminal, style, change)}`;
}

/** Everything that is on the screen at one moment. */
export function frameLines({ title, course, notes }: Frame, terminal: Terminal): string[] {
  const { samples } = course;
  // A line that the terminal breaks would be two, and the next frame would be drawn over the wrong ones.
  const fit = (text: string, columns = 0): string => cutText(text, (terminal.columns ?? 80) - columns, "end");
  const last = samples.at(-1);
  if (last === undefined) return [paint(terminal, "bold", fit(title))];
  const highest = (key: SeriesKey): number => Math.max(...samples.map((sample) => sample[key]));
  const rows = Math.max(4, Math.min(10, (terminal.rows ?? 24) - 8 - notesShown));
  return [
    paint(terminal, "bold", fit(title)),
    "",
    fit("What the host pays for this guest: its memory, MiB"),
    ...chartLines(course, rows, terminal),
    valueLine(terminal, "cyan", seriesNames.hostMiB, last.hostMiB, highest("hostMiB")),
    valueLine(terminal, "yellow", seriesNames.idleMiB, last.idleMiB, highest("idleMiB")),
    valueLine(terminal, "green", seriesNames.hotMiB, last.hotMiB, highest("hotMiB")),
    ...notes.slice(-notesShown).map(({ atSecs, text }) => `${paint(terminal, "dim", stamp(atSecs))}  ${fit(text, 8)}`),
  ];
}

export class Screen {
  readonly #terminal: Terminal = terminalOf(process.stdout, process.env);
  #drawn = 0;
  #saidSecs = Number.NEGATIVE_INFINITY;

  /** A line that stays. */
  say(line: string): void {
    this.#drawn = 0;
    process.stdout.write(`${line}\n`);
  }

  heading(line: string): void {
    this.say(paint(this.#terminal, "bold", line));
  }

  /** Something happened. On a terminal it is part of the next frame. */
  note({ atSecs, text }: Moment): void {
    if (this.#terminal.columns === null) this.say(`${stamp(atSecs)}  ${text}`);
  }

  show(frame: Frame): void {
    if (this.#terminal.columns === null) return this.#sayLast(frame.course.samples.at(-1));
    const lines = frameLines(frame, this.#terminal);
    const up = this.#drawn === 0 ? "" : `\u001b[${this.#drawn}A\r`;
    process.stdout.write(`${up}\u001b[J${lines.join("\n")}\n`);
    this.#drawn = lines.length;
  }

  #sayLast(sample: Sample | undefined): void {
    if (sample === undefined || sample.atSecs - this.#saidSecs < lineEverySecs) return;
    this.#saidSecs = sample.atSecs;
    const values = [
      [seriesNames.hostMiB, sample.hostMiB],
      [seriesNames.idleMiB, sample.idleMiB],
      [seriesNames.hotMiB, sample.hotMiB],
    ] as const;
    this.say(`${stamp(sample.atSecs)}  ${values.map(([name, mib]) => `${name} ${mib.toFixed(0)} MiB`).join(", ")}`);
  }
}
