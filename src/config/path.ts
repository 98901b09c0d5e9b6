/** Paths of cgroups as people write them, and globs over them. */

/** A path longer than the kernel's PATH_MAX names nothing. */
const pathLengthMax = 4096;

/**
 * The one form of a cgroup's path: `/a/b`, and `/` for the root. Leading, trailing and doubled slashes mean nothing.
 * Null for what no cgroup can be called: empty text, a `.` or `..` level, a line break or NUL, more than 4096 characters.
 */
export function normalizePath(text: string): string | null {
  if (text === "" || text.length > pathLengthMax || /[\n\0]/.test(text)) return null;
  const levels = levelsOf(text);
  if (levels.includes(".") || levels.includes("..")) return null;
  return `/${levels.join("/")}`;
}

/** The names along a path: `["a", "b"]` of `/a/b`, none of `/`. */
export function levelsOf(path: string): string[] {
  return path.split("/").filter((level) => level !== "");
}

/** True where a star in the path stands for something. */
export function isGlob(path: string): boolean {
  return path.includes("*");
}

/** One level of a glob: any number of levels, or one whose name has these pieces with anything between them. */
type GlobLevel = { readonly any: true } | { readonly any: false; readonly pieces: readonly string[] };

export interface Glob {
  readonly levels: readonly GlobLevel[];
  /** Levels without a star: the more, the nearer the glob names one cgroup. */
  readonly literalLevels: number;
  /** Characters of the glob. */
  readonly length: number;
}

/**
 * `*` stands for any text within one level, a level that is `**` for any number of levels, none included.
 * @param path a normalized path
 */
export function compileGlob(path: string): Glob {
  const names = levelsOf(path);
  return {
    levels: names.map((name) => (name === "**" ? { any: true } : { any: false, pieces: name.split(/\*+/) })),
    literalLevels: names.filter((name) => !isGlob(name)).length,
    length: path.length,
  };
}

/**
 * Whether the glob names the cgroup made of the first `count` names. Only the last `**` is ever moved, so the time is
 * bounded by levels times levels, whatever the glob.
 */
export function globMatches(glob: Glob, names: readonly string[], count: number): boolean {
  let at = 0;
  let level = 0;
  let anyLevel = -1;
  let anyAt = 0;
  while (at < count) {
    const wanted = glob.levels[level];
    if (wanted?.any === true) {
      anyLevel = level++;
      anyAt = at;
    } else if (wanted !== undefined && nameMatches(wanted.pieces, names[at] ?? "")) {
      level++;
      at++;
    } else if (anyLevel >= 0) {
      level = anyLevel + 1;
      at = ++anyAt;
    } else {
      return false;
    }
  }
  while (glob.levels[level]?.any === true) level++;
  return level === glob.levels.length;
}

/** The first piece starts the name, the last ends it, those between follow each other: the leftmost fit is enough. */
function nameMatches(pieces: readonly string[], name: string): boolean {
  const first = pieces[0] ?? "";
  if (pieces.length === 1) return name === first;
  const last = pieces.at(-1) ?? "";
  const end = name.length - last.length;
  if (end < first.length || !name.startsWith(first) || !name.endsWith(last)) return false;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
