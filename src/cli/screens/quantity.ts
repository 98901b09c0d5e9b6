/** Counts, times and short spans, as the screens show them. */
import { bytesText } from "../../base/units.ts";

/** The largest unit alone, for narrow columns: `48s`, `4m`, `3d`. */
export function shortSpanText(seconds: number): string {
  if (seconds < 99.5) return `${Math.round(seconds)}s`;
  if (seconds < 99.5 * 60) return `${Math.round(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)}h`;
  return `${Math.round(seconds / 86_400)}d`;
}

/** The largest unit alone, in words: `24 s`, `4 min`, `3 h`, `2 d`. */
export function ageText(seconds: number): string {
  return shortSpanText(seconds).replace(/\D+$/, (unit) => ` ${unit === "m" ? "min" : unit}`);
}

/** Bytes over time, `1.2 GiB·h`; empty below a MiB for an hour. */
export function byteHoursText(byteSecs: number): string {
  const bytes = byteSecs / 3600;
  return bytes < 1024 * 1024 ? "" : `${bytesText(bytes)}·h so far`;
}

/** `1 target`, `2 targets`. */
export function countText(count: number, noun: string, plural = `${noun}s`): string {
  return `${groupDigits(count)} ${count === 1 ? noun : plural}`;
}

/** Thousands set apart by a comma. */
export function groupDigits(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ",");
}

function two(amount: number): string {
  return String(amount).padStart(2, "0");
}

/** The wall clock of an ISO 8601 time in the machine's zone: the time alone when it is of today, else with its date. */
export function clockText(iso: string, nowMs: number): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  if (time.toDateString() === new Date(nowMs).toDateString()) return clock;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock}`;
}
