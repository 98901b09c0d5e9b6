/** The generations of a target as one bar: how much of its memory has not been touched for how long. */
import { bytesText } from "../../base/units.ts";
import type { GenerationStatus, TargetStatus } from "../../agent/status.ts";
import { shortSpanText } from "./quantity.ts";
import type { Cell, StyledText } from "./table.ts";
import type { Style, Terminal } from "./terminal.ts";

/** Oldest first: shade and colour both say the age, so that the bar is read without colour as well. */
const shades: readonly { readonly character: string; readonly style: Style }[] = [
  { character: "█", style: "blue" },
  { character: "▓", style: "cyan" },
  { character: "▒", style: "yellow" },
  { character: "░", style: "red" },
];

/** On a narrow terminal the paths need the room. */
function barColumns(terminal: Terminal): number {
  return (terminal.columns ?? 0) < 100 ? 10 : 16;
}

/** What the shades mean, for the line below a table. */
export const barLegend = "Ages: █ oldest generation  ▓ ▒  ░ youngest";

function generationBytes(generation: GenerationStatus): number {
  return generation.anon_bytes + generation.file_bytes;
}

/** Shares of `columns` as whole columns: the sum is `columns`, and what is not nothing gets one where there is room. */
export function shareColumns(amounts: readonly number[], columns: number): number[] {
  const total = amounts.reduce((sum, amount) => sum + amount, 0);
  if (total <= 0) return amounts.map(() => 0);
  const exact = amounts.map((amount) => (amount / total) * columns);
  const shares = exact.map((share, index) => (share < 1 && (amounts[index] ?? 0) > 0 ? 1 : Math.floor(share)));
  let missing = columns - shares.reduce((sum, share) => sum + share, 0);
  // One column at a time to or from the share that is farthest from its exact value; at most one round a share.
  for (let round = 0; missing !== 0 && round < 2 * amounts.length; round++) {
    const step = Math.sign(missing);
    let chosen = -1;
    let error = -Infinity;
    for (const [index, share] of shares.entries()) {
      if (step < 0 && share <= 1) continue;
      const distance = step * ((exact[index] ?? 0) - share);
      if ((amounts[index] ?? 0) > 0 && distance > error) {
        chosen = index;
        error = distance;
      }
    }
    if (chosen < 0) break;
    shares[chosen] = (shares[chosen] ?? 0) + step;
    missing -= step;
  }
  return shares;
}

/** The bar, or in a pipe the ages and sizes in words. */
export function generationsCell(terminal: Terminal, generations: TargetStatus["generations"]): Cell {
  if (generations === null) return "unknown";
  if (terminal.columns === null) return generationsText(generations, " ");
  const shares = shareColumns(generations.map(generationBytes), barColumns(terminal));
  const offset = Math.max(0, shades.length - generations.length);
  return generations.map((_, index): StyledText => {
    const shade = shades[Math.min(index + offset, shades.length - 1)];
    return { text: (shade?.character ?? "").repeat(shares[index] ?? 0), style: shade?.style ?? null };
  });
}

/** `12m=3.1MiB 8m=0B`: age and size, oldest first. */
export function generationsText(generations: readonly GenerationStatus[], between: string): string {
  return generations
    .map((one) => `${shortSpanText(one.age_secs)}=${bytesText(generationBytes(one)).replace(" ", "")}`)
    .join(between);
}
