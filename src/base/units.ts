/** Amounts as people read them, three digits with their unit, and the one conversion that kernel counts need. */

/** Bytes that `pages` pages take. */
export function pagesToBytes(pages: number, pageBytes: number): number {
  return pages * pageBytes;
}

/** Seconds to a thousandth: what the kernel's and our clocks are worth, and no long tails in JSON. */
export function secsOf(milliseconds: number): number {
  return Math.round(milliseconds) / 1000;
}

/** A share in percent to a thousandth; null stays null. */
export function roundPercent(percent: number | null): number | null {
  return percent === null ? null : Math.round(percent * 1000) / 1000;
}

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `0 B`, `1.5 KiB`, `12.3 MiB`, `812 GiB`. */
export function bytesText(bytes: number): string {
  let amount = Math.abs(bytes);
  let unit = 0;
  while (amount >= 999.5 && unit < byteUnits.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || amount >= 99.95 ? 0 : 1;
  return `${bytes < 0 ? "-" : ""}${amount.toFixed(digits)} ${byteUnits[unit] ?? "B"}`;
}

/** The two largest units of a time span: `0 s`, `0.4 s`, `48 s`, `4 min 12 s`, `3 d 4 h`. */
export function spanText(seconds: number): string {
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(seconds < 0.0995 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ] as const;
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/** `0 %`, `0.25 %`, `12.5 %`, `100 %`. */
export function percentText(percent: number): string {
  if (percent === 0 || percent >= 99.95) return `${Math.round(percent)} %`;
  return `${percent.toFixed(percent < 0.995 ? 2 : 1)} %`;
}

const secondsOf: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600, d: 86_400 };

/** Seconds of `90`, `90s`, `1.5s`, `10m`, `1h`, `2d`; null for what is no time span. */
export function parseSpan(text: string): number | null {
  const [, amount, unit = "s"] = /^(\d{1,15}(?:\.\d{1,9})?) ?(ms|s|m|min|h|d)?$/.exec(text) ?? [];
  return amount === undefined ? null : Number(amount) * (secondsOf[unit] ?? 1);
}

/** Bytes of `4096`, `512M`, `1.5G`, `64KiB`; null for what is no size. Units are of 1024. */
export function parseSize(text: string): number | null {
  const [, amount, unit = ""] = /^(\d{1,15}(?:\.\d{1,9})?) ?([KMGTP]?)(?:i?B)?$/i.exec(text) ?? [];
  if (amount === undefined) return null;
  return Math.round(Number(amount) * 1024 ** Math.max(0, " KMGTP".indexOf(unit.toUpperCase() || " ")));
}
