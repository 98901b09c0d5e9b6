/** The right name for a mistyped one. */

/** Longer names are not worth comparing: nobody mistypes a hundred characters. */
const nameLengthMax = 100;

/** Insertions, deletions, replacements and swaps of neighbours that make one text of the other. */
export function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let cost = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length] ?? 0;
}

/** The name that was probably meant, or null where none is near (more than a third of it would have to change). */
export function nearest(name: string, names: Iterable<string>): string | null {
  if (name.length > nameLengthMax) return null;
  const wanted = plain(name);
  let best: string | null = null;
  let bestDistance = Infinity;
  for (const candidate of names) {
    const distance = editDistance(wanted, plain(candidate));
    if (distance > Math.max(2, Math.floor(candidate.length / 3)) || distance >= candidate.length) continue;
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Case and the choice between dash and underscore are no distance at all. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** ` (did you mean "X"?)` or nothing: the end of a message about an unknown name. */
export function didYouMean(name: string, names: Iterable<string>): string {
  const found = nearest(name, names);
  return found === null ? "" : ` (did you mean "${found}"?)`;
}
