/** What a process costs, read from another one's /proc text or from its own. */

export interface ProcessIo {
  readonly reads: number;
  readonly writes: number;
  readonly readBytes: number;
}

/** Text of /proc/PID/io: read(2) and write(2) and the like, and what went through them. */
export function parseProcessIo(text: string): ProcessIo {
  const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1]);
  return { reads: field("syscr"), writes: field("syscw"), readBytes: field("rchar") };
}

/** Clock ticks of /proc/PID/stat are hundredths of a second on every machine that Debian runs on. */
const ticksPerSec = 100;

/** CPU seconds of a process with all its threads, from the text of /proc/PID/stat. */
export function parseCpuSecs(text: string): number {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSec;
}

/** Kilobytes of a line in /proc/PID/status or smaps_rollup, as MiB. */
export function parseMib(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]) / 1024;
}

/** Sum of a counter over the status texts of all threads. */
export function sumOf(texts: string, name: string): number {
  let sum = 0;
  for (const match of texts.matchAll(new RegExp(`^${name}:\\s+(\\d+)`, "gm"))) sum += Number(match[1]);
  return sum;
}
